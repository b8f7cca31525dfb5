/**
 * The registers of a virtual CPU as the kernel holds them (vcpu->arch), and access to those that stay in the VMCS. Every
 * VMREAD and VMWRITE is charged to the physical CPU that it runs on.
 */

import { CR0, EFER } from '../architecture/control-registers.js';
import { GPR, SEGMENT, type SegmentNumber } from '../architecture/registers.js';
import { INTERRUPTIBILITY } from '../architecture/vmx/guest-state.js';
import { VMCS } from '../architecture/vmx/vmcs-fields.js';
import { pairValue, setPair, wordPair } from '../bits/word-pair.js';
import type { HostCpu } from '../host/host-cpu.js';
import type { PhysicalCpu } from '../host/physical-cpu.js';

/** Registers that live in the VMCS and are read only when somebody asks (VCPU_REGS_RIP, VCPU_REGS_RSP). */
const CACHED = { RIP: 1, RSP: 2 } as const;

/** A segment register as the VMCS holds it; access rights in VMCS format. */
export interface VcpuSegment {
  selector: number;
  base: bigint;
  limit: number;
  accessRights: number;
}

export class VcpuRegisters {
  /** The physical CPU that the vCPU's thread runs on, or ran on last. */
  cpu: PhysicalCpu;
  /** The host kernel's data of that CPU. */
  hostCpu: HostCpu;

  /** General-purpose registers by number; RSP is valid only while cached: use `readRegister`. */
  readonly registers = new BigUint64Array(16);
  /** The same storage as 32-bit words. */
  readonly registerWords = new Int32Array(this.registers.buffer);
  private readonly ripWords = wordPair();
  private available = 0;
  private dirty = 0;

  /** Guest-visible control registers and EFER as KVM knows them; 32-bit numbers. */
  cr0 = 0;
  readonly cr2Words = wordPair();
  /** CR3 as a number: this era has no process-context identifiers that would need bit 63. */
  cr3Bits = 0;
  /** False while the guest may have changed CR3 since it was read from the VMCS. */
  cr3Known = true;
  cr4 = 0;
  efer = 0;

  /** DR0 … DR7. */
  readonly debugRegisters = [0n, 0n, 0n, 0n, 0n, 0n, 0xffff0ff0n, 0x400n];

  constructor(hostCpu: HostCpu) {
    this.hostCpu = hostCpu;
    this.cpu = hostCpu.cpu;
  }

  get cr2(): bigint {
    return pairValue(this.cr2Words);
  }
  set cr2(value: bigint) {
    setPair(this.cr2Words, value);
  }
  get cr3(): bigint {
    if (!this.cr3Known) {
      this.cr3Bits = this.cpu.vmreadNumber(VMCS.GUEST_CR3);
      this.cr3Known = true;
    }
    return BigInt(this.cr3Bits);
  }
  get pagingEnabled(): boolean {
    return (this.cr0 & CR0.PG) !== 0;
  }
  get longModeActive(): boolean {
    return (this.efer & EFER.LMA) !== 0;
  }

  // Registers (kvm_register_read, kvm_register_write, kvm_rip_read)

  /** 64-bit value of a general-purpose register; RSP costs a VMREAD the first time after an exit. */
  readRegister(number: number): bigint {
    if (number === GPR.RSP && (this.available & CACHED.RSP) === 0) {
      this.registers[GPR.RSP] = this.cpu.vmread(VMCS.GUEST_RSP);
      this.available |= CACHED.RSP;
    }
    return this.registers[number]!;
  }

  /** Value is taken modulo 2^64. RSP goes to the VMCS at the next entry. */
  writeRegister(number: number, value: bigint): void {
    this.registers[number] = value;
    if (number === GPR.RSP) {
      this.available |= CACHED.RSP;
      this.dirty |= CACHED.RSP;
    }
  }

  get rip(): bigint {
    this.cacheRip();
    return pairValue(this.ripWords);
  }

  set rip(value: bigint) {
    setPair(this.ripWords, value);
    this.available |= CACHED.RIP;
    this.dirty |= CACHED.RIP;
  }

  private cacheRip(): void {
    if ((this.available & CACHED.RIP) !== 0) return;
    this.cpu.vmreadWords(VMCS.GUEST_RIP, this.ripWords);
    this.available |= CACHED.RIP;
  }

  /** Writes RIP and RSP to the VMCS where they were changed (start of vmx_vcpu_run). */
  flushDirtyRegisters(): void {
    if ((this.dirty & CACHED.RSP) !== 0) this.cpu.vmwrite(VMCS.GUEST_RSP, this.registers[GPR.RSP]!);
    if ((this.dirty & CACHED.RIP) !== 0) this.cpu.vmwriteWords(VMCS.GUEST_RIP, this.ripWords);
    this.dirty = 0;
  }

  /** After a VM exit: RIP and RSP are in the VMCS only (end of vmx_vcpu_run). */
  forgetCachedRegisters(): void {
    this.available = 0;
    this.dirty = 0;
  }

  /** For observers: what `work` reads from the VMCS is not known afterwards, so that host code pays for it as ever. */
  observe<Result>(work: () => Result): Result {
    const { available, cr3Known } = this;
    const result = work();
    this.available = available;
    this.cr3Known = cr3Known;
    return result;
  }

  // State that stays in the VMCS

  readRflags(): number {
    return this.cpu.vmreadNumber(VMCS.GUEST_RFLAGS);
  }

  /** Ends the blocking of interrupts by STI or MOV SS, as every completed instruction does. */
  clearInterruptShadow(): void {
    const state = this.cpu.vmreadNumber(VMCS.GUEST_INTERRUPTIBILITY_STATE);
    const blocking = INTERRUPTIBILITY.BLOCKING_BY_STI | INTERRUPTIBILITY.BLOCKING_BY_MOV_SS;
    if ((state & blocking) !== 0)
      this.cpu.vmwriteNumber(VMCS.GUEST_INTERRUPTIBILITY_STATE, state & ~blocking);
  }

  /** Sets RIP after the exiting instruction (skip_emulated_instruction). */
  skipInstruction(): void {
    this.cacheRip();
    const low = (this.ripWords[0]! >>> 0) + this.cpu.vmreadNumber(VMCS.VM_EXIT_INSTRUCTION_LENGTH);
    this.ripWords[0] = low;
    if (low > 0xffffffff) this.ripWords[1]!++;
    this.dirty |= CACHED.RIP;
    this.clearInterruptShadow();
  }

  segmentBase(segment: SegmentNumber): bigint {
    return this.cpu.vmread(VMCS.GUEST_ES_BASE + segment * 2);
  }
  segmentAccessRights(segment: SegmentNumber): number {
    return this.cpu.vmreadNumber(VMCS.GUEST_ES_ACCESS_RIGHTS + segment * 2);
  }
  readSegment(segment: SegmentNumber): VcpuSegment {
    const { cpu } = this;
    return {
      base: cpu.vmread(VMCS.GUEST_ES_BASE + segment * 2),
      limit: cpu.vmreadNumber(VMCS.GUEST_ES_LIMIT + segment * 2),
      selector: cpu.vmreadNumber(VMCS.GUEST_ES_SELECTOR + segment * 2),
      accessRights: cpu.vmreadNumber(VMCS.GUEST_ES_ACCESS_RIGHTS + segment * 2),
    };
  }
  writeSegment(segment: SegmentNumber, value: VcpuSegment): void {
    const { cpu } = this;
    cpu.vmwrite(VMCS.GUEST_ES_BASE + segment * 2, value.base);
    cpu.vmwriteNumber(VMCS.GUEST_ES_LIMIT + segment * 2, value.limit);
    cpu.vmwriteNumber(VMCS.GUEST_ES_SELECTOR + segment * 2, value.selector);
    cpu.vmwriteNumber(VMCS.GUEST_ES_ACCESS_RIGHTS + segment * 2, value.accessRights);
  }

  /** Current privilege level: DPL of SS, one VMREAD. */
  readPrivilegeLevel(): number {
    return (this.segmentAccessRights(SEGMENT.SS) >> 5) & 3;
  }

  /** TSC_OFFSET, of which KVM keeps a copy in memory. Its VMCS must be current. */
  tscOffset(): bigint {
    return this.cpu.peekVmcs(VMCS.TSC_OFFSET);
  }
}
