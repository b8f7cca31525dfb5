/** Guest memory as an observer sees it: through the guest's page tables, without cost, side effects or faults. */

import { type GuestPhysicalAddress, guestPhysical, PAGE_SIZE } from '../memory/addresses.js';
import type { Vm } from './vm.js';

export interface PeekPaging {
  readonly enabled: boolean;
  readonly physicalAddressExtension: boolean;
  readonly longMode: boolean;
  /** CR3. */
  readonly root: bigint;
}

const PRESENT = 1n;
const LARGE_PAGE = 1n << 7n;
const ADDRESS = 0x000ffffffffff000n;

/** Up to `length` bytes at a linear address: as many as can be reached. */
export function peekGuestBytes(vm: Vm, paging: PeekPaging, linear: bigint, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const address = BigInt.asUintN(64, linear + BigInt(done));
    const physical = peekTranslation(vm, paging, address);
    const host = physical === undefined ? undefined : vm.memorySlots.peek(physical);
    if (host === undefined) return bytes.subarray(0, done);
    const count = Math.min(length - done, PAGE_SIZE - Number(address & 0xfffn));
    bytes.set(vm.memory.bytes.subarray(host, host + count), done);
    done += count;
  }
  return bytes;
}

/** Guest-physical address of a linear address, undefined where nothing is mapped. */
function peekTranslation(vm: Vm, paging: PeekPaging, linear: bigint): GuestPhysicalAddress | undefined {
  if (!paging.enabled) return guestPhysical(Number(linear & 0xffffffffn));
  // Entry size 8 with PAE, 4 without; a level translates 9 or 10 bits, the PAE pointer table 2.
  const wide = paging.physicalAddressExtension;
  const indexBits = wide ? 9n : 10n;
  const levels = paging.longMode ? 4 : wide ? 3 : 2;
  let table = paging.root & (paging.longMode ? ADDRESS : wide ? 0xffffffe0n : 0xfffff000n);
  for (let level = levels; level >= 1; level--) {
    const shift = 12n + indexBits * BigInt(level - 1);
    const index = (linear >> shift) & ((1n << indexBits) - 1n);
    const entryAddress = vm.memorySlots.peek(guestPhysical(Number(table + index * (wide ? 8n : 4n))));
    if (entryAddress === undefined) return undefined;
    const entry = wide ? vm.memory.read64(entryAddress) : BigInt(vm.memory.read32(entryAddress));
    if ((entry & PRESENT) === 0n) return undefined;
    const isPage = level === 1 || ((entry & LARGE_PAGE) !== 0n && level <= 3);
    const offset = (1n << shift) - 1n;
    if (isPage) return guestPhysical(Number((entry & ADDRESS & ~offset) | (linear & offset)));
    table = entry & ADDRESS;
  }
  return undefined;
}
