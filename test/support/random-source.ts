/** A seeded source of random 32-bit numbers, so that generated tests repeat exactly. */

export class RandomSource {
  #state: number;

  constructor(seed: number) {
    // Zero is the one state that xorshift cannot leave.
    this.#state = seed | 0 || 0x9e3779b9;
  }

  /** A number of 32 bits (Marsaglia, Xorshift RNGs, 2003: 13, 17, 5). */
  next(): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state;
    return state >>> 0;
  }

  /** A whole number from 0 up to, not including, `bound`. */
  below(bound: number): number {
    return this.next() % bound;
  }

  /** True once in `times`. */
  oneIn(times: number): boolean {
    return this.below(times) === 0;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }
}
