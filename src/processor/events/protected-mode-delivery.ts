/** Delivery through the IDT in protected mode (SDM Vol. 3A, 6.12 Exception and Interrupt Handling). */

import {
  type Descriptor,
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
import type { ProcessorCore, ProcessorEvent } from '../core.js';
import { UnimplementedFeatureError } from '../errors.js';
import {
  isNullSelector,
  markAccessed,
  readDescriptor,
  selectorErrorCode,
} from '../segmentation/descriptor-table.js';
import { isVirtual8086Mode } from '../segmentation/mode.js';
import { setNullSegment, setSegment } from '../segmentation/segment-register.js';
import { Stack } from '../segmentation/stack.js';
import { checkStackDescriptor, readTaskStack } from '../segmentation/task-stack.js';
import { STATE } from '../state/layout.js';
import { flagsToPush, isSoftwareEvent, returnAddress } from './event.js';
import { raiseGeneralProtection, raiseNotPresent } from './faults.js';
import { gateErrorCode, HANDLER_CLEARED_FLAGS } from './long-mode-delivery.js';

const GATE_TYPES: ReadonlySet<number> = new Set([
  SYSTEM_TYPE.TASK_GATE,
  SYSTEM_TYPE.INTERRUPT_GATE16,
  SYSTEM_TYPE.TRAP_GATE16,
  SYSTEM_TYPE.INTERRUPT_GATE,
  SYSTEM_TYPE.TRAP_GATE,
]);

function readGate(core: ProcessorCore, event: ProcessorEvent): Gate {
  const { state } = core;
  const errorCode = gateErrorCode(event.vector);
  const offset = event.vector * 8;
  if (offset + 7 > (state.read32(STATE.IDTR_LIMIT) & 0xffff)) raiseGeneralProtection(errorCode);
  const gate = parseGate(
    core.linear.read(BigInt.asUintN(32, state.read64(STATE.IDTR_BASE) + BigInt(offset)), 8, 'system'),
    0n,
  );
  if (!GATE_TYPES.has(gate.accessRights & 0x1f)) raiseGeneralProtection(errorCode);
  if (isSoftwareEvent(event) && privilegeOf(gate.accessRights) < state.cpl) raiseGeneralProtection(errorCode);
  if (!isPresent(gate.accessRights)) raiseNotPresent(errorCode);
  return gate;
}

/** The new stack of an inter-privilege delivery, with the descriptor of its segment. */
function innerStack(
  core: ProcessorCore,
  privilege: number,
): { selector: number; descriptor: Descriptor; stack: Stack } {
  const { selector, pointer } = readTaskStack(core, privilege);
  const descriptor = checkStackDescriptor(core, selector, privilege);
  const stack = new Stack(core, descriptor, pointer, 'system', selectorErrorCode(selector));
  return { selector, descriptor, stack };
}

/**
 * Delivers `event`; nothing but memory has changed when it throws.
 * @throws UnimplementedFeatureError for task gates
 */
export function deliverInProtectedMode(core: ProcessorCore, event: ProcessorEvent, injected: boolean): void {
  const { state } = core;
  const virtual8086 = isVirtual8086Mode(state);
  const softwareInterruptLevel = (state.rflags & RFLAGS.IOPL) >> 12;
  if (virtual8086 && event.type === 'software-interrupt' && softwareInterruptLevel < 3 && !injected)
    raiseGeneralProtection();
  const gate = readGate(core, event);
  const type = gate.accessRights & 0x1f;
  if (type === SYSTEM_TYPE.TASK_GATE)
    throw new UnimplementedFeatureError('task switch through a task gate', state.rip);

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
  const newPrivilege = isConforming(target.accessRights) ? oldPrivilege : privilegeOf(target.accessRights);
  if (virtual8086 && newPrivilege !== 0) raiseGeneralProtection(errorCode);

  const wide = type === SYSTEM_TYPE.INTERRUPT_GATE || type === SYSTEM_TYPE.TRAP_GATE;
  const size = wide ? 4 : 2;
  const offset = wide ? gate.offset : gate.offset & 0xffffn;
  if (offset > BigInt(target.limit)) raiseGeneralProtection();

  const inner = newPrivilege === oldPrivilege ? undefined : innerStack(core, newPrivilege);
  const oldStack = Stack.current(core);
  const stack = inner?.stack ?? oldStack;
  if (inner !== undefined) {
    if (virtual8086)
      for (const segment of [SEGMENT.GS, SEGMENT.FS, SEGMENT.DS, SEGMENT.ES])
        stack.push(size, BigInt(state.segment(segment).selector));
    stack.push(size, BigInt(state.segment(SEGMENT.SS).selector));
    stack.push(size, oldStack.pointer);
  }
  stack.push(size, BigInt(flagsToPush(core, event, injected)));
  stack.push(size, BigInt(state.segment(SEGMENT.CS).selector));
  stack.push(size, returnAddress(core, event));
  if (event.errorCode !== undefined) stack.push(size, BigInt(event.errorCode));
  const accessed = markAccessed(core, gate.selector, target);
  const stackDescriptor = inner && markAccessed(core, inner.selector, inner.descriptor);

  stack.commit();
  const interruptGate = type === SYSTEM_TYPE.INTERRUPT_GATE || type === SYSTEM_TYPE.INTERRUPT_GATE16;
  state.rflags &= ~(HANDLER_CLEARED_FLAGS | (interruptGate ? RFLAGS.IF : 0));
  if (inner !== undefined) setSegment(core, SEGMENT.SS, inner.selector, stackDescriptor!);
  if (virtual8086)
    for (const segment of [SEGMENT.GS, SEGMENT.FS, SEGMENT.DS, SEGMENT.ES]) setNullSegment(core, segment, 0);
  setSegment(core, SEGMENT.CS, errorCode | newPrivilege, accessed);
  state.rip = offset;
}
