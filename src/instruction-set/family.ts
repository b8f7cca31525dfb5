/**
 * The families that the table of encodings is split into. They follow SDM Vol. 1, Chapter 5 (Instruction
 * Set Summary); the same name is used for the file of rows, for the file of semantics and for the tests.
 */

export const FAMILIES = [
  'data-transfer',
  'stack',
  'arithmetic',
  'decimal',
  'logic',
  'shift-rotate',
  'bit',
  'string',
  'control-transfer',
  'flag',
  'io',
  'segment',
  'miscellaneous',
  'nop',
  'system',
  'vmx',
  'x87',
  'state-save',
] as const;

export type Family = (typeof FAMILIES)[number];
