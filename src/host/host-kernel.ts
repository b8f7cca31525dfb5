/**
 * The host kernel's own state: the values that a 64-bit Linux keeps in its registers, distinct from any guest's, and how
 * a CPU is put into that state.
 */

import { CR0, CR4, EFER } from '../architecture/control-registers.js';
import { MSR } from '../architecture/msrs.js';
import { SEGMENT } from '../architecture/registers.js';
import { STATE } from '../processor/state/layout.js';
import type { HostDescriptors } from './host-registers.js';
import type { PhysicalCpu } from './physical-cpu.js';

/** Segment selectors of the host kernel (arch/x86/include/asm/segment.h). */
export const HOST_SELECTOR = { KERNEL_CODE: 0x10, KERNEL_DATA: 0x18, USER_DATA: 0x2b, TSS: 0x40 } as const;

/** Values that user space of the host relies on: system calls go where these say. */
export const HOST_SYSCALL_MSRS: readonly (readonly [number, bigint])[] = [
  [MSR.SYSCALL_MASK, 0x47700n],
  [MSR.LSTAR, 0xffffffff81011dc0n],
  [MSR.CSTAR, 0xffffffff8104d960n],
  [MSR.STAR, 0x0023001000000000n],
  [MSR.EFER, BigInt(EFER.SCE | EFER.LME | EFER.LMA | EFER.NXE)],
  [MSR.TSC_AUX, 0n],
];

/** Entry point of SYSENTER; the stack differs per CPU. */
export const HOST_SYSENTER_EIP = 0xffffffff8104d5c0n;
const HOST_IDT_BASE = 0xffffffff81dd6000n;
const HOST_CR3 = 0x1000n;
const PER_CPU_BASE = 0xffff880001a00000n;
const PER_CPU_SIZE = 0x20000n;
const CODE_64 = 0xa09b;
const DATA = 0xc093;
const BUSY_TSS = 0x8b;
const UNUSABLE = 0x10000;

/** Base of a CPU's per-CPU area: what GS points to in the host kernel. */
export const hostKernelGsBase = (cpuNumber: number): bigint =>
  PER_CPU_BASE + PER_CPU_SIZE * BigInt(cpuNumber);
const hostSysenterStack = (cpuNumber: number): bigint => hostKernelGsBase(cpuNumber) + 0x13200n;

export function hostDescriptors(cpuNumber: number): HostDescriptors {
  const perCpu = hostKernelGsBase(cpuNumber);
  return {
    tssSelector: HOST_SELECTOR.TSS,
    tssBase: perCpu + 0x11a00n,
    // The I/O permission bitmap makes it longer than the 0x67 that a VM exit leaves.
    tssLimit: 0x2087,
    gdtBase: perCpu + 0x4000n,
    gdtLimit: 0x7f,
  };
}

/** Puts a CPU into the state of a running 64-bit kernel, in kernel mode, interrupts on, VMX allowed. */
export function bootHostCpu(cpu: PhysicalCpu): void {
  const { state } = cpu.processor;
  state.cr0 = CR0.PG | CR0.AM | CR0.WP | CR0.NE | CR0.ET | CR0.TS | CR0.MP | CR0.PE;
  state.cr3 = HOST_CR3;
  state.cr4 = CR4.PAE | CR4.PSE | CR4.PGE | CR4.MCE | CR4.DE | CR4.OSFXSR | CR4.OSXMMEXCPT | CR4.VMXE;
  const segment = (number: number, selector: number, accessRights: number): void => {
    const register = state.segment(number);
    register.selector = selector;
    register.base = 0n;
    register.limit = 0xffffffff;
    register.accessRights = accessRights;
  };
  segment(SEGMENT.CS, HOST_SELECTOR.KERNEL_CODE, CODE_64);
  segment(SEGMENT.SS, HOST_SELECTOR.KERNEL_DATA, DATA);
  // As threads with 64-bit code have them.
  for (const number of [SEGMENT.DS, SEGMENT.ES]) segment(number, 0, DATA | 0x60);
  for (const number of [SEGMENT.FS, SEGMENT.GS]) segment(number, 0, DATA);
  segment(SEGMENT.LDTR, 0, UNUSABLE);
  segment(SEGMENT.TR, HOST_SELECTOR.TSS, BUSY_TSS);
  state.segment(SEGMENT.GS).base = hostKernelGsBase(cpu.number);
  state.write64(STATE.KERNEL_GS_BASE, 0n);
  state.write64(STATE.IDTR_BASE, HOST_IDT_BASE);
  state.write32(STATE.IDTR_LIMIT, 0xfff);
  state.write64(STATE.SYSENTER_CS, BigInt(HOST_SELECTOR.KERNEL_CODE));
  state.write64(STATE.SYSENTER_ESP, hostSysenterStack(cpu.number));
  state.write64(STATE.SYSENTER_EIP, HOST_SYSENTER_EIP);
  // Bit 0 locks the register, bit 2 allows VMXON outside SMX (SDM Vol. 3C, 23.7).
  state.write64(STATE.FEATURE_CONTROL, 5n);
  cpu.withoutCharge(() => {
    for (const [index, value] of HOST_SYSCALL_MSRS) cpu.wrmsr(index, value);
    cpu.ltr();
    cpu.lgdt();
  });
}
