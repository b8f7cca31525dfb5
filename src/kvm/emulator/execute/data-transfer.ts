/** Moves, exchanges, conditional moves and flag loads. */

import { GPR, HIGH_BYTE_REGISTER_BASE } from '../../../architecture/registers.js';
import { RFLAGS } from '../../../architecture/rflags.js';
import { CONDITIONS } from '../../../instruction-set/condition.js';
import type { Emulation } from '../emulation.js';
import { conditionHolds, withFlags } from '../flags.js';
import type { Handler, HandlerTable } from '../handler.js';

const move: Handler = (e) => e.write(0, e.read(1));

const moveSignExtended: Handler = (e) => e.write(0, BigInt.asIntN(e.width(1), e.read(1)));

const exchange: Handler = (e) => {
  const first = e.read(0);
  const second = e.read(1);
  // The memory operand is always the first: it may fault, so it is written first.
  e.write(0, second);
  e.write(1, first);
};

function reverseBytes(value: bigint, width: number): bigint {
  let result = 0n;
  for (let done = 0; done < width; done += 8) result = (result << 8n) | ((value >> BigInt(done)) & 0xffn);
  return result;
}

/** BSWAP of a 16-bit register is undefined by the manual; processors clear it. */
const swapBytes: Handler = (e) => {
  const width = e.width(0);
  e.write(0, width === 16 ? 0n : reverseBytes(e.read(0), width));
};

const moveReversed: Handler = (e) => e.write(0, reverseBytes(e.read(1), e.width(1)));

const loadEffectiveAddress: Handler = (e) => e.write(0, e.effectiveAddress());

/** The source is read in any case, so that it faults in any case; a 32-bit destination is always zero-extended. */
const moveIf =
  (code: number): Handler =>
  (e) => {
    const source = e.read(1);
    e.write(0, conditionHolds(code, e.flags) ? source : e.read(0));
  };

const setIf =
  (code: number): Handler =>
  (e) =>
    e.write(0, conditionHolds(code, e.flags) ? 1n : 0n);

const translate: Handler = (e) => {
  const size = e.instruction.addressSize;
  const offset = BigInt.asUintN(size, e.register(GPR.RBX) + e.readGpr(GPR.RAX, 8));
  e.writeGpr(GPR.RAX, 8, e.memory.read(e.linear(e.dataSegment, offset), 1));
};

const SAHF_FLAGS = RFLAGS.SF | RFLAGS.ZF | RFLAGS.AF | RFLAGS.PF | RFLAGS.CF;

const setFlag =
  (flag: number, value: boolean): Handler =>
  (e) => {
    e.flags = withFlags(e.flags, flag, value ? flag : 0);
  };

const conditional = (stem: string, make: (code: number) => Handler): HandlerTable =>
  Object.fromEntries(CONDITIONS.map(({ code, names }) => [stem + names[0], make(code)]));

export const DATA_TRANSFER: HandlerTable = {
  MOV: move,
  MOVNTI: move,
  MOVZX: move,
  MOVSX: moveSignExtended,
  MOVSXD: moveSignExtended,
  MOVBE: moveReversed,
  XCHG: exchange,
  BSWAP: swapBytes,
  LEA: loadEffectiveAddress,
  XLATB: translate,
  ...conditional('CMOV', moveIf),
  ...conditional('SET', setIf),
  LAHF: (e: Emulation) =>
    e.writeGpr(HIGH_BYTE_REGISTER_BASE, 8, BigInt((e.flags & SAHF_FLAGS) | RFLAGS.FIXED)),
  SAHF: (e: Emulation) => {
    const loaded = Number(e.readGpr(HIGH_BYTE_REGISTER_BASE, 8));
    e.flags = withFlags(e.flags, SAHF_FLAGS, loaded & SAHF_FLAGS);
  },
  CLC: setFlag(RFLAGS.CF, false),
  STC: setFlag(RFLAGS.CF, true),
  CMC: (e: Emulation) => {
    e.flags ^= RFLAGS.CF;
  },
  CLD: setFlag(RFLAGS.DF, false),
  STD: setFlag(RFLAGS.DF, true),
  NOP: () => {},
};
