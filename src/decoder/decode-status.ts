/** What decoding a byte sequence came to. */

export const DecodeStatus = {
  /** An instruction was decoded. */
  OK: 0,
  /** No continuation of these bytes is an instruction of the table: #UD, or more than 15 bytes (#GP). */
  INVALID: 1,
  /** The bytes end before the instruction does. */
  NEEDS_MORE: 2,
} as const;

export type DecodeStatus = (typeof DecodeStatus)[keyof typeof DecodeStatus];
