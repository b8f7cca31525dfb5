/** PUSH and POP of registers, memory and immediates. */

import type { Handler, HandlerTable } from '../handler.js';

const push: Handler = (e) => {
  const size = e.instruction.operandSize >> 3;
  // Read before RSP moves: PUSH RSP pushes the old value.
  const value = e.read(0);
  e.memory.write(e.stackAddress(BigInt(-size)), size, value);
  e.moveStackPointer(BigInt(-size));
};

/** The address of a memory destination is computed with RSP already incremented (SDM Vol. 2B, POP). */
const pop: Handler = (e) => {
  const size = e.instruction.operandSize >> 3;
  const value = e.memory.read(e.stackAddress(0n), size);
  e.moveStackPointer(BigInt(size));
  e.write(0, value);
};

export const STACK: HandlerTable = { PUSH: push, POP: pop };
