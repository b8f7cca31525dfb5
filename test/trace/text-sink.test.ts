import { describe, expect, it } from 'vitest';
import { instructionSink } from '../../src/trace/instruction-sink.js';
import { textHeading, textSink } from '../../src/trace/text-sink.js';
import { describeInstruction, exitRecord } from './records.js';

describe('text sink', () => {
  it('writes one line for an exit: time, RIP, instruction, reason, weight, cycles, words', () => {
    const lines: string[] = [];
    textSink({ write: (line) => lines.push(line), describeInstruction }).vmExit?.(exitRecord());
    expect(lines).toEqual([
      '    1,234,567  0x100013      out 0x80,al                       IO_INSTRUCTION       heavy    10,000  ' +
        'OUT 1 byte to port 0x80 → handled in user space: POST port',
    ]);
  });

  it('has a heading whose columns stand above those of the lines', () => {
    const lines: string[] = [];
    textSink({ write: (line) => lines.push(line), describeInstruction }).vmExit?.(exitRecord());
    for (const [heading, value] of [
      ['RIP', '0x100013'],
      ['instruction', 'out 0x80'],
      ['exit', 'IO_INSTR'],
      ['what', 'OUT 1 byte'],
    ] as const)
      expect(textHeading().indexOf(heading), heading).toBe(lines[0]?.indexOf(value));
  });

  it('adds stages and their operations', () => {
    const lines: string[] = [];
    textSink({ write: (line) => lines.push(line), describeInstruction, stages: true }).vmExit?.(exitRecord());
    expect(lines.slice(1).map((line) => line.trim())).toEqual([
      '400  host acquires control  VM exit 400',
      '400  exit handler runs      2 × VMREAD 60',
    ]);
  });

  it('cuts an instruction that is too long for its column', () => {
    const lines: string[] = [];
    const long = 'mov qword [rax + rcx * 8 + 0x12345678], 0x7fffffff';
    textSink({ write: (line) => lines.push(line), describeInstruction: () => long }).vmExit?.(exitRecord());
    expect(lines[0]).toContain('mov qword [rax + rcx * 8 + 0x12…  IO_INSTRUCTION');
  });

  it.each([
    ['#NM', { interruptionInformation: 0x80000307 }],
    [
      '#PF, error code 0x2, 0x1000',
      { interruptionInformation: 0x80000b0e, interruptionErrorCode: 2, description: '0x1000' },
    ],
    ['NMI', { interruptionInformation: 0x80000202 }],
  ])('names the exception %s', (words, fields) => {
    const lines: string[] = [];
    const record = exitRecord({
      reason: 0,
      reasonName: 'EXCEPTION_NMI',
      description: '',
      actions: [],
      ...fields,
    });
    textSink({ write: (line) => lines.push(line), describeInstruction }).vmExit?.(record);
    expect(lines[0]).toMatch(new RegExp(`  ${words}$`));
  });

  it('says which address an EPT violation is about', () => {
    const lines: string[] = [];
    const description = 'write, not present';
    const record = exitRecord({ description, actions: ['page mapped'], guestPhysicalAddress: 0x200000 });
    textSink({ write: (line) => lines.push(line), describeInstruction }).vmExit?.(record);
    expect(lines[0]).toMatch(/ {2}at 0x200000: write, not present → page mapped$/);
  });

  it('writes what was injected below the exit during which it happened', () => {
    const lines: string[] = [];
    const sink = textSink({ write: (line) => lines.push(line), describeInstruction });
    sink.injection?.({ vcpu: 0, time: 900, kind: 'exception', vector: 13, errorCode: 0 });
    sink.injection?.({ vcpu: 0, time: 1900, kind: 'interrupt', vector: 64, errorCode: undefined });
    expect(lines).toEqual([]);
    sink.vmExit?.(exitRecord({ time: 1000 }));
    expect(lines[0]).toBe('          900  inject #GP, error code 0x0');
    expect(lines[1]).toContain('IO_INSTRUCTION');
    expect(lines[2]).toBe('        1,900  inject interrupt, vector 64');
  });
});

describe('instruction sink', () => {
  it('writes the registers and flags that changed', () => {
    const lines: string[] = [];
    instructionSink({ write: (line) => lines.push(line), describeInstruction }).instruction?.({
      vcpu: 0,
      time: 10,
      rip: 0x100015n,
      bytes: Uint8Array.of(0xff, 0xc9),
      changes: [
        { name: 'rcx', before: 16n, after: 15n },
        { name: 'rflags', before: 0x2n | 0x40n, after: 0x2n | 0x1n | 0x80n },
      ],
    });
    expect(lines[0]?.replace(/ +/g, ' ')).toBe(' 10 0x100015 (bad) rcx=0xf rflags=+CF+SF-ZF');
  });
});
