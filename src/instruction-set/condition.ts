/** The sixteen conditions of Jcc, SETcc and CMOVcc (SDM Vol. 1, Appendix B EFLAGS Condition Codes). */

export interface Condition {
  /** Low four bits of the opcode. */
  readonly code: number;
  /** Suffix of the mnemonic, then its synonyms. */
  readonly names: readonly [string, ...string[]];
  /** Flags that it tests, as letters of an encoding row. */
  readonly flags: string;
}

export const CONDITIONS: readonly Condition[] = [
  { code: 0x0, names: ['O'], flags: 'o' },
  { code: 0x1, names: ['NO'], flags: 'o' },
  { code: 0x2, names: ['B', 'C', 'NAE'], flags: 'c' },
  { code: 0x3, names: ['AE', 'NB', 'NC'], flags: 'c' },
  { code: 0x4, names: ['E', 'Z'], flags: 'z' },
  { code: 0x5, names: ['NE', 'NZ'], flags: 'z' },
  { code: 0x6, names: ['BE', 'NA'], flags: 'zc' },
  { code: 0x7, names: ['A', 'NBE'], flags: 'zc' },
  { code: 0x8, names: ['S'], flags: 's' },
  { code: 0x9, names: ['NS'], flags: 's' },
  { code: 0xa, names: ['P', 'PE'], flags: 'p' },
  { code: 0xb, names: ['NP', 'PO'], flags: 'p' },
  { code: 0xc, names: ['L', 'NGE'], flags: 'os' },
  { code: 0xd, names: ['GE', 'NL'], flags: 'os' },
  { code: 0xe, names: ['LE', 'NG'], flags: 'osz' },
  { code: 0xf, names: ['G', 'NLE'], flags: 'osz' },
];
