/** Random and mutated bytes: the decoder never throws and agrees with iced-x86 about what is an instruction. */

import { describe, expect, it } from 'vitest';
import { DecodeStatus, decode } from '../../src/decoder/index.js';
import { ENCODINGS, Instruction } from '../../src/instruction-set/index.js';
import { decodeWithIced, icedLength } from '../support/iced.js';
import { type CodeSize, codeSizesOf, generateInstruction } from '../support/instruction-generator.js';
import { RandomSource } from '../support/random-source.js';

const CODE_SIZES: readonly CodeSize[] = [16, 32, 64];
/** Byte sequences per run, over all code sizes; the full run takes EXITSCOPE_FUZZ=10000000. */
const SEQUENCES = Number(process.env.EXITSCOPE_FUZZ ?? 300_000);
const COMPARED = Math.min(SEQUENCES, 120_000);
const TIMEOUT_IN_MILLISECONDS = 3_600_000;
const WINDOW = 16;

const PREFIX_BYTES = [
  0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x40, 0x41, 0x44, 0x48, 0x4f,
];

/** Random bytes behind a few prefixes, half of them in the 0F maps. */
function fillRandom(window: Uint8Array, random: RandomSource): void {
  let position = 0;
  if (random.oneIn(3))
    for (let n = random.below(5); n > 0; n--) window[position++] = random.pick(PREFIX_BYTES);
  if (random.oneIn(2)) {
    window[position++] = 0x0f;
    if (random.oneIn(8)) window[position++] = random.oneIn(2) ? 0x38 : 0x3a;
  }
  while (position < WINDOW) window[position++] = random.next() >>> 8;
}

/** A valid instance with a byte changed, a prefix put before it, or random bytes behind it. */
function fillMutated(window: Uint8Array, codeSize: CodeSize, random: RandomSource): void {
  const encoding = ENCODINGS[random.below(ENCODINGS.length)]!;
  const sizes = codeSizesOf(encoding);
  const bytes = generateInstruction(encoding, sizes.includes(codeSize) ? codeSize : sizes[0]!, random);
  let position = 0;
  if (random.oneIn(2)) window[position++] = random.pick(PREFIX_BYTES);
  for (const byte of bytes) if (position < WINDOW) window[position++] = byte;
  while (position < WINDOW) window[position++] = random.next() >>> 8;
  if (random.oneIn(2)) window[random.below(bytes.length)] = random.next() >>> 8;
}

/** iced's names of the CPUID features that the table covers completely. */
const COVERED: ReadonlySet<string> = new Set(
  `INTEL8086 INTEL186 INTEL286 INTEL386 INTEL486 X64 FPU FPU287 FPU387 CMOV CX8 CMPXCHG16B MOVBE BMI1_TZCNT LZCNT
   POPCNT FSGSBASE CPUID PREFETCHW PREFETCHWT1 CLFSH CLFLUSHOPT CLWB RDRAND RDSEED PAUSE MULTIBYTENOP INVPCID SMM
   MSR TSC RDTSCP RDPMC XSAVE XSAVEOPT XSAVEC XSAVES MONITOR SMAP SYSCALL SEP VMX INVEPT INVVPID FXSR`.split(
    /\s+/,
  ),
);
/** AMD executes these outside 64-bit mode; on Intel they are invalid there (Vol. 2B, SYSCALL and SYSRET). */
const AMD_ONLY: ReadonlySet<string> = new Set(['Syscall', 'Sysretd']);

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Why the two decoders differ on these bytes, or undefined when they may. */
function disagreement(
  window: Uint8Array,
  codeSize: CodeSize,
  length: number,
  out: Instruction,
): string | undefined {
  const iced = decodeWithIced(window, codeSize);
  if (length > 0)
    return `${codeSize} ${hex(window)}: ${out.encoding.id} of ${length}, iced ${iced.code} of ${iced.length}`;
  if (codeSize !== 64 && AMD_ONLY.has(iced.code)) return undefined;
  if (!iced.features.every((feature) => COVERED.has(feature))) return undefined;
  return `${codeSize} ${hex(window)}: invalid, iced ${iced.code} (${iced.features.join()})`;
}

describe.each(['random', 'mutated'] as const)('%s bytes', (kind) => {
  const fill = (window: Uint8Array, codeSize: CodeSize, random: RandomSource): void =>
    kind === 'random' ? fillRandom(window, random) : fillMutated(window, codeSize, random);

  it(
    `never make the decoder throw or report a wrong length (${SEQUENCES / 2} sequences)`,
    () => {
      const random = new RandomSource(kind.length);
      const window = new Uint8Array(WINDOW);
      const out = new Instruction();
      const counts = [0, 0, 0];
      for (let n = 0; n < SEQUENCES / 2; n++) {
        const codeSize = CODE_SIZES[n % 3]!;
        fill(window, codeSize, random);
        const end = random.oneIn(4) ? random.below(WINDOW + 1) : WINDOW;
        const status = decode(window, 0, end, codeSize, out);
        counts[status]!++;
        if (status === DecodeStatus.OK && (out.length < 1 || out.length > Math.min(end, 15)))
          expect.fail(`${codeSize} ${hex(window)}: length ${out.length} of ${end}`);
      }
      // All three outcomes must occur, or the sequences prove nothing.
      for (const count of counts) expect(count).toBeGreaterThan(SEQUENCES / 100);
    },
    TIMEOUT_IN_MILLISECONDS,
  );

  it(
    `are instructions where they are for iced-x86 (${COMPARED / 2} sequences)`,
    () => {
      const random = new RandomSource(kind.length + 100);
      const window = new Uint8Array(WINDOW);
      const out = new Instruction();
      const failures: string[] = [];
      for (let n = 0; n < COMPARED / 2; n++) {
        const codeSize = CODE_SIZES[n % 3]!;
        fill(window, codeSize, random);
        const status = decode(window, 0, WINDOW, codeSize, out);
        const length = status === DecodeStatus.OK ? out.length : 0;
        if (length === icedLength(window, codeSize)) continue;
        const reason = disagreement(window, codeSize, length, out);
        if (reason !== undefined) failures.push(reason);
      }
      expect(failures).toEqual([]);
    },
    TIMEOUT_IN_MILLISECONDS,
  );
});
