/**
 * Decoded instructions by address, so that an instruction which exits again and again is decoded once. An entry counts only
 * while the bytes just fetched are those that it was decoded from: code that changes is decoded anew.
 */

import type { Instruction } from '../../instruction-set/index.js';

const ENTRIES = 64;

interface Entry {
  readonly address: bigint;
  readonly codeSize: number;
  readonly bytes: Uint8Array;
  readonly instruction: Instruction;
}

export class DecodeCache {
  private readonly entries: (Entry | undefined)[] = new Array(ENTRIES).fill(undefined);

  /**
   * @param bytes the first `available` of them were fetched from `address`
   * @returns an instruction that is not to be changed, or undefined
   */
  find(address: bigint, codeSize: number, bytes: Uint8Array, available: number): Instruction | undefined {
    const entry = this.entries[indexOf(address)];
    if (entry === undefined || entry.address !== address || entry.codeSize !== codeSize) return undefined;
    if (entry.bytes.length > available) return undefined;
    for (let index = 0; index < entry.bytes.length; index++)
      if (entry.bytes[index] !== bytes[index]) return undefined;
    return entry.instruction;
  }

  /** Keeps a copy of an instruction decoded from the first of `bytes`. */
  keep(address: bigint, codeSize: number, bytes: Uint8Array, instruction: Instruction): void {
    this.entries[indexOf(address)] = {
      address,
      codeSize,
      bytes: bytes.slice(0, instruction.length),
      instruction: instruction.clone(),
    };
  }
}

const indexOf = (address: bigint): number => Number(BigInt.asUintN(32, address)) % ENTRIES;
