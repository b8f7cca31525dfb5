import { describe, expect, it } from 'vitest';
import { ENCODINGS } from '../../src/instruction-set/index.js';
import { UnimplementedFeatureError, UnimplementedInstructionError } from '../../src/processor/errors.js';
import { systemInstructionFor } from '../../src/processor/system/index.js';
import { RandomSource } from '../support/random-source.js';
import { LAYOUT, SystemGuest } from './system-guest.js';

/** More of them with SYSTEM_SAFETY_CASES in the environment. */
const CASES = Number(process.env.SYSTEM_SAFETY_CASES ?? 1500);
const CODE_LENGTH = 64;

const SYSTEM_ROWS = ENCODINGS.filter((encoding) => systemInstructionFor(encoding) !== undefined);

/** Bytes that often are a system instruction: an opcode of one, with random prefixes and random bytes behind it. */
function randomCode(random: RandomSource): number[] {
  const bytes: number[] = [];
  while (bytes.length < CODE_LENGTH) {
    const row = random.pick(SYSTEM_ROWS);
    if (random.oneIn(4)) bytes.push(random.pick([0x66, 0x67, 0xf2, 0xf3, 0x64, 0x2e]));
    if (row.mandatoryPrefix !== 0) bytes.push(row.mandatoryPrefix);
    if (random.oneIn(3)) bytes.push(0x40 | random.below(16));
    if (row.map > 0) bytes.push(0x0f);
    if (row.map === 2) bytes.push(0x38);
    bytes.push(row.opcode | (row.opcodeRegister ? random.below(8) : 0));
    if (row.modrmFixed >= 0) bytes.push(row.modrmFixed);
    else if (row.hasModrm) {
      const reg = row.modrmReg >= 0 ? row.modrmReg : random.below(8);
      bytes.push((random.below(4) << 6) | (reg << 3) | random.below(8));
    }
    for (let count = random.below(5); count > 0; count--) bytes.push(random.below(256));
  }
  return bytes;
}

/** Registers, descriptor tables and mode at random, mostly within RAM. */
function scramble(guest: SystemGuest, random: RandomSource): void {
  const { state } = guest;
  for (let register = 0; register < 16; register++) {
    const low = BigInt(random.next());
    const value = random.pick([low & 0x3fffffn, low & 0xffn, low, (low << 32n) | low, 0x800000000000n, 0n]);
    state.writeGpr(register, value);
  }
  for (let offset = 0; offset < 0x100; offset += 8)
    if (random.oneIn(6))
      guest.write64(LAYOUT.GDT + offset, (BigInt(random.next()) << 32n) | BigInt(random.next()));
  for (let offset = 0; offset < 0x400; offset += 8)
    if (random.oneIn(20))
      guest.write64(LAYOUT.IDT + offset, (BigInt(random.next()) << 32n) | BigInt(random.next()));
  if (random.oneIn(2)) guest.enterUser();
  if (random.oneIn(2)) state.rflags = (random.next() & 0x254fd5) | 2;
}

describe('hostile guests', () => {
  it(`${CASES} random programs of system instructions throw nothing but typed errors`, () => {
    const random = new RandomSource(0x5afe);
    let guest = new SystemGuest();
    let ended = 0;
    for (let n = 0; n < CASES; n++) {
      // RAM keeps what earlier programs did to it; now and then it is new.
      if (n % 50 === 0) guest = new SystemGuest();
      guest.reset();
      scramble(guest, random);
      guest.load(LAYOUT.CODE, randomCode(random));
      guest.state.rip = BigInt(LAYOUT.CODE);
      try {
        guest.processor.run({ cycles: 300, instructions: 300 });
        ended++;
      } catch (problem) {
        const typed =
          problem instanceof UnimplementedInstructionError || problem instanceof UnimplementedFeatureError;
        if (!typed) throw problem;
      }
    }
    expect(ended).toBeGreaterThan(CASES / 4);
  }, 600_000);
});
