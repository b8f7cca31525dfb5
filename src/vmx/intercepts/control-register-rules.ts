/**
 * What guest/host masks and read shadows do to accesses to CR0 and CR4 (SDM Vol. 3C, 25.1.3 and 25.3 Changes to
 * Instruction Behavior in VMX Non-Root Operation). Masks and shadows are 32 bits: both registers have no more.
 */

import { CR0 } from '../../architecture/control-registers.js';

/** What the guest reads: shadow where the host owns the bit, the register elsewhere. Unsigned. */
export const visible = (register: number, mask: number, shadow: number): number =>
  ((register & ~mask) | (shadow & mask)) >>> 0;

/** A write exits when a host-owned bit would differ from its shadow. */
export function writeExits(value: bigint, mask: number, shadow: number): boolean {
  // Bits 63:32 are not owned by the host: setting them faults in the guest.
  return ((Number(value & 0xffffffffn) ^ shadow) & mask) !== 0;
}

/** The value that reaches the register: host-owned bits keep what they are. */
export const merge = (value: bigint, register: number, mask: number): bigint =>
  (value & ~0xffffffffn) | BigInt(((Number(value & 0xffffffffn) & ~mask) | (register & mask)) >>> 0);

/** CLTS exits when TS is set in mask and shadow; with the mask only, it does nothing. */
export function cltsEffect(mask: number, shadow: number): 'exited' | 'clear' | 'ignore' {
  if ((mask & CR0.TS) === 0) return 'clear';
  return (shadow & CR0.TS) !== 0 ? 'exited' : 'ignore';
}

/** LMSW: bits 3:1 exit when they would differ from the shadow, PE only when it would be set (LMSW can't clear it). */
export function lmswExits(source: number, mask: number, shadow: number): boolean {
  if ((mask & CR0.PE) !== 0 && (source & CR0.PE) !== 0 && (shadow & CR0.PE) === 0) return true;
  return ((source ^ shadow) & mask & 0xe) !== 0;
}

/** The new low four bits of CR0. */
export function lmswResult(source: number, register: number, mask: number): number {
  const merged = (source & ~mask) | (register & mask);
  return (merged & 0xe) | ((register | (source & ~mask)) & CR0.PE);
}
