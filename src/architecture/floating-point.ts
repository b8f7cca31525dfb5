/** The x87 and SSE state: FXSAVE area, control and status words (SDM Vol. 1, 8.1 and Table 10-2). */

/** Byte offsets in the FXSAVE area, 64-bit layout. */
export const FXSAVE = {
  CONTROL_WORD: 0,
  STATUS_WORD: 2,
  /** One bit per physical register: 1 = not empty. */
  TAGS: 4,
  OPCODE: 6,
  INSTRUCTION_POINTER: 8,
  DATA_POINTER: 16,
  MXCSR: 24,
  MXCSR_MASK: 28,
  /** ST(0) … ST(7), 16 bytes each, of which 10 count. */
  ST: 32,
  XMM: 160,
  /** End of what FXSAVE writes in 64-bit mode; in other modes XMM8 … XMM15 are left out. */
  END: 416,
  END_LEGACY: 288,
  SIZE: 512,
} as const;

export const REGISTER_STRIDE = 16;

/** Status word. The six exception flags have their masks at the same places of the control word. */
export const FSW = {
  IE: 1 << 0,
  DE: 1 << 1,
  EXCEPTIONS: 0x3f,
  SF: 1 << 6,
  ES: 1 << 7,
  C0: 1 << 8,
  C1: 1 << 9,
  C2: 1 << 10,
  TOP_SHIFT: 11,
  C3: 1 << 14,
  B: 1 << 15,
} as const;

/** Control word after FNINIT: all exceptions masked, 64-bit precision, round to nearest. */
export const FCW_INITIAL = 0x37f;
/** Bits of the control word that exist; bit 6 always reads 1. */
export const FCW_DEFINED = 0x1f3f;
export const FCW_FIXED = 0x40;

export const MXCSR_INITIAL = 0x1f80;
/** MXCSR bits that exist: all 16, denormals-are-zeros among them. */
export const MXCSR_MASK = 0xffff;
