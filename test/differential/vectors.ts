/**
 * The file of captured outcomes: gzip of text, a line of JSON about its origin, then one line per case.
 *
 *     code seed overrides | vector:error:cr2 rip flags overrides
 *
 * Numbers are hexadecimal. The overrides before the bar are against the background state of the seed, those behind
 * it against the state that the case starts from: `r4=10000ff8` a register, `m10=c3` bytes of the window from an
 * offset on. `rip` is relative to the start of the code. `-` stands for nothing.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { gunzipSync, gzipSync } from 'node:zlib';
import {
  CODE_START,
  initialState,
  type MachineState,
  type Outcome,
  type Overrides,
  type TestCase,
} from './test-case.js';

export interface Origin {
  /** Vendor, brand, family, model and stepping of the processor that ran the cases. */
  readonly processor: string;
  /** Day of capture, YYYY-MM-DD. */
  readonly date: string;
  readonly generatorSeed: number;
  readonly cases: number;
  readonly codeSize: 32 | 64;
}

export interface Vector {
  readonly testCase: TestCase;
  readonly outcome: Outcome;
}

const hexBytes = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

function formatOverrides({ registers, window }: Overrides): string {
  const parts = [...registers].map(([register, value]) => `r${register.toString(16)}=${value.toString(16)}`);
  let run: { start: number; bytes: number[] } | undefined;
  for (const [offset, byte] of [...window].sort(([a], [b]) => a - b)) {
    if (run !== undefined && run.start + run.bytes.length === offset) run.bytes.push(byte);
    else {
      if (run !== undefined) parts.push(`m${run.start.toString(16)}=${hexBytes(Uint8Array.from(run.bytes))}`);
      run = { start: offset, bytes: [byte] };
    }
  }
  if (run !== undefined) parts.push(`m${run.start.toString(16)}=${hexBytes(Uint8Array.from(run.bytes))}`);
  return parts.join(',') || '-';
}

function parseOverrides(text: string): Overrides {
  const registers = new Map<number, bigint>();
  const window = new Map<number, number>();
  if (text !== '-')
    for (const part of text.split(',')) {
      const [place, value] = part.split('=') as [string, string];
      const number = Number.parseInt(place.slice(1), 16);
      if (place[0] === 'r') registers.set(number, BigInt(`0x${value}`));
      else for (const [index, byte] of Buffer.from(value, 'hex').entries()) window.set(number + index, byte);
    }
  return { registers, window };
}

function changes(before: MachineState, after: Outcome): Overrides {
  const registers = new Map<number, bigint>();
  const window = new Map<number, number>();
  for (const [register, value] of after.registers.entries())
    if (value !== before.registers[register]) registers.set(register, value);
  for (const [offset, byte] of after.window.entries())
    if (byte !== before.window[offset]) window.set(offset, byte);
  return { registers, window };
}

function formatVector({ testCase, outcome }: Vector): string {
  const fault =
    outcome.vector === undefined
      ? '-'
      : [outcome.vector, outcome.errorCode, outcome.cr2].map((n) => n.toString(16)).join(':');
  const rip = BigInt.asUintN(64, outcome.rip - BigInt(CODE_START)).toString(16);
  const start = `${hexBytes(testCase.code)} ${testCase.seed.toString(16)} ${formatOverrides(testCase.overrides)}`;
  const end = formatOverrides(changes(initialState(testCase), outcome));
  return `${start} | ${fault} ${rip} ${outcome.rflags.toString(16)} ${end}`;
}

function parseVector(line: string, codeSize: 32 | 64): Vector {
  const [code, seed, overrides, , fault, rip, flags, changed] = line.split(' ') as string[] as [
    string,
    string,
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  const testCase: TestCase = {
    code: Uint8Array.from(Buffer.from(code, 'hex')),
    codeSize,
    seed: Number.parseInt(seed, 16),
    overrides: parseOverrides(overrides),
  };
  const { registers, window } = initialState(testCase);
  const after = parseOverrides(changed);
  for (const [register, value] of after.registers) registers[register] = value;
  for (const [offset, byte] of after.window) window[offset] = byte;
  const [vector, errorCode, cr2] = fault === '-' ? [] : fault.split(':').map((text) => BigInt(`0x${text}`));
  return {
    testCase,
    outcome: {
      registers,
      rip: BigInt.asUintN(64, BigInt(`0x${rip}`) + BigInt(CODE_START)),
      rflags: Number.parseInt(flags, 16),
      vector: vector === undefined ? undefined : Number(vector),
      errorCode: Number(errorCode ?? 0n),
      cr2: cr2 ?? 0n,
      window,
    },
  };
}

export function writeVectors(file: string, origin: Origin, vectors: readonly Vector[]): void {
  const lines = [JSON.stringify(origin), ...vectors.map(formatVector)];
  writeFileSync(file, gzipSync(lines.join('\n') + '\n', { level: 9 }));
}

export function readVectors(file: string): { origin: Origin; vectors: Vector[] } {
  const [header, ...lines] = gunzipSync(readFileSync(file)).toString('utf8').trimEnd().split('\n');
  const origin = JSON.parse(header as string) as Origin;
  return { origin, vectors: lines.map((line) => parseVector(line, origin.codeSize)) };
}
