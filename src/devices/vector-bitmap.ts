/** A set of interrupt vectors, laid out as the ISR, TMR and IRR of a local APIC: eight 32-bit words. */

export class VectorBitmap {
  readonly words = new Uint32Array(8);

  has(vector: number): boolean {
    return (this.words[vector >> 5]! & (1 << (vector & 31))) !== 0;
  }
  add(vector: number): void {
    this.words[vector >> 5]! |= 1 << (vector & 31);
  }
  delete(vector: number): void {
    this.words[vector >> 5]! &= ~(1 << (vector & 31));
  }
  clear(): void {
    this.words.fill(0);
  }

  /** The highest vector in the set, or -1. */
  highest(): number {
    for (let index = 7; index >= 0; index--) {
      const word = this.words[index]!;
      if (word !== 0) return index * 32 + 31 - Math.clz32(word);
    }
    return -1;
  }
}
