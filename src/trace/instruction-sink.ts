/** One line for each executed instruction, with the registers and flags that it changed. */

import type { RegisterChange, TraceSink } from './events.js';
import { flagNames } from './flag-names.js';
import {
  column,
  type DescribeInstruction,
  grouped,
  hexadecimal,
  type Palette,
  PLAIN,
  type WriteLine,
} from './format.js';

export interface InstructionSinkOptions {
  readonly write: WriteLine;
  readonly describeInstruction: DescribeInstruction;
  readonly palette?: Palette;
}

const WIDTH = { time: 13, rip: 12, instruction: 36 } as const;

export function instructionSink({
  write,
  describeInstruction,
  palette = PLAIN,
}: InstructionSinkOptions): TraceSink {
  return {
    instruction(record) {
      const line = [
        palette.quiet(grouped(record.time).padStart(WIDTH.time)),
        column(hexadecimal(record.rip), WIDTH.rip),
        column(describeInstruction(record.bytes, record.rip), WIDTH.instruction),
        record.changes.map(changeText).join(' '),
      ].join('  ');
      write(line.trimEnd());
    },
  };
}

/** `rax=0x10`, and for RFLAGS the flags that were set and cleared: `rflags=+ZF-CF`. */
function changeText({ name, before, after }: RegisterChange): string {
  if (name !== 'rflags') return `${name}=${hexadecimal(after)}`;
  const set = flagNames(after & ~before).map((flag) => `+${flag}`);
  const cleared = flagNames(before & ~after).map((flag) => `-${flag}`);
  return `rflags=${[...set, ...cleared].join('')}`;
}
