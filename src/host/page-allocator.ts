/** The host kernel's free pages: where VMCSs, bitmaps and EPT tables live. */

import { type HostPhysicalAddress, hostPhysical, PAGE_SIZE } from '../memory/addresses.js';
import type { PhysicalMemory } from '../memory/physical-memory.js';

/** The host has no page left: the machine was built with too little RAM for its guest's tables. */
export class OutOfHostMemoryError extends Error {
  readonly code = 'out-of-host-memory';
  constructor(start: number, end: number) {
    super(`no free page between host-physical 0x${start.toString(16)} and 0x${end.toString(16)}`);
    this.name = 'OutOfHostMemoryError';
  }
}

export class PageAllocator {
  private readonly memory: PhysicalMemory;
  private readonly start: number;
  private readonly end: number;
  private next: number;
  private readonly free: HostPhysicalAddress[] = [];

  /** @param start first host-physical address to hand out, @param end first not to; both page-aligned */
  constructor(memory: PhysicalMemory, start: number, end: number) {
    this.memory = memory;
    this.start = start;
    this.end = end;
    this.next = start;
  }

  /** A zeroed page. */
  allocatePage(): HostPhysicalAddress {
    let page = this.free.pop();
    if (page === undefined) {
      if (this.next + PAGE_SIZE > this.end) throw new OutOfHostMemoryError(this.start, this.end);
      page = hostPhysical(this.next);
      this.next += PAGE_SIZE;
    }
    this.memory.bytes.fill(0, page, page + PAGE_SIZE);
    return page;
  }

  freePage(page: HostPhysicalAddress): void {
    this.free.push(page);
  }
}
