/** Linear-address accesses of code that runs in TypeScript: system instructions and event delivery. */

import { type HostPhysicalAddress, hostPhysical, type LinearAddress } from '../../memory/addresses.js';
import type { PhysicalMemory } from '../../memory/physical-memory.js';
import type { Access, LinearMemory, MmioBus } from '../core.js';
import type { TranslationBuffer } from './translation-buffer.js';

const PAGE_SIZE = 4096;

/** What linear accesses need of the processor. */
export interface LinearAccessContext {
  readonly memory: PhysicalMemory;
  readonly mmio: MmioBus;
  readonly buffer: TranslationBuffer;
  readonly userMode: boolean;
  translate(address: LinearAddress, access: Access, privilege?: 'current' | 'system'): HostPhysicalAddress;
}

export class PagedLinearMemory implements LinearMemory {
  private readonly context: LinearAccessContext;

  constructor(context: LinearAccessContext) {
    this.context = context;
  }

  read(address: LinearAddress, size: number, privilege: 'current' | 'system' = 'current'): bigint {
    const linear = BigInt.asUintN(64, address);
    const inPage = PAGE_SIZE - Number(linear & 0xfffn);
    if (size > inPage) {
      const low = this.read(linear, inPage, privilege);
      return low | (this.read(linear + BigInt(inPage), size - inPage, privilege) << BigInt(8 * inPage));
    }
    const physical = this.locate(linear, false, privilege);
    const { memory } = this.context;
    if (!memory.contains(physical, size)) return this.context.mmio.read(physical, size);
    if (isPowerOfTwo(size)) return memory.read(physical, size);
    let value = 0n;
    for (let n = size - 1; n >= 0; n--)
      value = (value << 8n) | BigInt(memory.read8(hostPhysical(physical + n)));
    return value;
  }

  write(
    address: LinearAddress,
    size: number,
    value: bigint,
    privilege: 'current' | 'system' = 'current',
  ): void {
    const linear = BigInt.asUintN(64, address);
    const inPage = PAGE_SIZE - Number(linear & 0xfffn);
    if (size > inPage) {
      this.probe(linear, size, 'write', privilege);
      this.write(linear, inPage, value, privilege);
      this.write(linear + BigInt(inPage), size - inPage, value >> BigInt(8 * inPage), privilege);
      return;
    }
    const physical = this.locate(linear, true, privilege);
    const { memory } = this.context;
    if (!memory.contains(physical, size)) this.context.mmio.write(physical, size, value);
    else if (isPowerOfTwo(size)) memory.write(physical, size, value);
    else
      for (let n = 0; n < size; n++)
        memory.write8(hostPhysical(physical + n), Number((value >> BigInt(8 * n)) & 0xffn));
  }

  probe(
    address: LinearAddress,
    size: number,
    access: Access,
    privilege: 'current' | 'system' = 'current',
  ): void {
    const linear = BigInt.asUintN(64, address);
    this.context.translate(linear, access, privilege);
    const last = BigInt.asUintN(64, linear + BigInt(size - 1));
    if (last >> 12n !== linear >> 12n) this.context.translate(last & ~0xfffn, access, privilege);
  }

  private locate(
    linear: LinearAddress,
    write: boolean,
    privilege: 'current' | 'system',
  ): HostPhysicalAddress {
    const { context } = this;
    const known = context.buffer.find(linear, privilege === 'current' && context.userMode, write);
    if (known >= 0) return hostPhysical(known);
    return context.translate(linear, write ? 'write' : 'read', privilege);
  }
}

function isPowerOfTwo(size: number): boolean {
  return size === 1 || size === 2 || size === 4 || size === 8;
}
