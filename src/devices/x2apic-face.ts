/**
 * The x2APIC face of a local APIC: MSRs 0x800 … 0x8ff (SDM Vol. 3A, 11.12.1 Detecting and Enabling x2APIC Mode, Table
 * 11-6 Local APIC Register Address Map Supported by x2APIC; 11.12.1.3 Reserved Bit Checking).
 */

import type { LocalApic } from './local-apic.js';
import { APIC_REGISTER as REGISTER } from './local-apic-registers.js';

export const X2APIC_FIRST_MSR = 0x800;

/** Registers that can be read; ISR, TMR and IRR are added below. */
const READABLE = new Set<number>([
  REGISTER.ID,
  REGISTER.VERSION,
  REGISTER.TASK_PRIORITY,
  REGISTER.PROCESSOR_PRIORITY,
  REGISTER.LOGICAL_DESTINATION,
  REGISTER.SPURIOUS_VECTOR,
  REGISTER.ERROR_STATUS,
  REGISTER.INTERRUPT_COMMAND_LOW,
  REGISTER.LVT_TIMER,
  REGISTER.LVT_THERMAL,
  REGISTER.LVT_PERFORMANCE,
  REGISTER.LVT_LINT0,
  REGISTER.LVT_LINT1,
  REGISTER.LVT_ERROR,
  REGISTER.INITIAL_COUNT,
  REGISTER.CURRENT_COUNT,
  REGISTER.DIVIDE_CONFIGURATION,
]);
for (let offset: number = REGISTER.IN_SERVICE; offset < REGISTER.ERROR_STATUS; offset += 0x10)
  READABLE.add(offset);

/** Bits 31:0 that may be set in a write; every other bit set gives #GP. Absent: not writable. */
const WRITABLE_BITS: readonly (readonly [register: number, bits: number])[] = [
  [REGISTER.TASK_PRIORITY, 0xff],
  [REGISTER.EOI, 0],
  [REGISTER.SPURIOUS_VECTOR, 0x13ff],
  [REGISTER.ERROR_STATUS, 0],
  [REGISTER.INTERRUPT_COMMAND_LOW, 0x000ccfff],
  [REGISTER.LVT_TIMER, 0x700ff],
  [REGISTER.LVT_THERMAL, 0x107ff],
  [REGISTER.LVT_PERFORMANCE, 0x107ff],
  [REGISTER.LVT_LINT0, 0x1a7ff],
  [REGISTER.LVT_LINT1, 0x1a7ff],
  [REGISTER.LVT_ERROR, 0x100ff],
  [REGISTER.INITIAL_COUNT, 0xffffffff],
  [REGISTER.DIVIDE_CONFIGURATION, 0xb],
  [REGISTER.SELF_IPI, 0xff],
];

/** By MSR - `X2APIC_FIRST_MSR`: 1 for registers that can be written, and the bits of them that can't be set. */
const WRITABLE = new Uint8Array(256);
const RESERVED_BITS = new Int32Array(256);
for (const [register, bits] of WRITABLE_BITS) {
  WRITABLE[register >> 4] = 1;
  RESERVED_BITS[register >> 4] = ~bits;
}

/** The register at this xAPIC offset can be read in x2APIC mode. */
export const isReadableX2apic = (register: number): boolean => READABLE.has(register);

/** xAPIC offset of the register behind an MSR. */
export const x2apicRegister = (msr: number): number => (msr - X2APIC_FIRST_MSR) << 4;

/** The value of an MSR 0x800 … 0x8ff, or undefined for #GP: not in x2APIC mode, reserved or write only. */
export function readX2apic(apic: LocalApic, msr: number): bigint | undefined {
  const register = x2apicRegister(msr);
  if (apic.mode !== 'x2APIC' || !READABLE.has(register)) return undefined;
  const low = BigInt(apic.readRegister(register));
  if (register !== REGISTER.INTERRUPT_COMMAND_LOW) return low;
  return (BigInt(apic.readRegister(REGISTER.INTERRUPT_COMMAND_HIGH)) << 32n) | low;
}

/**
 * Writes an MSR 0x800 … 0x8ff. False means #GP: not in x2APIC mode, reserved, read only, or a reserved bit set.
 * @param low bits 31:0 of the value, unsigned
 * @param high bits 63:32, unsigned
 */
export function writeX2apic(apic: LocalApic, msr: number, low: number, high: number): boolean {
  const index = msr - X2APIC_FIRST_MSR;
  if (apic.mode !== 'x2APIC' || WRITABLE[index] !== 1 || (low & RESERVED_BITS[index]!) !== 0) return false;
  const register = x2apicRegister(msr);
  // Only the interrupt command has an upper half: the destination.
  if (register === REGISTER.INTERRUPT_COMMAND_LOW) apic.writeRegister(REGISTER.INTERRUPT_COMMAND_HIGH, high);
  else if (high !== 0) return false;
  apic.writeRegister(register, low);
  return true;
}
