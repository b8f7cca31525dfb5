/** What a guest consists of before it runs: bytes, where they go, and where it starts. */

export interface ImageSegment {
  readonly physicalAddress: number;
  readonly data: Uint8Array;
  /** At least `data.length`; the rest is zero. */
  readonly sizeInMemory: number;
}

export interface GuestImage {
  readonly format: 'flat' | 'elf64';
  readonly segments: readonly ImageSegment[];
  /** Address of the first instruction. */
  readonly entry: number;
}
