/**
 * Memory slots: which guest-physical pages are backed by which memory of the user process (struct kvm_memory_slot,
 * __kvm_set_memory_region, gfn_to_memslot and gfn_to_hva of virt/kvm/kvm_main.c).
 */

import { type CostSink, operation } from '../host/cost/operations.js';
import {
  type GuestPhysicalAddress,
  type HostPhysicalAddress,
  hostPhysical,
  PAGE_SIZE,
} from '../memory/addresses.js';

const LOOK_UP_STEP = operation('memslot look-up step');

/** Slots that user space can set, and those that KVM uses itself (KVM_MEMORY_SLOTS, KVM_PRIVATE_MEM_SLOTS). */
export const USER_SLOTS = 32;
/** Private slot of the page behind the local APIC's address (APIC_ACCESS_PAGE_PRIVATE_MEMSLOT). */
export const APIC_ACCESS_PAGE_SLOT = USER_SLOTS + 1;
const TOTAL_SLOTS = USER_SLOTS + 4;

/** What user space asks for with KVM_SET_USER_MEMORY_REGION. Addresses and size are multiples of 4096 bytes. */
export interface MemoryRegion {
  readonly slot: number;
  readonly guestPhysicalAddress: GuestPhysicalAddress;
  /** 0 deletes the slot. */
  readonly sizeInBytes: number;
  /** Start of the memory in the user process. */
  readonly userspaceAddress: number;
  /** The user process's memory consists of 2 MiB pages (hugetlbfs), so that EPT may map it so. */
  readonly hugePages?: boolean;
}

export interface MemorySlot {
  readonly number: number;
  /** First guest frame number. */
  readonly baseFrame: number;
  /** Length in 4 KiB pages. */
  readonly pageCount: number;
  readonly userspaceAddress: number;
  readonly hugePages: boolean;
}

/** Indexed by slot number, never changed once published; `undefined` marks a slot that is not in use. */
export type SlotArray = readonly (MemorySlot | undefined)[];

/** How a guest frame is looked up among the slots. Charges a 'memslot look-up step' per slot looked at. */
export type SlotLookup = (slots: SlotArray, frame: number, costs: CostSink) => MemorySlot | undefined;

/** gfn_to_memslot before 3.x: all slots up to the highest one in use, in order of their numbers. */
export const linearLookup: SlotLookup = (slots, frame, costs) => {
  for (let index = 0; index < slots.length; index++) {
    const slot = slots[index];
    if (slot !== undefined && frame >= slot.baseFrame && frame < slot.baseFrame + slot.pageCount) {
      costs.charge(LOOK_UP_STEP, index + 1);
      return slot;
    }
  }
  costs.charge(LOOK_UP_STEP, slots.length);
  return undefined;
};

export type MemoryRegionProblem = 'slot-number' | 'alignment' | 'overlap' | 'size-change';

/** A memory region that KVM_SET_USER_MEMORY_REGION refuses. */
export class MemoryRegionError extends Error {
  readonly code = 'memory-region';
  readonly problem: MemoryRegionProblem;
  readonly region: MemoryRegion;
  constructor(problem: MemoryRegionProblem, region: MemoryRegion, message: string) {
    super(message);
    this.name = 'MemoryRegionError';
    this.problem = problem;
    this.region = region;
  }
}

const SILENT: CostSink = { charge: () => {} };

/** The user process's address space: where in host-physical memory one of its addresses is. */
export type UserAddressTranslation = (userspaceAddress: number) => number;

export class MemorySlots {
  private published: SlotArray = [];
  private readonly lookup: SlotLookup;
  private readonly toHostPhysical: UserAddressTranslation;

  constructor(toHostPhysical: UserAddressTranslation, lookup: SlotLookup = linearLookup) {
    this.toHostPhysical = toHostPhysical;
    this.lookup = lookup;
  }

  /** The slots now in force. */
  get slots(): SlotArray {
    return this.published;
  }

  /**
   * Creates, moves or deletes a slot. Mappings made through an old slot are the caller's to remove.
   * @throws MemoryRegionError when the region is not acceptable
   */
  setRegion(region: MemoryRegion): void {
    this.check(region);
    const next = [...this.published];
    next[region.slot] =
      region.sizeInBytes === 0
        ? undefined
        : {
            number: region.slot,
            baseFrame: region.guestPhysicalAddress / PAGE_SIZE,
            pageCount: region.sizeInBytes / PAGE_SIZE,
            userspaceAddress: region.userspaceAddress,
            hugePages: region.hugePages ?? false,
          };
    while (next.length > 0 && next[next.length - 1] === undefined) next.pop();
    this.published = Array.from(next);
  }

  /** The slot that holds a guest frame number, or undefined (gfn_to_memslot). */
  find(frame: number, costs: CostSink): MemorySlot | undefined {
    return this.lookup(this.published, frame, costs);
  }

  /** Host-physical address behind a guest-physical one, undefined where no slot is. Charges the look-up. */
  translate(address: GuestPhysicalAddress, costs: CostSink): HostPhysicalAddress | undefined {
    const slot = this.find(Math.floor(address / PAGE_SIZE), costs);
    return slot === undefined ? undefined : this.addressInSlot(slot, address);
  }

  /** As `translate`, without being charged: for observers. */
  peek(address: GuestPhysicalAddress): HostPhysicalAddress | undefined {
    return this.translate(address, SILENT);
  }

  /** Host-physical address of a guest-physical address inside `slot`. */
  addressInSlot(slot: MemorySlot, address: GuestPhysicalAddress): HostPhysicalAddress {
    return hostPhysical(this.toHostPhysical(slot.userspaceAddress + (address - slot.baseFrame * PAGE_SIZE)));
  }

  private check(region: MemoryRegion): void {
    const { slot, guestPhysicalAddress, sizeInBytes, userspaceAddress } = region;
    const fail = (problem: MemoryRegionProblem, message: string): never => {
      throw new MemoryRegionError(problem, region, `memory slot ${slot}: ${message}`);
    };
    if (!Number.isInteger(slot) || slot < 0 || slot >= TOTAL_SLOTS)
      fail('slot-number', `slots are numbered 0 to ${TOTAL_SLOTS - 1}`);
    for (const value of [guestPhysicalAddress, sizeInBytes, userspaceAddress])
      if (value < 0 || value % PAGE_SIZE !== 0) fail('alignment', `${value} is no multiple of ${PAGE_SIZE}`);
    const old = this.published[slot];
    if (sizeInBytes === 0) return;
    if (old !== undefined && old.pageCount * PAGE_SIZE !== sizeInBytes)
      fail('size-change', 'the size of a slot in use can not change');
    const baseFrame = guestPhysicalAddress / PAGE_SIZE;
    const end = baseFrame + sizeInBytes / PAGE_SIZE;
    for (const other of this.published)
      if (
        other !== undefined &&
        other.number !== slot &&
        baseFrame < other.baseFrame + other.pageCount &&
        other.baseFrame < end
      )
        fail('overlap', `overlaps slot ${other.number}`);
  }
}
