/** The one table of encodings: what decoder, disassembler, assembler, engine and tests all read. */

import { ARITHMETIC } from './arithmetic.js';
import { BIT } from './bit.js';
import { CONTROL_TRANSFER } from './control-transfer.js';
import { DATA_TRANSFER } from './data-transfer.js';
import { DECIMAL } from './decimal.js';
import type { Encoding } from './encoding.js';
import { FLAG } from './flag.js';
import { IO } from './io.js';
import { LOGIC } from './logic.js';
import { MISCELLANEOUS } from './miscellaneous.js';
import { NOP } from './nop.js';
import { parseFamilies } from './row-parser.js';
import { SEGMENT_REGISTER } from './segment.js';
import { SHIFT_ROTATE } from './shift-rotate.js';
import { STACK } from './stack.js';
import { STATE_SAVE } from './state-save.js';
import { STRING } from './string.js';
import { SYSTEM } from './system.js';
import { VMX } from './vmx.js';
import { X87 } from './x87.js';

export type {
  Encoding,
  OpcodeMap,
  OperandAccess,
  OperandForm,
  OperandSlot,
} from './encoding.js';
export type { Family } from './family.js';
export { FAMILIES } from './family.js';
export { Instruction, NO_REGISTER, PREFIX, RIP_BASE } from './instruction.js';
export { MalformedRowError } from './malformed-row-error.js';

/** Every encoding; `ENCODINGS[n].index === n`. */
export const ENCODINGS: readonly Encoding[] = parseFamilies([
  DATA_TRANSFER,
  STACK,
  ARITHMETIC,
  DECIMAL,
  LOGIC,
  SHIFT_ROTATE,
  BIT,
  STRING,
  CONTROL_TRANSFER,
  FLAG,
  IO,
  SEGMENT_REGISTER,
  MISCELLANEOUS,
  NOP,
  SYSTEM,
  VMX,
  X87,
  STATE_SAVE,
]);

const BY_ID: ReadonlyMap<string, Encoding> = new Map(ENCODINGS.map((encoding) => [encoding.id, encoding]));

function groupByMnemonic(): ReadonlyMap<string, readonly Encoding[]> {
  const groups = new Map<string, Encoding[]>();
  for (const encoding of ENCODINGS)
    for (const name of [encoding.mnemonic, ...encoding.aliases]) {
      const group = groups.get(name);
      if (group) group.push(encoding);
      else groups.set(name, [encoding]);
    }
  return groups;
}

const BY_MNEMONIC = groupByMnemonic();

/** The encoding with this id (`ADD_rm64_r64`), or undefined. */
export function encodingById(id: string): Encoding | undefined {
  return BY_ID.get(id);
}

/** All encodings of a mnemonic or alias, in upper case, in the order of the table; empty when there are none. */
export function encodingsByMnemonic(mnemonic: string): readonly Encoding[] {
  return BY_MNEMONIC.get(mnemonic) ?? [];
}
