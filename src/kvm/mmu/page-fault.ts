/** What KVM does about an EPT violation: map the page that a memory slot provides (tdp_page_fault). */

import type { CostSink } from '../../host/cost/operations.js';
import { type GuestPhysicalAddress, guestPhysical, PAGE_SIZE } from '../../memory/addresses.js';
import type { MemorySlot } from '../memory-slot-lookup.js';
import type { MemorySlots } from '../memory-slots.js';
import type { ExtendedPageTables } from './extended-page-tables.js';

const PAGES_PER_LARGE_PAGE = 512;

/** True when the whole 2 MiB around `frame` lies in the slot and both sides are aligned alike (mapping_level). */
function fitsLargePage(slot: MemorySlot, frame: number): boolean {
  if (!slot.hugePages) return false;
  const first = frame - (frame % PAGES_PER_LARGE_PAGE);
  const userPage = slot.userspaceAddress / PAGE_SIZE + (first - slot.baseFrame);
  return (
    first >= slot.baseFrame &&
    first + PAGES_PER_LARGE_PAGE <= slot.baseFrame + slot.pageCount &&
    userPage % PAGES_PER_LARGE_PAGE === 0
  );
}

/**
 * Maps the page of a guest-physical address that the guest has touched.
 * @returns 'mapped', or 'no slot' when nothing backs it: the access is MMIO and the instruction is to be emulated
 */
export function handleEptViolation(
  address: GuestPhysicalAddress,
  slots: MemorySlots,
  tables: ExtendedPageTables,
  costs: CostSink,
): 'mapped' | 'no slot' {
  const frame = Math.floor(address / PAGE_SIZE);
  const target = slots.unalias(frame, costs);
  const slot = slots.find(target, costs);
  if (slot === undefined) return 'no slot';
  const large = target === frame && fitsLargePage(slot, frame);
  const offset = large ? frame % PAGES_PER_LARGE_PAGE : 0;
  const host = slots.addressInSlot(slot, guestPhysical((target - offset) * PAGE_SIZE));
  tables.map(guestPhysical((frame - offset) * PAGE_SIZE), host, large ? 2 : 1, costs);
  return 'mapped';
}
