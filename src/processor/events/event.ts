/** Making events and telling their kinds apart (SDM Vol. 3A, 6.3 Sources of Interrupts, 6.5 Exception Classifications). */

import { CR0 } from '../../architecture/control-registers.js';
import { RFLAGS } from '../../architecture/rflags.js';
import { VECTOR } from '../../architecture/vectors.js';
import type { GuestFault, ProcessorCore, ProcessorEvent } from '../core.js';
import type { ProcessorState } from '../state/processor-state.js';

/** DR6 bits (SDM Vol. 3B, 17.2.3 Debug Status Register). */
export const DR6 = { BD: 1 << 13, BS: 1 << 14 } as const;

/**
 * @param payload for #PF the address that goes to CR2, for #DB the bits that go to DR6
 */
export function exceptionEvent(
  vector: number,
  errorCode: number | undefined = undefined,
  payload: bigint | undefined = undefined,
): ProcessorEvent {
  return { type: 'hardware-exception', vector, errorCode, instructionLength: 0, payload };
}

/** The exception that a fault raises. In real-address mode exceptions have no error code. */
export function faultToEvent(state: ProcessorState, fault: GuestFault): ProcessorEvent {
  const errorCode = (state.cr0 & CR0.PE) !== 0 ? fault.errorCode : undefined;
  return exceptionEvent(fault.vector, errorCode, fault.linearAddress);
}

/** INT n, INT3 and INTO: delivery checks the DPL of the gate and faults in it have EXT = 0. */
export const isSoftwareEvent = (event: ProcessorEvent): boolean =>
  event.type === 'software-interrupt' || event.type === 'software-exception';

const NOT_FAULTS: ReadonlySet<number> = new Set([
  VECTOR.DB,
  VECTOR.NMI,
  VECTOR.BP,
  VECTOR.OF,
  VECTOR.DF,
  VECTOR.MC,
]);

/** Fault-class exceptions, general-detect debug exceptions among them. */
export function isFaultClass(event: ProcessorEvent): boolean {
  if (event.type !== 'hardware-exception') return false;
  if (event.vector === VECTOR.DB) return ((event.payload ?? 0n) & BigInt(DR6.BD)) !== 0n;
  return !NOT_FAULTS.has(event.vector);
}

/**
 * The RFLAGS image that delivery pushes (SDM Vol. 3B, 17.3.1.1 Instruction-Breakpoint Exception Condition: RF is pushed
 * as 1 for fault-class exceptions).
 * @param injected VM entry injects it: RF is pushed as it is (SDM Vol. 3C, 26.6.1.1)
 */
export function flagsToPush(core: ProcessorCore, event: ProcessorEvent, injected: boolean): number {
  const flags = core.state.rflags;
  return !injected && isFaultClass(event) ? flags | RFLAGS.RF : flags;
}

/** The RIP that delivery pushes: behind the instruction for software events. */
export const returnAddress = (core: ProcessorCore, event: ProcessorEvent): bigint =>
  core.state.rip + BigInt(event.instructionLength);
