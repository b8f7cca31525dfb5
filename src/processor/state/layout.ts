/**
 * Where a processor keeps its state: byte offsets within its block of the machine's linear memory. Generated
 * code and TypeScript both take their offsets from here.
 */

/** Bytes of one processor's block, tables excluded. */
export const PROCESSOR_BLOCK_SIZE = 0x1000;

export const STATE = {
  /** 16 × 8 bytes, in encoding order. */
  GPR: 0x000,
  /** Always zero: base or index of an address that has none. */
  ZERO: 0x080,
  RIP: 0x088,
  /**
   * Lazy arithmetic flags. RESULT is the last result, sign-extended from its width: ZF is RESULT = 0, SF its sign, PF
   * the parity of its low byte. CARRIES holds bit 63 = CF, bits 63 xor 62 = OF, bit 3 = AF, and in bits 0, 1, 2
   * corrections that are xor-ed to ZF, SF, PF (for images that no result can give, such as ZF with SF).
   */
  FLAG_RESULT: 0x090,
  FLAG_CARRIES: 0x098,
  /** All other RFLAGS bits, as in RFLAGS; arithmetic flags clear, bit 1 set. 32 bits. */
  RFLAGS_OTHER: 0x0a0,
  /** What is left of the run's budget: instructions in the low half, cycles in the high half, both signed. */
  BUDGET: 0x0a8,
  /** Why generated code was left (an `EXIT` number) and at which record. */
  EXIT_REASON: 0x0b0,
  EXIT_RECORD: 0x0b4,
  /** Linear-memory address of the TLB for the current privilege. */
  TLB: 0x0b8,
  /** Linear-memory address of the jump cache. */
  JUMP_CACHE: 0x0bc,
  /** Number of the current execution mode (privilege, code size, …): part of every code-cache key. */
  MODE: 0x0c0,
  /** Vector and error code raised by generated code (EXIT.FAULT). */
  FAULT_VECTOR: 0x0c4,
  FAULT_ERROR_CODE: 0x0c8,
  /** Remainder left by the 128-bit division helper. */
  DIVISION_REMAINDER: 0x0d0,

  /** 8 segment registers in `SEGMENT` order, `SEGMENT_STRIDE` bytes each. */
  SEGMENTS: 0x100,

  GDTR_BASE: 0x200,
  GDTR_LIMIT: 0x208,
  IDTR_BASE: 0x210,
  IDTR_LIMIT: 0x218,
  CR0: 0x220,
  CR2: 0x228,
  CR3: 0x230,
  CR4: 0x238,
  CR8: 0x240,
  XCR0: 0x248,
  /** DR0–DR7, 8 bytes each. */
  DEBUG: 0x250,
  /** Model-specific registers that the processor itself uses, 8 bytes each. */
  EFER: 0x290,
  STAR: 0x298,
  LSTAR: 0x2a0,
  CSTAR: 0x2a8,
  SYSCALL_MASK: 0x2b0,
  KERNEL_GS_BASE: 0x2b8,
  TSC_AUX: 0x2c0,
  SYSENTER_CS: 0x2c8,
  SYSENTER_ESP: 0x2d0,
  SYSENTER_EIP: 0x2d8,
  PAT: 0x2e0,
  DEBUGCTL: 0x2e8,
  APIC_BASE: 0x2f0,
  FEATURE_CONTROL: 0x2f8,
  MISC_ENABLE: 0x300,
  /** What RDTSC adds to the cycles since reset: WRMSR to TIME_STAMP_COUNTER changes it. */
  TSC_ADJUST: 0x308,

  /** What MODE and the paging mode were last worked out from: one word for each of `MODE_INPUTS`. */
  MODE_INPUTS: 0x310,
  /** What the TLB's translations rest on, as VM exits note it: one word for each of `TRANSLATION_INPUTS`. */
  TRANSLATION_INPUTS: 0x330,

  /** The 512-byte FXSAVE image that is the x87 and SSE state (SDM Vol. 1, 10.5.1 FXSAVE Area). */
  FXSAVE_IMAGE: 0x400,

  /** Bounce buffers for accesses that do not go straight to RAM, `BOUNCE_SIZE` bytes each. */
  READ_BOUNCE: 0x800,
  WRITE_BOUNCE: 0x900,
} as const;

export const BOUNCE_SIZE = 64;
export const READ_BOUNCES = 4;
export const WRITE_BOUNCES = 16;

/** One segment register: base (8), limit in bytes (4), access rights in VMCS format (4), selector (2). */
export const SEGMENT_FIELD = { BASE: 0, LIMIT: 8, ACCESS_RIGHTS: 12, SELECTOR: 16 } as const;
export const SEGMENT_STRIDE = 32;
