/** Registers of a vCPU as user space reads and sets them (KVM_GET_REGS, KVM_SET_REGS, KVM_GET_SREGS, KVM_SET_SREGS). */

import { CR0, EFER } from '../architecture/control-registers.js';
import { SEGMENT, type SegmentNumber } from '../architecture/registers.js';
import { RFLAGS } from '../architecture/rflags.js';
import { VMCS } from '../architecture/vmx/vmcs-fields.js';
import { writeCr0, writeCr4, writeEfer } from './control-registers.js';
import { readCr0 } from './fpu.js';
import type { Vcpu } from './vcpu.js';
import type { VcpuSegment } from './vcpu-registers.js';

export interface GeneralRegisters {
  /** 16 values by register number, RAX … R15. */
  readonly gpr: readonly bigint[];
  readonly rip: bigint;
  readonly rflags: number;
}

export interface DescriptorTable {
  readonly base: bigint;
  readonly limit: number;
}

export type SegmentName = 'es' | 'cs' | 'ss' | 'ds' | 'fs' | 'gs' | 'ldt' | 'tr';

/** Segments with access rights in VMCS format (SDM Vol. 3C, Table 24-2). */
export interface SpecialRegisters {
  readonly segments: Readonly<Record<SegmentName, VcpuSegment>>;
  readonly gdt: DescriptorTable;
  readonly idt: DescriptorTable;
  readonly cr0: number;
  readonly cr2: bigint;
  readonly cr3: bigint;
  readonly cr4: number;
  readonly cr8: number;
  readonly efer: number;
  readonly apicBase: bigint;
}

const SEGMENT_NUMBERS = {
  es: SEGMENT.ES,
  cs: SEGMENT.CS,
  ss: SEGMENT.SS,
  ds: SEGMENT.DS,
  fs: SEGMENT.FS,
  gs: SEGMENT.GS,
  ldt: SEGMENT.LDTR,
  tr: SEGMENT.TR,
} as const;
const SEGMENT_NAMES = Object.keys(SEGMENT_NUMBERS) as SegmentName[];

/** User space asked for register contents that the processor can't have. */
export class RegisterValueError extends Error {
  readonly code = 'register-value';
  constructor(message: string) {
    super(message);
    this.name = 'RegisterValueError';
  }
}

/** The VMCS of the vCPU must be current; callers do not charge. */
export function setGeneralRegisters(vcpu: Vcpu, registers: GeneralRegisters): void {
  for (const [number, value] of registers.gpr.entries()) vcpu.writeRegister(number, value);
  vcpu.rip = registers.rip;
  vcpu.writeRflags((registers.rflags | RFLAGS.FIXED) >>> 0);
}

export function getGeneralRegisters(vcpu: Vcpu): GeneralRegisters {
  if (vcpu.inGuest) {
    const { state } = vcpu.cpu.processor;
    return {
      gpr: Array.from({ length: 16 }, (_, number) => state.readGpr(number)),
      rip: state.rip,
      rflags: state.rflags,
    };
  }
  return {
    gpr: Array.from({ length: 16 }, (_, number) => vcpu.readRegister(number)),
    rip: vcpu.rip,
    rflags: vcpu.readRflags(),
  };
}

/** @throws RegisterValueError */
export function setSpecialRegisters(vcpu: Vcpu, registers: SpecialRegisters): void {
  const { cpu } = vcpu;
  const longMode = (registers.efer & EFER.LMA) !== 0;
  if (longMode && (registers.cr0 & CR0.PG) === 0)
    throw new RegisterValueError('EFER.LMA is set while CR0.PG is clear');
  for (const name of SEGMENT_NAMES) vcpu.writeSegment(SEGMENT_NUMBERS[name], registers.segments[name]);
  cpu.vmwrite(VMCS.GUEST_GDTR_BASE, registers.gdt.base);
  cpu.vmwriteNumber(VMCS.GUEST_GDTR_LIMIT, registers.gdt.limit);
  cpu.vmwrite(VMCS.GUEST_IDTR_BASE, registers.idt.base);
  cpu.vmwriteNumber(VMCS.GUEST_IDTR_LIMIT, registers.idt.limit);
  vcpu.cr2 = registers.cr2;
  vcpu.cr3Bits = Number(registers.cr3);
  cpu.vmwrite(VMCS.GUEST_CR3, registers.cr3);
  if (!vcpu.interrupts.writeApicBase(registers.apicBase))
    throw new RegisterValueError(`IA32_APIC_BASE can not be 0x${registers.apicBase.toString(16)}`);
  vcpu.interrupts.writeCr8(registers.cr8);
  writeEfer(vcpu, registers.efer);
  // LMA is set already: paging comes on in the mode that EFER says.
  writeCr0(vcpu, registers.cr0);
  writeEfer(vcpu, registers.efer);
  writeCr4(vcpu, registers.cr4);
}

/** While guest code is paused, descriptor tables and CR3 are those of its last entry. */
export function getSpecialRegisters(vcpu: Vcpu): SpecialRegisters {
  const { cpu } = vcpu;
  const { state } = cpu.processor;
  const segment = (number: SegmentNumber): VcpuSegment => {
    if (!vcpu.inGuest) return vcpu.readSegment(number);
    const { selector, base, limit, accessRights } = state.segment(number);
    return { selector, base, limit, accessRights };
  };
  return {
    segments: Object.fromEntries(
      SEGMENT_NAMES.map((name) => [name, segment(SEGMENT_NUMBERS[name])]),
    ) as Record<SegmentName, VcpuSegment>,
    gdt: { base: cpu.vmread(VMCS.GUEST_GDTR_BASE), limit: cpu.vmreadNumber(VMCS.GUEST_GDTR_LIMIT) },
    idt: { base: cpu.vmread(VMCS.GUEST_IDTR_BASE), limit: cpu.vmreadNumber(VMCS.GUEST_IDTR_LIMIT) },
    cr0: (vcpu.inGuest ? vcpu.cr0 : readCr0(vcpu)) >>> 0,
    cr2: vcpu.cr2,
    cr3: cpu.vmread(VMCS.GUEST_CR3),
    cr4: vcpu.cr4 >>> 0,
    cr8: vcpu.interrupts.readCr8(),
    efer: vcpu.efer >>> 0,
    apicBase: vcpu.interrupts.readApicBase(),
  };
}
