/** Delivery through the interrupt vector table (SDM Vol. 3B, 20.1.4 Interrupt and Exception Handling). */

import { SEGMENT } from '../../architecture/registers.js';
import { RFLAGS } from '../../architecture/rflags.js';
import type { ProcessorCore, ProcessorEvent } from '../core.js';
import { setRealModeSegment } from '../segmentation/segment-register.js';
import { Stack } from '../segmentation/stack.js';
import { STATE } from '../state/layout.js';
import { flagsToPush, returnAddress } from './event.js';
import { raiseGeneralProtection } from './faults.js';

export function deliverInRealMode(core: ProcessorCore, event: ProcessorEvent, injected: boolean): void {
  const { state } = core;
  const offset = event.vector * 4;
  if (offset + 3 > (state.read32(STATE.IDTR_LIMIT) & 0xffff)) raiseGeneralProtection();
  const address = BigInt.asUintN(32, state.read64(STATE.IDTR_BASE) + BigInt(offset));
  const vector = Number(core.linear.read(address, 4, 'system'));

  const stack = Stack.current(core);
  stack.push(2, BigInt(flagsToPush(core, event, injected) & 0xffff));
  stack.push(2, BigInt(state.segment(SEGMENT.CS).selector));
  stack.push(2, returnAddress(core, event));

  stack.commit();
  setRealModeSegment(core, SEGMENT.CS, vector >>> 16);
  state.rip = BigInt(vector & 0xffff);
  state.rflags &= ~(RFLAGS.IF | RFLAGS.TF | RFLAGS.AC | RFLAGS.RF);
}
