/** IRET, IRETD, IRETQ (SDM Vol. 2A, IRET/IRETD/IRETQ: Interrupt Return). */

import { SELECTOR } from '../../architecture/descriptors.js';
import { SEGMENT } from '../../architecture/registers.js';
import { RFLAGS } from '../../architecture/rflags.js';
import { OUTCOME, type Outcome, type ProcessorCore } from '../core.js';
import { UnimplementedFeatureError } from '../errors.js';
import { raiseGeneralProtection, raiseNotPresent } from '../events/faults.js';
import { checkTarget, isLongCode, prepareCodeSegment } from './code-segment.js';
import { dropInnerDataSegments } from './data-segment.js';
import { jumpRealMode } from './far-jump.js';
import { mergeFlags, writableFlags } from './flags-image.js';
import { hasRealModeSegments, ioPrivilegeLevel, is64BitMode, isLongMode, isVirtual8086Mode } from './mode.js';
import { checkReturnCode, checkReturnStack, prepareReturnStack } from './return-checks.js';
import { setVirtual8086Segment } from './segment-register.js';
import { Stack } from './stack.js';

/** RFLAGS bits that IRET replaces at the present privilege. */
function returnFlagsMask(core: ProcessorCore, size: number): number {
  let mask = writableFlags(core.state, size);
  if (size > 2) mask |= RFLAGS.RF;
  if (size > 2 && core.state.cpl === 0 && !hasRealModeSegments(core.state)) mask |= RFLAGS.VIF | RFLAGS.VIP;
  return mask;
}

function returnToVirtual8086(
  core: ProcessorCore,
  stack: Stack,
  offset: bigint,
  selector: number,
  flags: number,
) {
  const { state } = core;
  const pointer = stack.pop(4);
  const [stackSegment, es, ds, fs, gs] = Array.from({ length: 5 }, () => Number(stack.pop(4) & 0xffffn));
  state.rflags = flags;
  const selectors = [
    [SEGMENT.CS, selector],
    [SEGMENT.SS, stackSegment],
    [SEGMENT.ES, es],
    [SEGMENT.DS, ds],
    [SEGMENT.FS, fs],
    [SEGMENT.GS, gs],
  ] as const;
  for (const [number, value] of selectors) setVirtual8086Segment(core, number, value!);
  new Stack(core, undefined, pointer).commit();
  state.rip = offset & 0xffffn;
}

/** @param size operand size in bytes: 2, 4 or 8 */
export function interruptReturn(core: ProcessorCore, size: number): Outcome {
  const { state } = core;
  const long = isLongMode(state);
  const nestedTask = (state.rflags & RFLAGS.NT) !== 0;
  if (isVirtual8086Mode(state) && ioPrivilegeLevel(state) < 3) raiseGeneralProtection();
  if (nestedTask && long) raiseGeneralProtection();
  if (nestedTask && !hasRealModeSegments(state))
    throw new UnimplementedFeatureError('task return by IRET', state.rip);

  const stack = Stack.current(core);
  const offset = stack.pop(size);
  const selector = Number(stack.pop(size) & 0xffffn);
  const flags = Number(stack.pop(size) & 0xffffffffn);
  const mask = returnFlagsMask(core, size);

  if (hasRealModeSegments(state)) {
    if (offset > BigInt(state.segment(SEGMENT.CS).limit)) raiseGeneralProtection();
    stack.commit();
    jumpRealMode(core, selector, offset);
    mergeFlags(state, flags, mask);
    core.nmiBlocked = false;
    return OUTCOME.JUMPED;
  }
  if (!long && size === 4 && (flags & RFLAGS.VM) !== 0 && state.cpl === 0) {
    returnToVirtual8086(core, stack, offset, selector, flags);
    core.nmiBlocked = false;
    return OUTCOME.JUMPED;
  }

  const oldPrivilege = state.cpl;
  const privilege = selector & SELECTOR.RPL;
  // In 64-bit mode SS:RSP is popped whatever the privilege levels are.
  const popsStack = is64BitMode(state) || privilege > oldPrivilege;
  const descriptor = checkReturnCode(core, selector);
  const toLong = isLongCode(core, descriptor);
  let commitStack = (): void => stack.commit();
  if (popsStack) {
    const pointer = stack.pop(size);
    const stackSelector = Number(stack.pop(size) & 0xffffn);
    const stackDescriptor = checkReturnStack(core, stackSelector, privilege, toLong, raiseNotPresent);
    checkTarget(core, descriptor, offset);
    const commitSegment = prepareReturnStack(core, stackSelector, stackDescriptor);
    commitStack = () => {
      new Stack(core, toLong ? undefined : stackDescriptor, pointer).commit();
      commitSegment();
    };
  } else checkTarget(core, descriptor, offset);
  const commitCode = prepareCodeSegment(core, selector, descriptor, offset, privilege);

  mergeFlags(state, flags, mask);
  commitStack();
  commitCode();
  if (privilege > oldPrivilege) dropInnerDataSegments(core, privilege);
  core.nmiBlocked = false;
  return OUTCOME.JUMPED;
}
