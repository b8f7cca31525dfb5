/** The opcode field of a row: `o64 0F 01 /7 ib`. The notation is explained in row-parser.ts. */

import type { OpcodeMap } from './encoding.js';
import { MalformedRowError } from './malformed-row-error.js';

export type Size = 0 | 16 | 32 | 64;

const WIDTH_LETTERS: Readonly<Record<string, number>> = { b: 8, w: 16, d: 32, q: 64 };
export interface Pattern {
  readonly map: OpcodeMap;
  readonly opcode: number;
  readonly opcodeRegister: boolean;
  readonly mandatoryPrefix: 0 | 0x66 | 0xf2 | 0xf3;
  readonly noPrefix: boolean;
  readonly noRepeatPrefix: boolean;
  readonly modrmHasRegister: boolean;
  readonly modrmReg: number;
  readonly modrmFixed: number;
  /** `C0+i`: ModRM holds a register of the x87 stack in rm. */
  readonly modrmStack: boolean;
  readonly operandSize: Size;
  readonly addressSize: Size;
  /** Widths in bits of the immediates and displacements, in order of encoding; -1 for an offset. */
  readonly trailing: readonly number[];
}

/** Splits the opcode bytes off: `0F`, `0F 38` and `0F 3A` choose the map, a byte behind the opcode is ModRM. */
function splitOpcode(bytes: readonly number[], row: string): { map: OpcodeMap; rest: readonly number[] } {
  let map: OpcodeMap = 0;
  let skip = 0;
  if (bytes[0] === 0x0f && bytes.length > 1) {
    map = bytes[1] === 0x38 ? 2 : bytes[1] === 0x3a ? 3 : 1;
    skip = map === 1 ? 1 : 2;
  }
  const rest = bytes.slice(skip);
  if (rest.length < 1 || rest.length > 2) throw new MalformedRowError(row, 'opcode expected');
  return { map, rest };
}

/**
 * @param row the source line, for the error.
 * @throws MalformedRowError
 */
export function parsePattern(text: string, row: string): Pattern {
  const bytes: number[] = [];
  const trailing: number[] = [];
  let mandatoryPrefix: Pattern['mandatoryPrefix'] = 0;
  let noPrefix = false;
  let noRepeatPrefix = false;
  let opcodeRegister = false;
  let modrmStack = false;
  let modrmHasRegister = false;
  let modrmReg = -1;
  let operandSize: Size = 0;
  let addressSize: Size = 0;
  for (const token of text.split(' ').filter(Boolean)) {
    const size = /^([oa])(16|32|64)$/.exec(token);
    const trailer = /^[ic]([bwdq])$/.exec(token);
    if (size) {
      if (size[1] === 'o') operandSize = Number(size[2]) as Size;
      else addressSize = Number(size[2]) as Size;
    } else if (token === 'NP') noPrefix = true;
    else if (token === 'NFx') noRepeatPrefix = true;
    else if (bytes.length === 0 && /^(66|F2|F3)$/.test(token))
      mandatoryPrefix = Number.parseInt(token, 16) as Pattern['mandatoryPrefix'];
    else if (/^[0-9A-F]{2}(\+[ri])?$/.test(token)) {
      bytes.push(Number.parseInt(token, 16));
      if (token.endsWith('+r')) opcodeRegister = true;
      if (token.endsWith('+i')) modrmStack = true;
    } else if (token === '/r') modrmHasRegister = true;
    else if (/^\/[0-7]$/.test(token)) modrmReg = Number(token[1]);
    else if (trailer) trailing.push(WIDTH_LETTERS[trailer[1]]!);
    else if (token === 'mo') trailing.push(-1);
    else if (token === 'cp') trailing.push(16 + operandSize);
    else throw new MalformedRowError(row, `unknown pattern token '${token}'`);
  }
  const { map, rest } = splitOpcode(bytes, row);
  const modrmByte = rest[1] ?? -1;
  if (modrmByte >= 0 && (modrmReg >= 0 || modrmHasRegister))
    throw new MalformedRowError(row, 'two ModRM bytes');
  if (modrmStack) modrmReg = (modrmByte >> 3) & 7;
  return {
    map,
    opcode: rest[0]!,
    opcodeRegister,
    mandatoryPrefix,
    noPrefix,
    noRepeatPrefix,
    modrmHasRegister,
    modrmReg,
    modrmFixed: modrmStack ? -1 : modrmByte,
    modrmStack,
    operandSize,
    addressSize,
    trailing,
  };
}
