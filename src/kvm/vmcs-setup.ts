/** The first contents of a vCPU's VMCS (vmx_vcpu_setup), and what changes when it moves to a CPU (vmx_vcpu_load). */

import { CR0, CR4 } from '../architecture/control-registers.js';
import { MSR } from '../architecture/msrs.js';
import { EXIT_CONTROL, PIN_BASED, PRIMARY, SECONDARY } from '../architecture/vmx/controls.js';
import { encodeEptPointer } from '../architecture/vmx/ept.js';
import { VMCS } from '../architecture/vmx/vmcs-fields.js';
import { POSTED_INTERRUPT_VECTOR } from '../host/cpu-clock.js';
import { HOST_SELECTOR, HOST_SYSENTER_EIP } from '../host/host-kernel.js';
import type { PhysicalCpu } from '../host/physical-cpu.js';
import type { HostPhysicalAddress } from '../memory/addresses.js';
import { updateExceptionBitmap } from './fpu.js';
import { TASK_SWITCHED_AFTER_EXIT } from './host-state.js';
import { REQUEST, type Vcpu } from './vcpu.js';

/** CR4 bits that stay the host's (KVM_GUEST_CR4_MASK); the guest changes the others without an exit. */
const HOST_OWNED_CR4 = CR4.VME | CR4.PSE | CR4.PAE | CR4.PGE | CR4.VMXE;
/** Label after VMRESUME in vmx_vcpu_run (kvm_vmx_return). */
const VM_EXIT_ENTRY_POINT = 0xffffffffa01a47f2n;
const ALL_64_BITS = 0xffffffffffffffffn;

/** The page that the guest's local APIC accesses are recognised by, and the one that holds its registers. */
export interface ApicPages {
  readonly accessPage: HostPhysicalAddress | undefined;
  readonly registerPage: HostPhysicalAddress | undefined;
}

/** vmx_vcpu_setup: the VMCS must be current. Charges like the real thing; callers at set-up time don't charge. */
export function setupVmcs(vcpu: Vcpu, apic: ApicPages): void {
  const { cpu, vm } = vcpu;
  const module = vm.vmx;
  const { configuration } = module;
  const write = (field: number, value: number): void => cpu.vmwriteNumber(field, value);
  write(VMCS.ADDRESS_OF_IO_BITMAP_A, module.ioBitmapA);
  write(VMCS.ADDRESS_OF_IO_BITMAP_B, module.ioBitmapB);
  write(VMCS.ADDRESS_OF_MSR_BITMAPS, module.msrBitmapLegacy);
  cpu.vmwrite(VMCS.VMCS_LINK_POINTER, ALL_64_BITS);

  let { primary, secondary } = configuration;
  const flexPriority =
    apic.registerPage !== undefined &&
    (primary & PRIMARY.USE_TPR_SHADOW) !== 0 &&
    (secondary & SECONDARY.VIRTUALIZE_APIC_ACCESSES) !== 0;
  if (!flexPriority) {
    primary &= ~PRIMARY.USE_TPR_SHADOW;
    primary |= PRIMARY.CR8_LOAD_EXITING | PRIMARY.CR8_STORE_EXITING;
  }
  vcpu.vmx.tprShadow = flexPriority;
  if (apic.accessPage === undefined) secondary &= ~SECONDARY.VIRTUALIZE_APIC_ACCESSES;
  const { virtualisation } = vcpu.interrupts;
  let { pinBased, exit } = configuration;
  if (virtualisation !== undefined) {
    secondary |= SECONDARY.APIC_REGISTER_VIRTUALIZATION;
    if (virtualisation.delivers) secondary |= SECONDARY.VIRTUAL_INTERRUPT_DELIVERY;
    if (virtualisation.posts) {
      pinBased |= PIN_BASED.PROCESS_POSTED_INTERRUPTS;
      exit |= EXIT_CONTROL.ACKNOWLEDGE_INTERRUPT_ON_EXIT;
      write(VMCS.POSTED_INTERRUPT_NOTIFICATION_VECTOR, POSTED_INTERRUPT_VECTOR);
      write(VMCS.POSTED_INTERRUPT_DESCRIPTOR_ADDRESS, virtualisation.descriptor);
    }
  }
  vcpu.vmx.pinBased = pinBased;
  write(VMCS.PIN_BASED_VM_EXECUTION_CONTROLS, pinBased);
  write(VMCS.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS, primary >>> 0);
  write(VMCS.SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS, secondary >>> 0);
  write(VMCS.PAGE_FAULT_ERROR_CODE_MASK, 0);
  write(VMCS.PAGE_FAULT_ERROR_CODE_MATCH, 0);
  write(VMCS.CR3_TARGET_COUNT, 0);
  if ((secondary & SECONDARY.ENABLE_VPID) !== 0) write(VMCS.VIRTUAL_PROCESSOR_IDENTIFIER, vcpu.vpid);
  cpu.vmwrite(VMCS.EPT_POINTER, encodeEptPointer(vm.extendedPageTables.root));
  if (flexPriority) write(VMCS.VIRTUAL_APIC_ADDRESS, apic.registerPage!);
  if (apic.accessPage !== undefined) write(VMCS.APIC_ACCESS_ADDRESS, apic.accessPage);

  cpu.vmwriteNumber(VMCS.HOST_CR0, hostCr0(vcpu));
  cpu.vmwriteNumber(VMCS.HOST_CR4, cpu.readCr4());
  cpu.vmwrite(VMCS.HOST_CR3, cpu.readCr3());
  write(VMCS.HOST_CS_SELECTOR, HOST_SELECTOR.KERNEL_CODE);
  // RPL 0 selectors; the user data selector is reloaded by hand after each exit.
  const dataSelector = vm.policies.userSegments === 'every-exit' ? HOST_SELECTOR.KERNEL_DATA : 0;
  write(VMCS.HOST_DS_SELECTOR, dataSelector);
  write(VMCS.HOST_ES_SELECTOR, dataSelector);
  write(VMCS.HOST_SS_SELECTOR, HOST_SELECTOR.KERNEL_DATA);
  write(VMCS.HOST_TR_SELECTOR, HOST_SELECTOR.TSS);
  cpu.vmwrite(VMCS.HOST_IDTR_BASE, cpu.interruptTableBase());
  cpu.vmwrite(VMCS.HOST_RIP, VM_EXIT_ENTRY_POINT);
  cpu.vmwrite(VMCS.HOST_IA32_SYSENTER_CS, cpu.rdmsr(MSR.SYSENTER_CS));
  cpu.vmwrite(VMCS.HOST_IA32_SYSENTER_EIP, HOST_SYSENTER_EIP);
  const pat = cpu.rdmsr(MSR.PAT);
  cpu.vmwrite(VMCS.HOST_IA32_PAT, pat);
  cpu.vmwrite(VMCS.GUEST_IA32_PAT, pat);

  for (const msr of vcpu.vmx.switchedMsrs) cpu.rdmsrWords(msr.index, msr.host);
  write(VMCS.VM_EXIT_CONTROLS, exit);
  write(VMCS.VM_ENTRY_CONTROLS, configuration.entry);
  cpu.vmwrite(VMCS.CR0_GUEST_HOST_MASK, ALL_64_BITS);
  write(VMCS.CR4_GUEST_HOST_MASK, HOST_OWNED_CR4);
  updateExceptionBitmap(vcpu);
  // The guest's time-stamp counter starts at zero.
  cpu.vmwrite(VMCS.TSC_OFFSET, BigInt.asUintN(64, -BigInt(cpu.now)));
}

/** HOST_CR0 before the first entry; under the policy `once` for good. */
function hostCr0({ cpu, vm }: Vcpu): number {
  const { hostCr0: policy, hostFpu } = vm.policies;
  const cr0 = cpu.readCr0();
  if (policy === 'every-entry') return cr0;
  return (TASK_SWITCHED_AFTER_EXIT[hostFpu] ? cr0 | CR0.TS : cr0 & ~CR0.TS) >>> 0;
}

/**
 * Puts the vCPU's hardware state on `cpu`, where its thread now runs (vmx_vcpu_load). While another CPU holds the VMCS
 * that CPU is told by an inter-processor interrupt to give it up, and the rest has to wait: `isLoadedOn` is false, and
 * the caller waits for `loadedOn` to be undefined and calls again.
 */
export function loadVcpuOn(vcpu: Vcpu, cpu: PhysicalCpu): void {
  vcpu.cpu = cpu;
  vcpu.hostCpu = vcpu.vm.host.cpus[cpu.number]!;
  const holder = vcpu.loadedOn;
  if (holder !== undefined && holder !== cpu) {
    vcpu.vm.host.scheduler.sendInterrupt(vcpu.vm.host.cpus[holder.number]!, () => {
      // __vcpu_clear
      holder.vmclear(vcpu.vmcs);
      vcpu.loadedOn = undefined;
      vcpu.clearedAt = holder.now;
    });
    return;
  }
  const moved = holder === undefined;
  if (moved) {
    vcpu.launched = false;
    vcpu.makeRequest(REQUEST.TLB_FLUSH | REQUEST.MIGRATE_TIMER);
  }
  if (cpu.currentVmcs !== vcpu.vmcs) cpu.vmptrld(vcpu.vmcs);
  if (!moved) return;
  vcpu.loadedOn = cpu;
  cpu.vmwrite(VMCS.HOST_TR_BASE, cpu.descriptors.tssBase);
  cpu.vmwrite(VMCS.HOST_GDTR_BASE, cpu.descriptors.gdtBase);
  cpu.vmwrite(VMCS.HOST_IA32_SYSENTER_ESP, cpu.rdmsr(MSR.SYSENTER_ESP));
}
