/** RFLAGS bits (SDM Vol. 1, 3.4.3 EFLAGS Register). */

export const RFLAGS = {
  CF: 1 << 0,
  FIXED: 1 << 1,
  PF: 1 << 2,
  AF: 1 << 4,
  ZF: 1 << 6,
  SF: 1 << 7,
  TF: 1 << 8,
  IF: 1 << 9,
  DF: 1 << 10,
  OF: 1 << 11,
  IOPL: 3 << 12,
  NT: 1 << 14,
  RF: 1 << 16,
  VM: 1 << 17,
  AC: 1 << 18,
  VIF: 1 << 19,
  VIP: 1 << 20,
  ID: 1 << 21,
} as const;

export const ARITHMETIC_FLAGS = RFLAGS.CF | RFLAGS.PF | RFLAGS.AF | RFLAGS.ZF | RFLAGS.SF | RFLAGS.OF;

/** Letters used in encoding rows for the arithmetic flags and DF/IF, manual order. */
export const FLAG_LETTERS: Readonly<Record<string, number>> = {
  o: RFLAGS.OF,
  d: RFLAGS.DF,
  i: RFLAGS.IF,
  s: RFLAGS.SF,
  z: RFLAGS.ZF,
  a: RFLAGS.AF,
  p: RFLAGS.PF,
  c: RFLAGS.CF,
};
