/** Builds and runs the native harness, where there is an x86-64 Linux with gcc. */

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  initialState,
  keepLowHalves,
  MAX_CODE,
  type Outcome,
  TESTED_FLAGS,
  type TestCase,
  WINDOW_SIZE,
} from './test-case.js';

const CASE_SIZE = 8 + MAX_CODE + 16 * 8 + 8 + WINDOW_SIZE;
const RESULT_SIZE = 16 * 8 + 8 + 8 + 4 + 4 + 8 + 8 + WINDOW_SIZE;
const NO_VECTOR = 0xffff_ffff;
const HANG = 0xffff_fffe;
const PAGE_FAULT = 14;
const CASES_PER_RUN = 20_000;

/** Why the harness can't run here; undefined when it can. */
export function reasonAgainstNative(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'needs x86-64 Linux';
  if (spawnSync('gcc', ['--version']).status !== 0) return 'needs gcc';
  return undefined;
}

export class NativeHarness {
  readonly #folder: string;
  readonly #program: string;

  constructor() {
    this.#folder = mkdtempSync(join(tmpdir(), 'harness-'));
    this.#program = join(this.#folder, 'harness');
    const source = join(import.meta.dirname, 'native', 'harness.c');
    execFileSync('gcc', ['-O2', '-Wall', '-Werror', '-static', '-no-pie', '-o', this.#program, source]);
  }

  /** Vendor, brand, family, model and stepping of this processor. */
  identify(): string {
    return execFileSync(this.#program, ['--identify'], { encoding: 'utf8' }).trim();
  }

  /** The outcome of each case; undefined for one that wrote outside its window or did not end. */
  run(cases: readonly TestCase[]): (Outcome | undefined)[] {
    const outcomes: (Outcome | undefined)[] = [];
    for (let first = 0; first < cases.length; first += CASES_PER_RUN) {
      const part = cases.slice(first, first + CASES_PER_RUN);
      const output = execFileSync(this.#program, {
        input: encodeCases(part),
        maxBuffer: RESULT_SIZE * part.length + 1024,
      });
      if (output.length !== RESULT_SIZE * part.length) throw new Error('the harness lost a case');
      for (const [index, { codeSize }] of part.entries()) {
        const outcome = decodeResult(output.subarray(index * RESULT_SIZE, (index + 1) * RESULT_SIZE));
        if (outcome !== undefined && codeSize === 32) keepLowHalves(outcome.registers);
        outcomes.push(outcome);
      }
    }
    return outcomes;
  }

  close(): void {
    rmSync(this.#folder, { recursive: true });
  }
}

function encodeCases(cases: readonly TestCase[]): Uint8Array {
  const bytes = new Uint8Array(cases.length * CASE_SIZE);
  const view = new DataView(bytes.buffer);
  for (const [index, testCase] of cases.entries()) {
    const state = initialState(testCase);
    let at = index * CASE_SIZE;
    view.setUint32(at, testCase.code.length, true);
    view.setUint32(at + 4, testCase.codeSize, true);
    bytes.set(testCase.code, at + 8);
    at += 8 + MAX_CODE;
    for (const [register, value] of state.registers.entries())
      view.setBigUint64(at + 8 * register, value, true);
    view.setBigUint64(at + 128, BigInt(state.rflags), true);
    bytes.set(state.window, at + 136);
  }
  return bytes;
}

function decodeResult(bytes: Uint8Array): Outcome | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const vector = view.getUint32(144, true);
  const wroteOutside = view.getUint32(160, true) !== 0;
  if (wroteOutside || vector === HANG) return undefined;
  return {
    registers: BigUint64Array.from({ length: 16 }, (_, index) => view.getBigUint64(8 * index, true)),
    rip: view.getBigUint64(128, true),
    rflags: Number(view.getBigUint64(136, true)) & TESTED_FLAGS,
    vector: vector === NO_VECTOR ? undefined : vector,
    errorCode: vector === NO_VECTOR ? 0 : view.getUint32(148, true),
    cr2: vector === PAGE_FAULT ? view.getBigUint64(152, true) : 0n,
    window: bytes.slice(168, 168 + WINDOW_SIZE),
  };
}
