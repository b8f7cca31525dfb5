import { describe, expect, it } from 'vitest';
import { jsonSink, TRACE_SCHEMA } from '../../src/trace/json-sink.js';
import { describeInstruction, exitRecord } from './records.js';

describe('JSON sink', () => {
  const written = (instructions = false): { lines: string[]; sink: ReturnType<typeof jsonSink> } => {
    const lines: string[] = [];
    return {
      lines,
      sink: jsonSink({ write: (line) => lines.push(line), describeInstruction, instructions }),
    };
  };

  it('writes an exit as one document with hex strings for 64-bit values', () => {
    const { lines, sink } = written();
    sink.vmExit?.(exitRecord({ qualification: 0xffffffffffffffffn, guestPhysicalAddress: 0xfee000b0 }));
    expect(lines).toHaveLength(1);
    expect(lines[0]).not.toContain('\n');
    expect(JSON.parse(lines[0] as string)).toMatchObject({
      schema: TRACE_SCHEMA,
      type: 'exit',
      rip: '0x100013',
      qualification: '0xffffffffffffffff',
      guestPhysicalAddress: '0xfee000b0',
      instruction: 'out 0x80,al',
      instructionBytes: 'e680',
      cycles: 10000,
      stages: [{ name: 'host acquires control', cycles: 400 }, { name: 'exit handler runs' }],
    });
  });

  it('leaves out what is not known', () => {
    const { lines, sink } = written();
    sink.vmExit?.(exitRecord());
    expect(JSON.parse(lines[0] as string)).not.toHaveProperty('guestPhysicalAddress');
  });

  it('listens for instructions only when asked', () => {
    expect(written().sink.instruction).toBeUndefined();
    const { lines, sink } = written(true);
    const changes = [{ name: 'rax', before: 0n, after: 1n << 63n }];
    sink.instruction?.({ vcpu: 0, time: 1, rip: 1n, bytes: Uint8Array.of(0x90), changes });
    expect(JSON.parse(lines[0] as string).changes).toEqual([
      { name: 'rax', before: '0x0', after: '0x8000000000000000' },
    ]);
  });
});
