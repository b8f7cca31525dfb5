/** A processor in VMX root operation with a VMCS whose VM entry succeeds: 64-bit host and 64-bit guest, both at their page tables. */

import { CR4 } from '../../src/architecture/control-registers.js';
import { ENTRY_CONTROL, EXIT_CONTROL, PRIMARY, SECONDARY } from '../../src/architecture/vmx/controls.js';
import { encodeEptPointer } from '../../src/architecture/vmx/ept.js';
import { VMCS, type VmxFeature } from '../../src/architecture/vmx/vmcs-fields.js';
import {
  CONTROL_CAPABILITIES,
  VMCS_REVISION_IDENTIFIER,
  vmxCapabilities,
} from '../../src/architecture/vmx/vmx-capabilities.js';
import { assemble } from '../../src/assembler/index.js';
import { hostPhysical } from '../../src/memory/addresses.js';
import type { PhysicalMemory } from '../../src/memory/physical-memory.js';
import type { Processor } from '../../src/processor/processor.js';
import { VirtualMachineExtensions } from '../../src/vmx/virtual-machine-extensions.js';
import { RootInstructions } from '../../src/vmx/vmx-instructions.js';
import { type BareMachineOptions, createBareMachine, PAGE_TABLES } from '../support/bare-machine.js';

export const VMXON_REGION = 0x10000;
export const VMCS_REGION = 0x11000;
/** Zeroed pages for bitmaps and the like. */
export const IO_BITMAP_A = 0x20000;
export const IO_BITMAP_B = 0x21000;
export const MSR_BITMAPS = 0x22000;
export const VIRTUAL_APIC_PAGE = 0x23000;
export const APIC_ACCESS_PAGE = 0x24000;
export const MSR_AREA = 0x25000;
/** EPT tables: PML4, PDPT, PD, PT; identity map of the first 2 MiB in 4-KByte pages. */
export const EPT_PML4 = 0x30000;
export const EPT_PDPT = 0x31000;
export const EPT_PD = 0x32000;
export const EPT_PT = 0x33000;
/** Guest code and stack. */
export const GUEST_CODE = 0x80000;
export const GUEST_STACK = 0x90000;
export const HOST_RIP = 0xa0000;
export const HOST_STACK = 0xb0000;
export const GUEST_IDT = 0xc0000;

export interface VmxMachine {
  readonly processor: Processor;
  readonly memory: PhysicalMemory;
  readonly vmx: VirtualMachineExtensions;
  /** Puts code at `GUEST_CODE`. */
  load(...bytes: number[]): void;
  /** Assembles 64-bit code to `GUEST_CODE`. */
  assemble(text: string): void;
  read(field: number): bigint;
  write(field: number, value: bigint | number): void;
  /** Sets and clears bits of a control field. */
  change(field: number, set: number, clear?: number): void;
}

const BASE_PRIMARY = PRIMARY.HLT_EXITING | PRIMARY.USE_IO_BITMAPS | PRIMARY.USE_MSR_BITMAPS;

/** Field values of a VM entry that succeeds. */
export function baseFields(): [number, bigint][] {
  const fields: [number, bigint | number][] = [
    [VMCS.PIN_BASED_VM_EXECUTION_CONTROLS, CONTROL_CAPABILITIES.pinBased.mustBeOne],
    [
      VMCS.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS,
      (CONTROL_CAPABILITIES.primary.mustBeOne | BASE_PRIMARY) >>> 0,
    ],
    [VMCS.ADDRESS_OF_IO_BITMAP_A, IO_BITMAP_A],
    [VMCS.ADDRESS_OF_IO_BITMAP_B, IO_BITMAP_B],
    [VMCS.ADDRESS_OF_MSR_BITMAPS, MSR_BITMAPS],
    [
      VMCS.VM_EXIT_CONTROLS,
      CONTROL_CAPABILITIES.exit.mustBeOne |
        EXIT_CONTROL.HOST_ADDRESS_SPACE_SIZE |
        EXIT_CONTROL.SAVE_DEBUG_CONTROLS,
    ],
    [
      VMCS.VM_ENTRY_CONTROLS,
      CONTROL_CAPABILITIES.entry.mustBeOne |
        ENTRY_CONTROL.IA32E_MODE_GUEST |
        ENTRY_CONTROL.LOAD_DEBUG_CONTROLS,
    ],
    [VMCS.VMCS_LINK_POINTER, 0xffffffffffffffffn],
    [VMCS.HOST_CR0, 0x80010031],
    [VMCS.HOST_CR3, PAGE_TABLES],
    [VMCS.HOST_CR4, 0x2220],
    [VMCS.HOST_CS_SELECTOR, 0x08],
    [VMCS.HOST_SS_SELECTOR, 0x10],
    [VMCS.HOST_DS_SELECTOR, 0x10],
    [VMCS.HOST_ES_SELECTOR, 0x10],
    [VMCS.HOST_FS_SELECTOR, 0x10],
    [VMCS.HOST_GS_SELECTOR, 0x10],
    [VMCS.HOST_TR_SELECTOR, 0x18],
    [VMCS.HOST_RIP, HOST_RIP],
    [VMCS.HOST_RSP, HOST_STACK],
    [VMCS.GUEST_CR0, 0x80010031],
    [VMCS.GUEST_CR3, PAGE_TABLES],
    [VMCS.GUEST_CR4, 0x2220],
    [VMCS.GUEST_DR7, 0x400],
    [VMCS.GUEST_RIP, GUEST_CODE],
    [VMCS.GUEST_RSP, GUEST_STACK],
    [VMCS.GUEST_RFLAGS, 2],
    [VMCS.GUEST_IDTR_BASE, GUEST_IDT],
    [VMCS.GUEST_IDTR_LIMIT, 0xfff],
    [VMCS.GUEST_GDTR_LIMIT, 0xffff],
    [VMCS.GUEST_CS_SELECTOR, 0x08],
    [VMCS.GUEST_CS_LIMIT, 0xffffffff],
    [VMCS.GUEST_CS_ACCESS_RIGHTS, 0xa09b],
    [VMCS.GUEST_TR_SELECTOR, 0x18],
    [VMCS.GUEST_TR_LIMIT, 0x67],
    [VMCS.GUEST_TR_ACCESS_RIGHTS, 0x8b],
    [VMCS.GUEST_LDTR_ACCESS_RIGHTS, 0x10000],
  ];
  for (const n of [0, 2, 3, 4, 5])
    fields.push(
      [VMCS.GUEST_ES_SELECTOR + n * 2, 0x10],
      [VMCS.GUEST_ES_LIMIT + n * 2, 0xffffffff],
      [VMCS.GUEST_ES_ACCESS_RIGHTS + n * 2, 0xc093],
    );
  return fields.map(([field, value]) => [field, BigInt(value)]);
}

/** A machine with a current VMCS that holds `baseFields`. */
export function createVmxMachine(
  options: BareMachineOptions = {},
  features: readonly VmxFeature[] = [],
): VmxMachine {
  const { processor, memory } = createBareMachine(options);
  processor.state.cr4 |= CR4.VMXE;
  const vmx = new VirtualMachineExtensions(processor, vmxCapabilities(features));
  processor.vmx = new RootInstructions(vmx);
  memory.write32(hostPhysical(VMXON_REGION), VMCS_REVISION_IDENTIFIER);
  memory.write32(hostPhysical(VMCS_REGION), VMCS_REVISION_IDENTIFIER);
  vmx.vmxon(VMXON_REGION);
  vmx.vmclear(VMCS_REGION);
  vmx.vmptrld(VMCS_REGION);
  for (const [field, value] of baseFields()) vmx.vmwrite(field, value);
  const machine: VmxMachine = {
    processor,
    memory,
    vmx,
    assemble: (text) => {
      const { ok, image, diagnostics } = assemble(`bits 64\norg ${GUEST_CODE}\n${text}\n`, {
        fileName: 'guest.asm',
      });
      if (!ok) throw new Error(diagnostics.map((d) => d.message).join('; '));
      memory.load(hostPhysical(GUEST_CODE), image);
    },
    load: (...bytes) => memory.load(hostPhysical(GUEST_CODE), Uint8Array.from(bytes)),
    read: (field) => vmx.vmread(field),
    write: (field, value) => vmx.vmwrite(field, BigInt(value)),
    change: (field, set, clear = 0) =>
      vmx.vmwrite(field, (vmx.vmread(field) & ~BigInt(clear >>> 0)) | BigInt(set >>> 0)),
  };
  return machine;
}

/** Secondary controls of a machine, activated. */
export function activateSecondary(machine: VmxMachine, bits: number): void {
  machine.change(VMCS.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS, PRIMARY.ACTIVATE_SECONDARY_CONTROLS);
  machine.change(VMCS.SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS, bits);
}

/** Turns EPT on with an identity map of the first 2 MiB, all rights. */
export function enableEpt(machine: VmxMachine): void {
  const { memory } = machine;
  memory.write64(hostPhysical(EPT_PML4), BigInt(EPT_PDPT | 7));
  memory.write64(hostPhysical(EPT_PDPT), BigInt(EPT_PD | 7));
  memory.write64(hostPhysical(EPT_PD), BigInt(EPT_PT | 7));
  for (let n = 0; n < 512; n++)
    memory.write64(hostPhysical(EPT_PT + n * 8), BigInt((n << 12) | (6 << 3) | 7));
  activateSecondary(machine, SECONDARY.ENABLE_EPT);
  machine.write(VMCS.EPT_POINTER, encodeEptPointer(EPT_PML4));
}

/** Runs the guest until the next VM exit, at most `instructions`. @returns the exit reason */
export function runToExit(machine: VmxMachine, instructions = 1000): number {
  const stop = machine.processor.run({ cycles: 1e9, instructions });
  if (stop.kind !== 'vm-exit') throw new Error(`the guest stopped with ${stop.kind}`);
  return Number(machine.read(VMCS.EXIT_REASON));
}

/** VMLAUNCH that must succeed, then runs to the first VM exit. @returns the exit reason */
export function launchToExit(machine: VmxMachine, instructions = 1000): number {
  const result = machine.vmx.vmlaunch();
  if (!result.ok) throw new Error(`VMLAUNCH failed. ${machine.vmx.describeEntryFailure()}`);
  if (machine.processor.intercepts === null) return Number(machine.read(VMCS.EXIT_REASON));
  return runToExit(machine, instructions);
}
