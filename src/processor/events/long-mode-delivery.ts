/** Delivery through the IDT in IA-32e mode (SDM Vol. 3A, 6.14 Exception and Interrupt Handling in 64-bit Mode). */

import { isCanonical } from '../../architecture/canonical-address.js';
import {
  ACCESS_RIGHTS,
  type Gate,
  isCodeSegment,
  isConforming,
  isPresent,
  parseGate,
  privilegeOf,
  SYSTEM_TYPE,
} from '../../architecture/descriptors.js';
import { SEGMENT } from '../../architecture/registers.js';
import { RFLAGS } from '../../architecture/rflags.js';
import { TSS64 } from '../../architecture/task-state-segment.js';
import type { ProcessorCore, ProcessorEvent } from '../core.js';
import {
  isNullSelector,
  markAccessed,
  readDescriptor,
  selectorErrorCode,
} from '../segmentation/descriptor-table.js';
import { setNullSegment, setSegment } from '../segmentation/segment-register.js';
import { Stack } from '../segmentation/stack.js';
import { readTaskStack64 } from '../segmentation/task-stack.js';
import { STATE } from '../state/layout.js';
import { flagsToPush, isSoftwareEvent, returnAddress } from './event.js';
import { raiseGeneralProtection, raiseNotPresent } from './faults.js';

/** Error code that names an IDT entry. The EXT bit is added by the caller of delivery. */
export const gateErrorCode = (vector: number): number => vector * 8 + 2;

/** Flags cleared on the way into a handler (SDM Vol. 3A, 6.12.1.3 Flag Usage). */
export const HANDLER_CLEARED_FLAGS = RFLAGS.TF | RFLAGS.NT | RFLAGS.RF | RFLAGS.VM;

function readGate(core: ProcessorCore, event: ProcessorEvent): Gate {
  const { state, linear } = core;
  const errorCode = gateErrorCode(event.vector);
  const offset = event.vector * 16;
  if (offset + 15 > (state.read32(STATE.IDTR_LIMIT) & 0xffff)) raiseGeneralProtection(errorCode);
  const address = BigInt.asUintN(64, state.read64(STATE.IDTR_BASE) + BigInt(offset));
  const gate = parseGate(linear.read(address, 8, 'system'), linear.read(address + 8n, 8, 'system'));
  const type = gate.accessRights & 0x1f;
  if (type !== SYSTEM_TYPE.INTERRUPT_GATE && type !== SYSTEM_TYPE.TRAP_GATE)
    raiseGeneralProtection(errorCode);
  if (isSoftwareEvent(event) && privilegeOf(gate.accessRights) < state.cpl) raiseGeneralProtection(errorCode);
  if (!isPresent(gate.accessRights)) raiseNotPresent(errorCode);
  return gate;
}

/**
 * Delivers `event`; nothing but memory has changed when it throws.
 * @param injected VM entry injects it
 */
export function deliverInLongMode(core: ProcessorCore, event: ProcessorEvent, injected: boolean): void {
  const { state } = core;
  const gate = readGate(core, event);

  if (isNullSelector(gate.selector)) raiseGeneralProtection();
  const errorCode = selectorErrorCode(gate.selector);
  const target = readDescriptor(core, gate.selector);
  const oldPrivilege = state.cpl;
  if (
    target === undefined ||
    !isCodeSegment(target.accessRights) ||
    privilegeOf(target.accessRights) > oldPrivilege
  )
    raiseGeneralProtection(errorCode);
  if (!isPresent(target.accessRights)) raiseNotPresent(errorCode);
  const codeSize = target.accessRights & (ACCESS_RIGHTS.LONG | ACCESS_RIGHTS.BIG);
  if (codeSize !== ACCESS_RIGHTS.LONG) raiseGeneralProtection(errorCode);

  const newPrivilege = isConforming(target.accessRights) ? oldPrivilege : privilegeOf(target.accessRights);
  const oldStack = Stack.current(core).pointer;
  let pointer = oldStack;
  if (gate.interruptStack !== 0) pointer = readTaskStack64(core, TSS64.IST_BASE + gate.interruptStack * 8);
  else if (newPrivilege !== oldPrivilege) pointer = readTaskStack64(core, TSS64.RSP0 + newPrivilege * 8);
  if (!isCanonical(gate.offset)) raiseGeneralProtection();

  const stack = new Stack(core, undefined, pointer & ~0xfn, newPrivilege === 3 ? 'current' : 'system');
  stack.push(8, BigInt(state.segment(SEGMENT.SS).selector));
  stack.push(8, oldStack);
  stack.push(8, BigInt(flagsToPush(core, event, injected)));
  stack.push(8, BigInt(state.segment(SEGMENT.CS).selector));
  stack.push(8, returnAddress(core, event));
  if (event.errorCode !== undefined) stack.push(8, BigInt(event.errorCode));
  const accessed = markAccessed(core, gate.selector, target);

  stack.commit();
  if (newPrivilege !== oldPrivilege) setNullSegment(core, SEGMENT.SS, newPrivilege, newPrivilege);
  setSegment(core, SEGMENT.CS, errorCode | newPrivilege, accessed);
  state.rip = gate.offset;
  const interruptGate = (gate.accessRights & 0x1f) === SYSTEM_TYPE.INTERRUPT_GATE;
  state.rflags &= ~(HANDLER_CLEARED_FLAGS | (interruptGate ? RFLAGS.IF : 0));
}
