/** A seeded generator of numbers and of operand values worth testing. */

const CORNERS: readonly bigint[] = [
  0n,
  1n,
  2n,
  -1n,
  -2n,
  0x7fn,
  0x80n,
  0xffn,
  0x7fffn,
  0x8000n,
  0xffffn,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  0x1_0000_0000n,
  0x7fff_ffff_ffff_ffffn,
  -0x8000_0000_0000_0000n,
  -0x80n,
  -0x8000n,
  -0x8000_0000n,
  0x5555_5555_5555_5555n,
  0x0f0f_0f0f_0f0f_0f0fn,
];

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 32 random bits: a Weyl sequence through the finaliser of MurmurHash3. */
  next32(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let z = this.#state;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  }

  /** 0 … limit - 1. */
  below(limit: number): number {
    return this.next32() % limit;
  }

  between(first: number, last: number): number {
    return first + this.below(last - first + 1);
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }

  next64(): bigint {
    return (BigInt(this.next32()) << 32n) | BigInt(this.next32());
  }

  /** A 64-bit value: a corner, a power of two and its neighbours, a short number of either sign, or anything. */
  value64(): bigint {
    const kind = this.below(100);
    if (kind < 30) return BigInt.asUintN(64, this.pick(CORNERS));
    if (kind < 42) return BigInt.asUintN(64, (1n << BigInt(this.below(64))) + BigInt(this.between(-1, 1)));
    if (kind < 60) return BigInt.asUintN(64, BigInt.asIntN(this.between(4, 40), this.next64()));
    return this.next64();
  }
}
