/**
 * What guest instructions cost in cycles while the guest runs by itself. Instructions that leave the guest cost what the
 * hypervisor layer charges, plus this. The model is coarse on purpose: the cost of an exit is the subject here, and a
 * loop around it should cost what a loop costs.
 * Figures are for a Nehalem-class processor.
 */

import type { Encoding } from '../instruction-set/encoding.js';
import type { Family } from '../instruction-set/family.js';

/** A typical cost by family; pipelining makes most instructions cheaper, cache misses make some dearer. */
const BY_FAMILY: Readonly<Record<Family, number>> = {
  'data-transfer': 1,
  stack: 1,
  arithmetic: 1,
  decimal: 4,
  logic: 1,
  'shift-rotate': 1,
  bit: 1,
  string: 2,
  'control-transfer': 1,
  flag: 1,
  io: 20,
  segment: 14,
  miscellaneous: 1,
  nop: 1,
  system: 50,
  vmx: 30,
  x87: 4,
  'state-save': 100,
};

/** Instructions that stand out from their family. */
const BY_MNEMONIC: Readonly<Record<string, number>> = {
  MUL: 3,
  IMUL: 3,
  DIV: 28,
  IDIV: 30,
  // Serialising or microcoded.
  CPUID: 150,
  RDTSC: 24,
  RDTSCP: 30,
  RDMSR: 60,
  WRMSR: 175,
  SWAPGS: 25,
  CLTS: 70,
  LMSW: 70,
  LTR: 100,
  LLDT: 20,
  SLDT: 10,
  STR: 10,
  LGDT: 50,
  LIDT: 50,
  INVLPG: 120,
  // A SYSCALL and SYSRET pair takes 90 to 150.
  SYSCALL: 60,
  SYSRET: 60,
  SYSRETQ: 60,
  SYSENTER: 60,
  SYSEXIT: 60,
  SYSEXITQ: 60,
  // An INT n and IRET pair takes 200 to 350.
  INT: 150,
  INT3: 150,
  INTO: 4,
  IRETW: 120,
  IRETD: 120,
  IRETQ: 120,
  CLI: 4,
  STI: 4,
  POPFW: 8,
  POPFD: 8,
  POPFQ: 8,
  PAUSE: 9,
  MFENCE: 23,
  LFENCE: 8,
  SFENCE: 5,
  FXRSTOR: 110,
  FXRSTOR64: 110,
  FDIV: 20,
  FSQRT: 20,
  HLT: 1,
};

/** An exception or interrupt on its way through the IDT, without the handler. */
export const GUEST_EVENT_DELIVERY_CYCLES = 150;

/** MOV to and from control and debug registers, in cycles. */
const CONTROL_REGISTER_READ = 20;
const CONTROL_REGISTER_WRITE = 75;

/** Cycles of one execution (of one iteration, for repeated string instructions): a whole number, at least 1. */
export function guestInstructionCycles(encoding: Encoding): number {
  if (encoding.mnemonic === 'MOV' && encoding.family === 'system')
    return /^[CD]R/.test(encoding.operands[0]!.text) ? CONTROL_REGISTER_WRITE : CONTROL_REGISTER_READ;
  return BY_MNEMONIC[encoding.mnemonic] ?? BY_FAMILY[encoding.family];
}
