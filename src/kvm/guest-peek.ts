/** Guest memory as an observer sees it: through the guest's page tables, without cost, side effects or faults. */

import { CR0, CR4, EFER } from '../architecture/control-registers.js';
import type { CostSink } from '../host/cost/operations.js';
import { PAGE_SIZE } from '../memory/addresses.js';
import { GuestPageWalker, PageWalkFault, type PagingState } from './mmu/guest-page-walk.js';
import type { Vm } from './vm.js';

export interface PeekPaging {
  readonly enabled: boolean;
  readonly physicalAddressExtension: boolean;
  readonly longMode: boolean;
  /** CR3. */
  readonly root: bigint;
}

const FREE: CostSink = { charge: () => {} };

/** Up to `length` bytes at a linear address: as many as can be reached. */
export function peekGuestBytes(vm: Vm, paging: PeekPaging, linear: bigint, length: number): Uint8Array {
  const { memory, memorySlots } = vm;
  const walker = new GuestPageWalker(memory, { translate: (address) => memorySlots.peek(address) });
  const state = pagingState(paging);
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const address = BigInt.asUintN(64, linear + BigInt(done));
    const physical = walker.translate(state, address, 'peek', false, FREE);
    const host = physical instanceof PageWalkFault ? undefined : memorySlots.peek(physical);
    if (host === undefined) return bytes.subarray(0, done);
    const count = Math.min(length - done, PAGE_SIZE - Number(address & 0xfffn));
    bytes.set(memory.bytes.subarray(host, host + count), done);
    done += count;
  }
  return bytes;
}

/** What is not known is taken for allowed: large pages, and pages without code. */
const pagingState = ({ enabled, physicalAddressExtension, longMode, root }: PeekPaging): PagingState => ({
  cr0: enabled ? CR0.PG : 0,
  cr3: root,
  cr4: physicalAddressExtension ? CR4.PAE : CR4.PSE,
  efer: EFER.NXE | (longMode ? EFER.LMA : 0),
});
