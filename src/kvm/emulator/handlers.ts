/** Which rows of the table the emulator executes, by the number of the row. */

import { ENCODINGS, type Encoding } from '../../instruction-set/index.js';
import { ARITHMETIC } from './execute/arithmetic.js';
import { BIT } from './execute/bit.js';
import { DATA_TRANSFER } from './execute/data-transfer.js';
import { PORT } from './execute/port.js';
import { SHIFT_ROTATE } from './execute/shift-rotate.js';
import { STACK } from './execute/stack.js';
import { STRING } from './execute/string.js';
import type { Handler, HandlerTable } from './handler.js';

const TABLE: HandlerTable = {
  ...ARITHMETIC,
  ...BIT,
  ...DATA_TRANSFER,
  ...PORT,
  ...SHIFT_ROTATE,
  ...STACK,
  ...STRING,
};

/** Only general registers and memory: moves to and from segment, control and debug registers are other work. */
const isGeneral = (encoding: Encoding): boolean =>
  encoding.operands.every(
    ({ registerClass }) => registerClass === undefined || registerClass.startsWith('gpr'),
  );

const BY_ROW: readonly (Handler | undefined)[] = ENCODINGS.map((encoding) =>
  isGeneral(encoding) ? TABLE[encoding.mnemonic] : undefined,
);

/** How the emulator executes a row; undefined when it does not. */
export function handlerOf(encoding: Encoding): Handler | undefined {
  return BY_ROW[encoding.index];
}
