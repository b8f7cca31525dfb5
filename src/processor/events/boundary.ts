/** What may happen between two instructions: VM exits that wait for the boundary, and interrupts. */

import type { ProcessorCore } from '../core.js';
import { DELIVERY, type Delivery, deliverInterrupt } from './delivery.js';

/** Whether `takeBoundaryEvent` has nothing to look for: a quick answer for the usual case. */
export function isBoundaryQuiet(core: ProcessorCore): boolean {
  const { intercepts } = core;
  if (core.interrupts.pending()) return false;
  if (intercepts === null) return true;
  const { preemptionDeadline } = intercepts;
  return (
    intercepts.quietAtBoundaries === true &&
    (preemptionDeadline === undefined || core.timeStampCounter < preemptionDeadline)
  );
}

/**
 * Takes what is due and not blocked, interrupts last (SDM Vol. 3A, 6.8).
 * @returns what became of it; undefined when there was nothing
 */
export function takeBoundaryEvent(core: ProcessorCore): Delivery | undefined {
  const { intercepts } = core;
  if (intercepts?.apicWritePending && intercepts.completeApicWrite!()) return DELIVERY.EXITED;
  if (core.timeStampCounter >= (intercepts?.preemptionDeadline ?? Number.POSITIVE_INFINITY))
    if (intercepts!.preemptionTimer!()) return DELIVERY.EXITED;
  if (core.interruptShadow !== 'none') return undefined;
  if (intercepts?.nmiWindowExiting && !core.nmiBlocked && intercepts.nmiWindow()) return DELIVERY.EXITED;
  const enabled = core.state.interruptsEnabled;
  if (intercepts?.interruptWindowExiting && enabled && intercepts.interruptWindow()) return DELIVERY.EXITED;
  if (intercepts?.virtualInterruptPending && enabled)
    return deliverInterrupt(core, intercepts.takeVirtualInterrupt!());
  if (!core.interrupts.pending()) return undefined;
  // What does not exit is the notification of posted interrupts: it may have brought a virtual interrupt.
  if (intercepts?.externalInterruptExiting)
    return intercepts.externalInterrupt(core.interrupts) ? DELIVERY.EXITED : takeBoundaryEvent(core);
  return enabled ? deliverInterrupt(core, core.interrupts.acknowledge()) : undefined;
}
