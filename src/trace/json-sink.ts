/** One JSON document per event and line. Values of 64 bits are hex strings; times and cycles are exact numbers. */

import type { TraceSink } from './events.js';
import { type DescribeInstruction, hexadecimal, hexadecimalBytes, type WriteLine } from './format.js';

/** Names the shape of the lines; the number grows when a field changes its meaning or goes away. */
export const TRACE_SCHEMA = 'exitscope.trace/1';

export interface JsonSinkOptions {
  readonly write: WriteLine;
  readonly describeInstruction: DescribeInstruction;
  /** Also writes executed instructions; without it the machine need not watch them. */
  readonly instructions?: boolean;
}

export function jsonSink({ write, describeInstruction, instructions = false }: JsonSinkOptions): TraceSink {
  const line = (type: string, fields: object): void =>
    write(JSON.stringify({ schema: TRACE_SCHEMA, type, ...fields }));
  const exits: TraceSink = {
    vmExit(record) {
      const { instructionBytes, rip, qualification, guestPhysicalAddress, stages, ...rest } = record;
      line('exit', {
        ...rest,
        rip: hexadecimal(rip),
        instruction: describeInstruction(instructionBytes, rip),
        instructionBytes: hexadecimalBytes(instructionBytes),
        qualification: hexadecimal(qualification),
        ...(guestPhysicalAddress === undefined
          ? {}
          : { guestPhysicalAddress: hexadecimal(guestPhysicalAddress) }),
        stages,
      });
    },
    injection(record) {
      line('injection', record);
    },
  };
  if (!instructions) return exits;
  return {
    ...exits,
    instruction({ bytes, rip, changes, ...rest }) {
      line('instruction', {
        ...rest,
        rip: hexadecimal(rip),
        bytes: hexadecimalBytes(bytes),
        instruction: describeInstruction(bytes, rip),
        changes: changes.map(({ name, before, after }) => ({
          name,
          before: hexadecimal(before),
          after: hexadecimal(after),
        })),
      });
    },
  };
}
