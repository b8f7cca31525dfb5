/**
 * Exit codes of the command line. Those of the guest, (value << 1) | 1, are odd; those for the ways in which a run can
 * fail are even, so that they can't be taken for each other.
 */

export const EXIT = {
  OK: 0,
  /** The command could not do its work: errors in the source, no such file, an image that can't be loaded. */
  FAILURE: 1,
  /** Wrong options or arguments. */
  USAGE: 2,
  /** The guest shut itself down: triple fault. */
  TRIPLE_FAULT: 112,
  /** The guest used something that exitscope does not implement yet. */
  UNIMPLEMENTED: 114,
  /** The processor refused to enter the guest. */
  ENTRY_FAILURE: 116,
  /** A defect of exitscope itself. */
  INTERNAL: 118,
  /** --max-instructions was reached. */
  LIMIT: 124,
  INTERRUPTED: 130,
  /** Whoever read the output has gone: 128 + SIGPIPE, as for any program in a pipe. */
  BROKEN_PIPE: 141,
} as const;

export const EXIT_CODE_HELP = `Exit codes:
  0        the guest halted with interrupts off (cli, hlt)
  odd      the guest wrote v to port 0xf4: (v << 1) | 1
  1        failure: file, source or image; the guest reset the machine
  2        wrong usage
  112      the guest shut down (triple fault)
  114      the guest used something that is not implemented
  116      VM entry failed
  118      a defect of exitscope
  124      --max-instructions reached
  130      interrupted (Ctrl-C)
  141      the reader of the output has gone
  --success-exit-code N turns N into 0, and 0 into 1.`;
