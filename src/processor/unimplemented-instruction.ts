/** What the host is told about an instruction that the decoder knows and the processor does not. */

import type { Instruction } from '../instruction-set/instruction.js';
import type { ProcessorCore } from './core.js';
import { UnimplementedFeatureError, UnimplementedInstructionError } from './errors.js';

const OPEN_BUS = 0xff;

/** The error to throw for `instruction`, which lies at RIP. */
export function unimplementedInstruction(core: ProcessorCore, instruction: Instruction): Error {
  const { state, memory } = core;
  if (instruction.codeSize !== 64)
    return new UnimplementedFeatureError(`${instruction.codeSize}-bit code`, state.rip);
  const bytes = new Uint8Array(instruction.length);
  for (let n = 0; n < bytes.length; n++) {
    const physical = core.translate(state.rip + BigInt(n), 'fetch');
    bytes[n] = memory.contains(physical, 1) ? memory.read8(physical) : OPEN_BUS;
  }
  return new UnimplementedInstructionError(instruction.encoding.mnemonic, bytes, state.rip);
}
