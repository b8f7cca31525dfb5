/**
 * The VT-x support of a host (kvm_intel): VMX operation on every CPU, the controls that the hardware allows, and the
 * bitmaps that all VMs share (vmx_init, hardware_enable, setup_vmcs_config).
 */

import { MSR } from '../architecture/msrs.js';
import { ENTRY_CONTROL, EXIT_CONTROL, PIN_BASED, PRIMARY, SECONDARY } from '../architecture/vmx/controls.js';
import { ioBitmapByte, ioBitmapMask } from '../architecture/vmx/io-bitmap.js';
import { msrBitmapBit } from '../architecture/vmx/msr-bitmap.js';
import { APIC_REGISTER } from '../devices/local-apic-registers.js';
import { isReadableX2apic } from '../devices/x2apic-face.js';
import type { Host } from '../host/host.js';
import type { PhysicalCpu } from '../host/physical-cpu.js';
import type { HostPhysicalAddress } from '../memory/addresses.js';
import { PAGE_SIZE } from '../memory/addresses.js';

/** Controls for every VMCS; unsigned. */
export interface VmcsConfiguration {
  readonly revisionIdentifier: number;
  readonly pinBased: number;
  readonly primary: number;
  readonly secondary: number;
  readonly exit: number;
  readonly entry: number;
}

/** The processor lacks a VMX control that this hypervisor layer can't do without (-EIO of setup_vmcs_config). */
export class UnsupportedProcessorError extends Error {
  readonly code = 'unsupported-processor';
  constructor(message: string) {
    super(message);
    this.name = 'UnsupportedProcessorError';
  }
}

/** I/O delay port: guests may write it at full speed (fdef3ad1b386). */
const POST_PORT = 0x80;
const PASS_THROUGH_MSRS = [MSR.FS_BASE, MSR.GS_BASE, MSR.SYSENTER_CS, MSR.SYSENTER_ESP, MSR.SYSENTER_EIP];

export class VmxModule {
  readonly configuration: VmcsConfiguration;
  readonly ioBitmapA: HostPhysicalAddress;
  readonly ioBitmapB: HostPhysicalAddress;
  readonly msrBitmapLegacy: HostPhysicalAddress;
  readonly msrBitmapLongMode: HostPhysicalAddress;
  readonly hasPreemptionTimer: boolean;
  readonly hasApicVirtualisation: boolean;
  private readonly x2apicBitmaps = new Map<string, HostPhysicalAddress>();
  private readonly host: Host;
  private nextVpid = 1;

  /** Switches VMX on, on all CPUs. Takes no virtual time: it happened when the module was loaded. */
  constructor(host: Host) {
    this.host = host;
    this.configuration = host.cpus[0]!.cpu.withoutCharge(() => chooseControls(host.cpus[0]!.cpu));
    this.hasPreemptionTimer = allows(
      host.cpus[0]!.cpu,
      MSR.VMX_PINBASED_CTLS,
      PIN_BASED.ACTIVATE_VMX_PREEMPTION_TIMER,
    );
    this.hasApicVirtualisation = allows(
      host.cpus[0]!.cpu,
      MSR.VMX_PROCBASED_CTLS2,
      SECONDARY.VIRTUAL_INTERRUPT_DELIVERY,
    );
    this.ioBitmapA = this.bitmap();
    this.ioBitmapB = this.bitmap();
    host.memory.bytes[this.ioBitmapA + ioBitmapByte(POST_PORT)]! &= ~ioBitmapMask(POST_PORT);
    this.msrBitmapLegacy = this.bitmap();
    this.msrBitmapLongMode = this.bitmap();
    for (const index of PASS_THROUGH_MSRS) {
      this.passThrough(this.msrBitmapLegacy, index);
      this.passThrough(this.msrBitmapLongMode, index);
    }
    // Only 64-bit guests have SWAPGS (5897297bc228).
    this.passThrough(this.msrBitmapLongMode, MSR.KERNEL_GS_BASE);
    for (const { cpu } of host.cpus) cpu.vmxon(this.region());
  }

  /** A page that starts with the VMCS revision identifier. */
  region(): HostPhysicalAddress {
    const page = this.host.pages.allocatePage();
    this.host.memory.write32(page, this.configuration.revisionIdentifier);
    return page;
  }

  /** A virtual-processor identifier that no other vCPU of the host has. */
  allocateVpid(): number {
    return this.nextVpid++;
  }

  /**
   * The MSR bitmap of guests whose x2APIC registers the processor virtualises: reads pass except of the timer's current
   * count, of the writes those that the processor acts on (vmx_msr_bitmap_longmode_x2apic).
   */
  x2apicBitmap(longMode: boolean, delivers: boolean): HostPhysicalAddress {
    const key = `${longMode} ${delivers}`;
    const known = this.x2apicBitmaps.get(key);
    if (known !== undefined) return known;
    const page = this.bitmap();
    this.x2apicBitmaps.set(key, page);
    const { bytes } = this.host.memory;
    const base = longMode ? this.msrBitmapLongMode : this.msrBitmapLegacy;
    bytes.copyWithin(page, base, base + PAGE_SIZE);
    const pass = (index: number, write: boolean): void => {
      const bit = msrBitmapBit(index, write);
      bytes[page + (bit >> 3)]! &= ~(1 << (bit & 7));
    };
    for (let offset = 0; offset < 0x400; offset += 0x10)
      if (isReadableX2apic(offset) && offset !== APIC_REGISTER.CURRENT_COUNT)
        pass(MSR.X2APIC_BASE + (offset >> 4), false);
    const written: number[] = [APIC_REGISTER.TASK_PRIORITY];
    if (delivers) written.push(APIC_REGISTER.EOI, APIC_REGISTER.SELF_IPI);
    for (const offset of written) pass(MSR.X2APIC_BASE + (offset >> 4), true);
    return page;
  }

  private bitmap(): HostPhysicalAddress {
    const page = this.host.pages.allocatePage();
    this.host.memory.bytes.fill(0xff, page, page + PAGE_SIZE);
    return page;
  }

  private passThrough(bitmap: HostPhysicalAddress, index: number): void {
    for (const write of [false, true]) {
      const bit = msrBitmapBit(index, write);
      this.host.memory.bytes[bitmap + (bit >> 3)]! &= ~(1 << (bit & 7));
    }
  }
}

/** The capability MSR lets a control be 1. */
const allows = (cpu: PhysicalCpu, capability: number, control: number): boolean =>
  ((cpu.peekMsr(capability) >> 32n) & BigInt(control)) !== 0n;

/** adjust_vmx_controls: the wanted bits that the processor allows, and those that it demands. */
function adjust(cpu: PhysicalCpu, capability: number, minimum: number, optional: number): number {
  const value = cpu.rdmsr(capability);
  const mustBeOne = Number(value & 0xffffffffn);
  const mayBeOne = Number(value >> 32n);
  const controls = (((minimum | optional) & mayBeOne) | mustBeOne) >>> 0;
  if ((minimum & ~controls) !== 0)
    throw new UnsupportedProcessorError(
      `capability MSR 0x${capability.toString(16)} does not allow control bits 0x${((minimum & ~controls) >>> 0).toString(16)}`,
    );
  return controls;
}

function chooseControls(cpu: PhysicalCpu): VmcsConfiguration {
  const pinBased = adjust(
    cpu,
    MSR.VMX_PINBASED_CTLS,
    PIN_BASED.EXTERNAL_INTERRUPT_EXITING | PIN_BASED.NMI_EXITING,
    PIN_BASED.VIRTUAL_NMIS,
  );
  let primary = adjust(
    cpu,
    MSR.VMX_PROCBASED_CTLS,
    PRIMARY.HLT_EXITING |
      PRIMARY.CR8_LOAD_EXITING |
      PRIMARY.CR8_STORE_EXITING |
      PRIMARY.CR3_LOAD_EXITING |
      PRIMARY.CR3_STORE_EXITING |
      PRIMARY.USE_IO_BITMAPS |
      PRIMARY.MOV_DR_EXITING |
      PRIMARY.USE_TSC_OFFSETTING |
      PRIMARY.INVLPG_EXITING |
      PRIMARY.USE_MSR_BITMAPS |
      PRIMARY.ACTIVATE_SECONDARY_CONTROLS,
    PRIMARY.USE_TPR_SHADOW,
  );
  if ((primary & PRIMARY.USE_TPR_SHADOW) !== 0)
    primary &= ~(PRIMARY.CR8_LOAD_EXITING | PRIMARY.CR8_STORE_EXITING);
  const secondary = adjust(
    cpu,
    MSR.VMX_PROCBASED_CTLS2,
    SECONDARY.ENABLE_EPT | SECONDARY.UNRESTRICTED_GUEST,
    SECONDARY.VIRTUALIZE_APIC_ACCESSES | SECONDARY.WBINVD_EXITING | SECONDARY.ENABLE_VPID,
  );
  // With EPT the guest's own CR3 and INVLPG are harmless.
  primary &= ~(PRIMARY.CR3_LOAD_EXITING | PRIMARY.CR3_STORE_EXITING | PRIMARY.INVLPG_EXITING);
  const pat = EXIT_CONTROL.SAVE_IA32_PAT | EXIT_CONTROL.LOAD_IA32_PAT;
  return {
    revisionIdentifier: Number(cpu.rdmsr(MSR.VMX_BASIC) & 0x7fffffffn),
    pinBased,
    primary: primary >>> 0,
    secondary,
    exit: adjust(cpu, MSR.VMX_EXIT_CTLS, EXIT_CONTROL.HOST_ADDRESS_SPACE_SIZE, pat),
    entry: adjust(cpu, MSR.VMX_ENTRY_CTLS, 0, ENTRY_CONTROL.LOAD_IA32_PAT),
  };
}
