/** Which exceptions cause VM exits (SDM Vol. 3C, 25.2 Other Causes of VM Exits: Exceptions). */

import { VECTOR } from '../../architecture/vectors.js';
import type { ProcessorEvent } from '../../processor/core.js';
import type { ResumeFlag } from '../exit/exit-information.js';
import type { ExecutionControls } from './execution-controls.js';

/** A page fault exits if the bitmap's bit 14 equals "error code & mask = match". */
export function exceptionExits(controls: ExecutionControls, event: ProcessorEvent): boolean {
  const selected = ((controls.exceptionBitmap >> event.vector) & 1) !== 0;
  if (event.vector !== VECTOR.PF || event.type !== 'hardware-exception') return selected;
  const matches = ((event.errorCode ?? 0) & controls.pageFaultMask) === controls.pageFaultMatch;
  return matches === selected;
}

/** RFLAGS.RF in the image that delivery would have pushed: 1 for faults (Vol. 3A, 6.5). */
export function resumeFlagOf(event: ProcessorEvent): ResumeFlag {
  if (event.type !== 'hardware-exception') return 'keep';
  return event.vector === VECTOR.DB || event.vector === VECTOR.DF || event.vector === VECTOR.MC
    ? 'keep'
    : 'set';
}

/** Exit qualification: the linear address of a #PF, the DR6 bits of a #DB, otherwise 0. */
export function exceptionQualification(event: ProcessorEvent): bigint {
  if (event.type === 'hardware-exception' && event.vector === VECTOR.PF) return event.payload ?? 0n;
  if (event.vector === VECTOR.DB) return (event.payload ?? 0n) & 0x600fn;
  return 0n;
}
