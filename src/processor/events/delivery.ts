/** Delivery of events with everything that can happen on the way: intercepts, nested faults, double faults, shutdown. */

import { VECTOR } from '../../architecture/vectors.js';
import {
  type EventType,
  GuestFault,
  OUTCOME,
  type ProcessorCore,
  type ProcessorEvent,
  VmExitSignal,
} from '../core.js';
import { isLongMode, isProtectedMode } from '../segmentation/mode.js';
import { STATE } from '../state/layout.js';
import { exceptionEvent, faultToEvent, isSoftwareEvent } from './event.js';
import { deliverInLongMode } from './long-mode-delivery.js';
import { combine } from './nesting.js';
import { deliverInProtectedMode } from './protected-mode-delivery.js';
import { deliverInRealMode } from './real-mode-delivery.js';

/** What became of a delivery; a subset of `OUTCOME`. */
export const DELIVERY = {
  /** RIP is at the handler. */
  DELIVERED: OUTCOME.JUMPED,
  /** A VM exit took place. */
  EXITED: OUTCOME.EXITED,
  /** Triple fault outside of VMX non-root operation. */
  SHUTDOWN: OUTCOME.SHUTDOWN,
} as const;
export type Delivery = (typeof DELIVERY)[keyof typeof DELIVERY];

/** DR7.GD: debug registers are protected. */
const DR7_GENERAL_DETECT = 1n << 13n;
/** Faults whose error code has the EXT bit (SDM Vol. 3A, 6.13 Error Code). */
const HAS_EXTERNAL_BIT: ReadonlySet<number> = new Set([VECTOR.TS, VECTOR.NP, VECTOR.SS, VECTOR.GP]);

/** CR2 and DR6 receive their values when the exception is certain not to exit. */
function storePayload(core: ProcessorCore, event: ProcessorEvent): void {
  const { state } = core;
  if (event.type !== 'hardware-exception' || event.payload === undefined) return;
  if (event.vector === VECTOR.PF) state.cr2 = event.payload;
  if (event.vector === VECTOR.DB) {
    state.write64(STATE.DEBUG + 6 * 8, state.read64(STATE.DEBUG + 6 * 8) | event.payload);
    state.write64(STATE.DEBUG + 7 * 8, state.read64(STATE.DEBUG + 7 * 8) & ~DR7_GENERAL_DETECT);
  }
}

function deliverOnce(core: ProcessorCore, event: ProcessorEvent, injected: boolean): void {
  storePayload(core, event);
  if (event.type === 'nmi') core.nmiBlocked = true;
  if (!isProtectedMode(core.state)) deliverInRealMode(core, event, injected);
  else if (isLongMode(core.state)) deliverInLongMode(core, event, injected);
  else deliverInProtectedMode(core, event, injected);
}

/** A fault that occurred while `event` was delivered. */
function nestedEvent(core: ProcessorCore, event: ProcessorEvent, fault: GuestFault): ProcessorEvent {
  const second = faultToEvent(core.state, fault);
  if (second.errorCode === undefined || isSoftwareEvent(event) || !HAS_EXTERNAL_BIT.has(second.vector))
    return second;
  return { ...second, errorCode: second.errorCode | 1 };
}

/** Exceptions of any kind, and NMIs; external interrupts are the step loop's matter and INT n never exits. */
function isInterceptable(event: ProcessorEvent): boolean {
  return event.type !== 'external-interrupt' && event.type !== 'software-interrupt';
}

function shutDown(core: ProcessorCore): Delivery {
  return core.intercepts?.tripleFault() ? DELIVERY.EXITED : DELIVERY.SHUTDOWN;
}

function deliver(core: ProcessorCore, first: ProcessorEvent, injected: boolean): Delivery {
  if (!injected && isInterceptable(first) && core.intercepts?.exception(first)) return DELIVERY.EXITED;
  let event = first;
  let injecting = injected;
  for (;;) {
    core.eventInDelivery = event;
    try {
      deliverOnce(core, event, injecting);
      core.eventInDelivery = undefined;
      core.interruptShadow = 'none';
      core.halted = false;
      return DELIVERY.DELIVERED;
    } catch (problem) {
      if (problem instanceof VmExitSignal && core.intercepts !== null) {
        core.intercepts.exit(problem);
        core.eventInDelivery = undefined;
        return DELIVERY.EXITED;
      }
      if (!(problem instanceof GuestFault)) {
        core.eventInDelivery = undefined;
        throw problem;
      }
      const second = nestedEvent(core, event, problem);
      const combination = combine(event, second);
      // The exception bitmap is asked for the second exception itself; only when it does not exit may a double or
      // triple fault come of it (SDM Vol. 3C, 25.2 Other Causes of VM Exits).
      if (core.intercepts?.exception(second)) {
        core.eventInDelivery = undefined;
        return DELIVERY.EXITED;
      }
      // From here on an exit is not one "during event delivery" of the first event (SDM Vol. 3C, 27.2.4).
      if (combination !== 'serially') core.eventInDelivery = undefined;
      if (combination === 'shutdown') return shutDown(core);
      if (combination === 'double-fault') {
        event = exceptionEvent(VECTOR.DF, isProtectedMode(core.state) ? 0 : undefined);
        if (core.intercepts?.exception(event)) return DELIVERY.EXITED;
      } else event = second;
      injecting = false;
    }
  }
}

/** Delivers any event, asking for interception of exceptions and NMIs first. */
export function deliverEvent(core: ProcessorCore, event: ProcessorEvent): Delivery {
  return deliver(core, event, false);
}

/** Delivers the exception that a fault of the running instruction raises; RIP is at the instruction. */
export function raiseFault(core: ProcessorCore, fault: GuestFault): Delivery {
  return deliver(core, faultToEvent(core.state, fault), false);
}

/** Delivers an interrupt between instructions. */
export function deliverInterrupt(
  core: ProcessorCore,
  vector: number,
  type: Extract<EventType, 'external-interrupt' | 'nmi'> = 'external-interrupt',
): Delivery {
  return deliver(
    core,
    { type, vector, errorCode: undefined, instructionLength: 0, payload: undefined },
    false,
  );
}

/**
 * Delivers an event that VM entry injects (SDM Vol. 3C, 26.6.1 Vectored-Event Injection): it is not subject to the
 * exception bitmap and changes neither CR2 nor DR6, and RF is pushed as it is.
 */
export function injectEvent(core: ProcessorCore, event: ProcessorEvent): Delivery {
  return deliver(core, { ...event, payload: undefined }, true);
}
