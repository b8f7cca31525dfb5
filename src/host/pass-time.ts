/** Virtual time that passes on a CPU while its thread does nothing else that the simulation knows of. */

import type { OperationNumber } from './cost/operations.js';
import type { CpuClock } from './cpu-clock.js';
import type { ThreadRequest } from './host-thread.js';

/** Charges an operation until a point of virtual time: in one piece to all others, wherever the simulation is interrupted. */
export function* passTime(
  cpu: CpuClock,
  time: number,
  operationNumber: OperationNumber,
): Generator<ThreadRequest, undefined, void> {
  for (;;) {
    cpu.waitUntil(Math.min(time, cpu.stopTime), operationNumber);
    if (cpu.now >= time) return undefined;
    cpu.cutShort = true;
    yield 'pause';
  }
}
