/** Text of machine code in 64-bit mode, for the trace sinks. */

import { DecodeStatus, decode } from '../decoder/index.js';
import { formatInstruction } from '../disassembler/index.js';
import { Instruction } from '../instruction-set/index.js';

/** The instruction at the start of `bytes`; `(no instruction)` for bytes that are none or can't be read. */
export function describeInstruction(bytes: Uint8Array, rip: bigint): string {
  const instruction = new Instruction();
  const status = decode(bytes, 0, bytes.length, 64, instruction);
  return status === DecodeStatus.OK ? formatInstruction(instruction, rip) : '(no instruction)';
}
