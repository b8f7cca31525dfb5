/**
 * Memory slots: which guest-physical pages are backed by which memory of the user process (struct kvm_memory_slot,
 * __kvm_set_memory_region and gfn_to_hva of virt/kvm/kvm_main.c).
 */

import { type CostSink, operation } from '../host/cost/operations.js';
import { HostInvariantError } from '../host/user-mode.js';
import {
  type GuestPhysicalAddress,
  guestPhysical,
  type HostPhysicalAddress,
  hostPhysical,
  PAGE_SIZE,
} from '../memory/addresses.js';
import { type MemorySlot, type SlotArray, type SlotLookup, slotLookup } from './memory-slot-lookup.js';
import type { Policies } from './policies.js';

const ALIAS_STEP = operation('memory alias step');

/** Slots that KVM uses itself, behind those of user space (KVM_PRIVATE_MEM_SLOTS). */
const PRIVATE_SLOTS = 4;
/** Slots that user space can set (KVM_MEMORY_SLOTS), by the era of the look-up. */
const USER_SLOTS: Readonly<Record<Policies['memorySlotLookup'], number>> = {
  linear: 32,
  'last-used': 125,
  sorted: 125,
};
/** KVM_ALIAS_SLOTS. */
const ALIASES = 4;

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

/** KVM_SET_MEMORY_ALIAS, until 2.6.35: a range of guest frames that stands for another one. */
export interface MemoryAlias {
  /** 0 to 3. */
  readonly alias: number;
  readonly guestPhysicalAddress: GuestPhysicalAddress;
  /** 0 takes the alias off. */
  readonly sizeInBytes: number;
  readonly target: GuestPhysicalAddress;
}

export type MemoryRegionProblem = 'slot-number' | 'alignment' | 'overlap' | 'size-change';

interface AliasRange {
  readonly firstFrame: number;
  readonly pageCount: number;
  readonly targetFrame: number;
}

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
  /** Arrays that were in force, until they are freed. */
  private readonly retired: SlotArray[] = [];
  private lookup: SlotLookup;
  private aliases: readonly AliasRange[] = [];
  private publications = 0;
  private readonly policy: Policies['memorySlotLookup'];
  private readonly toHostPhysical: UserAddressTranslation;

  constructor(toHostPhysical: UserAddressTranslation, policy: Policies['memorySlotLookup'] = 'linear') {
    this.toHostPhysical = toHostPhysical;
    this.policy = policy;
    this.lookup = slotLookup(policy, this.published);
  }

  /** The slots now in force. */
  get slots(): SlotArray {
    return this.published;
  }

  /** Changes whenever slots do: what was remembered about an older generation counts no more. */
  get generation(): number {
    return this.publications;
  }

  /** Number of the private slot of the page behind the local APIC's address (APIC_ACCESS_PAGE_PRIVATE_MEMSLOT). */
  get apicAccessPageSlot(): number {
    return USER_SLOTS[this.policy] + 1;
  }

  /**
   * Publishes an array in which the region is created, moved or deleted. Mappings made through an old slot are the
   * caller's to remove.
   * @throws MemoryRegionError when the region is not acceptable
   */
  setRegion(region: MemoryRegion): void {
    this.check(region);
    this.publish(
      region.slot,
      region.sizeInBytes === 0
        ? undefined
        : {
            number: region.slot,
            baseFrame: region.guestPhysicalAddress / PAGE_SIZE,
            pageCount: region.sizeInBytes / PAGE_SIZE,
            userspaceAddress: region.userspaceAddress,
            hugePages: region.hugePages ?? false,
            invalid: false,
          },
    );
  }

  /** Publishes an array in which a slot is marked as about to go: nobody can map a page through it any more. */
  invalidate(slotNumber: number): void {
    const slot = this.published[slotNumber];
    if (slot !== undefined) this.publish(slotNumber, { ...slot, invalid: true });
  }

  /**
   * KVM_SET_MEMORY_ALIAS, before the VM runs.
   * @throws RangeError when the kernel would answer -EINVAL
   */
  setAlias({ alias, guestPhysicalAddress, sizeInBytes, target }: MemoryAlias): void {
    if (alias < 0 || alias >= ALIASES) throw new RangeError(`aliases are numbered 0 to ${ALIASES - 1}`);
    for (const value of [guestPhysicalAddress, sizeInBytes, target])
      if (value % PAGE_SIZE !== 0) throw new RangeError(`${value} is no multiple of ${PAGE_SIZE}`);
    const next = [...this.aliases];
    while (next.length <= alias) next.push({ firstFrame: 0, pageCount: 0, targetFrame: 0 });
    next[alias] = {
      firstFrame: guestPhysicalAddress / PAGE_SIZE,
      pageCount: sizeInBytes / PAGE_SIZE,
      targetFrame: target / PAGE_SIZE,
    };
    while (next.at(-1)?.pageCount === 0) next.pop();
    this.aliases = next;
  }

  /** The valid slot that holds a guest frame number, or undefined. */
  find(frame: number, costs: CostSink): MemorySlot | undefined {
    const slot = this.lookup.find(frame, costs);
    return slot === undefined || slot.invalid ? undefined : slot;
  }

  /** The frame that a guest frame stands for (unalias_gfn). Charges each alias looked at. */
  unalias(frame: number, costs: CostSink): number {
    const { aliases } = this;
    if (aliases.length === 0) return frame;
    for (let index = 0; index < aliases.length; index++) {
      const { firstFrame, pageCount, targetFrame } = aliases[index]!;
      if (frame >= firstFrame && frame < firstFrame + pageCount) {
        costs.charge(ALIAS_STEP, index + 1);
        return targetFrame + (frame - firstFrame);
      }
    }
    costs.charge(ALIAS_STEP, aliases.length);
    return frame;
  }

  /** Host-physical address behind a guest-physical one, undefined where no slot is. Charges the look-up. */
  translate(address: GuestPhysicalAddress, costs: CostSink): HostPhysicalAddress | undefined {
    const frame = this.unalias(Math.floor(address / PAGE_SIZE), costs);
    const slot = this.find(frame, costs);
    if (slot === undefined) return undefined;
    return this.addressInSlot(slot, guestPhysical(frame * PAGE_SIZE + (address % PAGE_SIZE)));
  }

  /** As `translate`, for observers: without being charged, and without a trace in what was last used. */
  peek(address: GuestPhysicalAddress): HostPhysicalAddress | undefined {
    const frame = this.unalias(Math.floor(address / PAGE_SIZE), SILENT);
    const slot = this.published.find(
      (candidate) =>
        candidate !== undefined &&
        !candidate.invalid &&
        frame >= candidate.baseFrame &&
        frame < candidate.baseFrame + candidate.pageCount,
    );
    if (slot === undefined) return undefined;
    return this.addressInSlot(slot, guestPhysical(frame * PAGE_SIZE + (address % PAGE_SIZE)));
  }

  /**
   * Host-physical address of a guest-physical address inside `slot`.
   * @throws HostInvariantError when the slot was freed
   */
  addressInSlot(slot: MemorySlot, address: GuestPhysicalAddress): HostPhysicalAddress {
    if (slot.freed === true)
      throw new HostInvariantError(`memory slot ${slot.number}`, 'freed memory', 'a slot in use');
    return hostPhysical(this.toHostPhysical(slot.userspaceAddress + (address - slot.baseFrame * PAGE_SIZE)));
  }

  /** Frees the slots of arrays that are no longer in force. To be called when nobody uses them any more. */
  freeRetired(): void {
    for (const slots of this.retired)
      for (const slot of slots) if (slot !== undefined && !this.published.includes(slot)) slot.freed = true;
    this.retired.length = 0;
  }

  private publish(slotNumber: number, slot: MemorySlot | undefined): void {
    this.retired.push(this.published);
    const next = [...this.published];
    next[slotNumber] = slot;
    while (next.length > 0 && next[next.length - 1] === undefined) next.pop();
    this.published = Array.from(next);
    this.lookup = slotLookup(this.policy, this.published);
    this.publications++;
  }

  /**
   * Refuses what __kvm_set_memory_region refuses.
   * @throws MemoryRegionError
   */
  check(region: MemoryRegion): void {
    const { slot, guestPhysicalAddress, sizeInBytes, userspaceAddress } = region;
    const fail = (problem: MemoryRegionProblem, message: string): never => {
      throw new MemoryRegionError(problem, region, `memory slot ${slot}: ${message}`);
    };
    const slotCount = USER_SLOTS[this.policy] + PRIVATE_SLOTS;
    if (!Number.isInteger(slot) || slot < 0 || slot >= slotCount)
      fail('slot-number', `slots are numbered 0 to ${slotCount - 1}`);
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
