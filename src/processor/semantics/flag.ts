/** Flag control instructions (SDM Vol. 1, 7.3.13 Flag Control (EFLAG) Instructions) that need no privilege. */

import { HIGH_BYTE_REGISTER_BASE } from '../../architecture/registers.js';
import { RFLAGS } from '../../architecture/rflags.js';
import { i32, i64 } from '../../wasm/expression.js';
import type { Semantics } from './context.js';

const AH = HIGH_BYTE_REGISTER_BASE;
const STATUS_FLAGS_IN_AH = RFLAGS.SF | RFLAGS.ZF | RFLAGS.AF | RFLAGS.PF | RFLAGS.CF;

export const clc: Semantics = (context) => context.flags.set({ carry: i32(0) });
export const stc: Semantics = (context) => context.flags.set({ carry: i32(1) });
export const cmc: Semantics = (context) =>
  context.flags.set({ carry: context.letCondition(context.flags.carry().not()) });
export const cld: Semantics = (context) => context.flags.load(i64(0n), RFLAGS.DF);
export const std: Semantics = (context) => context.flags.load(i64(BigInt(RFLAGS.DF)), RFLAGS.DF);

/** LAHF: the low byte of RFLAGS with its fixed bits (bit 1 set, bits 3 and 5 clear). */
export const lahf: Semantics = (context) => {
  const image = context.flags.image().and(BigInt(STATUS_FLAGS_IN_AH)).or(BigInt(RFLAGS.FIXED));
  context.writeRegister(AH, 8, image);
};

export const sahf: Semantics = (context) =>
  context.flags.load(context.let(context.readRegister(AH, 8)), STATUS_FLAGS_IN_AH);
