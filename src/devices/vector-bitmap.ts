/** A set of interrupt vectors, laid out as the ISR, TMR and IRR of a local APIC: eight 32-bit words. */

const WORDS = 8;

export class VectorBitmap {
  private readonly words: Uint32Array;
  private readonly stride: number;

  /** @param stride distance of the words in `words`, which are elsewhere when the set lies in a virtual-APIC page */
  constructor(words: Uint32Array = new Uint32Array(WORDS), stride = 1) {
    this.words = words;
    this.stride = stride;
  }

  /** Vectors 32 * index … 32 * index + 31. */
  word(index: number): number {
    return this.words[index * this.stride]!;
  }
  has(vector: number): boolean {
    return (this.words[(vector >> 5) * this.stride]! & (1 << (vector & 31))) !== 0;
  }
  add(vector: number): void {
    this.words[(vector >> 5) * this.stride]! |= 1 << (vector & 31);
  }
  delete(vector: number): void {
    this.words[(vector >> 5) * this.stride]! &= ~(1 << (vector & 31));
  }
  clear(): void {
    for (let index = 0; index < WORDS; index++) this.words[index * this.stride] = 0;
  }

  /** The highest vector in the set, or -1. */
  highest(): number {
    for (let index = WORDS - 1; index >= 0; index--) {
      const word = this.words[index * this.stride]!;
      if (word !== 0) return index * 32 + 31 - Math.clz32(word);
    }
    return -1;
  }
}
