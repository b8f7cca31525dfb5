import { describe, expect, it } from 'vitest';
import { createVm } from '../../src/machine/create-vm.js';
import { readGuestImage } from '../../src/machine/load-image.js';
import { UnhandledExitError } from '../../src/machine/user-space-devices.js';
import { UnimplementedFeatureError, UnimplementedInstructionError } from '../../src/processor/errors.js';
import { assembleGuest, guestPrograms } from '../support/guest-programs.js';
import { RandomSource } from '../support/random-source.js';

/** Guests to try; a long run takes more. */
const COUNT = Number(process.env.EXITSCOPE_RANDOM_GUESTS ?? 60);
const SEED = Number(process.env.EXITSCOPE_SEED ?? 1);

const LIMITS = { instructions: 20_000, cycles: 20_000_000 };
const MEMORY_BYTES = 4 * 2 ** 20;
/** Errors that say honestly what can't be done yet. */
const TYPED = [UnimplementedInstructionError, UnimplementedFeatureError, UnhandledExitError];

const random = new RandomSource(SEED);
const originals = guestPrograms().map((program) => assembleGuest(program).image);

function noise(): Uint8Array {
  return Uint8Array.from({ length: 64 + random.below(2048) }, () => random.next() >>> 24);
}

/** A guest program with some bytes changed. */
function mutant(): Uint8Array {
  const image = Uint8Array.from(random.pick(originals));
  for (let changes = 1 + random.below(8); changes > 0; changes--)
    image[random.below(Math.min(image.length, 1200))] = random.next() >>> 24;
  return image;
}

describe('random guests', () => {
  it(`${COUNT} of them end or go on, and none brings the machine down`, () => {
    const ends = new Map<string, number>();
    for (let count = 0; count < COUNT; count++) {
      const bytes = random.oneIn(2) ? noise() : mutant();
      let end: string;
      try {
        const vm = createVm({ image: readGuestImage(bytes, 'flat'), memoryBytes: MEMORY_BYTES });
        end = vm.run(LIMITS).end.reason;
      } catch (error) {
        if (!TYPED.some((type) => error instanceof type)) {
          console.log(`guest ${count} of seed ${SEED}: ${Buffer.from(bytes).toString('hex')}`);
          throw error;
        }
        end = 'not implemented';
      }
      ends.set(end, (ends.get(end) ?? 0) + 1);
    }
    expect([...ends.values()].reduce((sum, count) => sum + count, 0)).toBe(COUNT);
    // A test in which every guest fails at once would show nothing.
    expect(ends.size).toBeGreaterThan(2);
  });
});
