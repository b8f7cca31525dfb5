/**
 * Coalesced MMIO (virt/kvm/coalesced_mmio.c): writes to zones that user space has named are put into a ring in a page
 * that it shares with the kernel, and made by user space when it runs next.
 */

import type { CostSink } from '../host/cost/operations.js';
import { operation } from '../host/cost/operations.js';
import { type GuestPhysicalAddress, guestPhysical, hostPhysical, PAGE_SIZE } from '../memory/addresses.js';
import type { PhysicalMemory } from '../memory/physical-memory.js';
import type { Lock } from './device-lock.js';
import type { AddressRange, IoBus, RangedDevice } from './io-bus.js';
import type { PageAllocator } from './mmu/extended-page-tables.js';
import type { Policies } from './policies.js';

const DEVICE_MODEL = operation('user-space device model');

/** Layout of the page (struct kvm_coalesced_mmio_ring, struct kvm_coalesced_mmio). */
const RING = { FIRST: 0, LAST: 4, ENTRIES: 8 } as const;
const ENTRY = { ADDRESS: 0, LENGTH: 8, DATA: 16, SIZE: 24 } as const;
export const RING_ENTRIES = Math.floor((PAGE_SIZE - RING.ENTRIES) / ENTRY.SIZE);
/** One entry has to stay free for each vCPU that may write next (KVM_MAX_VCPUS). */
const ENTRIES_KEPT_FREE = 64;
/** KVM_COALESCED_MMIO_ZONE_MAX. */
const MAXIMUM_ZONES = 100;

/** -ENOBUFS of KVM_REGISTER_COALESCED_MMIO. */
export class CoalescedZonesError extends Error {
  readonly code = 'coalesced-zones';
  constructor() {
    super(`there are ${MAXIMUM_ZONES} coalesced MMIO zones already`);
    this.name = 'CoalescedZonesError';
  }
}

export interface CoalescedMmioOptions {
  readonly memory: PhysicalMemory;
  readonly pages: PageAllocator;
  readonly bus: IoBus;
  readonly search: Policies['busSearch'];
  /** Taken while an entry is added. */
  readonly lock?: Lock;
}

interface Zone extends AddressRange {
  /** On a sorted bus each zone is a device (commit 2b3c246a682c). */
  readonly device: RangedDevice | undefined;
}

export class CoalescedMmio {
  private readonly memory: PhysicalMemory;
  private readonly ring: number;
  private readonly bus: IoBus;
  private readonly devicePerZone: boolean;
  private readonly lock: Lock | undefined;
  private zones: readonly Zone[] = [];

  /** Takes a page for the ring and, on a linear bus, its place before all other devices (kvm_coalesced_mmio_init). */
  constructor({ memory, pages, bus, search, lock }: CoalescedMmioOptions) {
    this.memory = memory;
    this.lock = lock;
    this.bus = bus;
    this.ring = pages.allocatePage();
    this.devicePerZone = search === 'sorted';
    if (!this.devicePerZone)
      bus.register({
        name: 'coalesced MMIO',
        ranges: [],
        read: () => undefined,
        write: (address, sizeInBytes, value, upperHalf = 0) =>
          this.zones.some((zone) => holds(zone, address, sizeInBytes)) &&
          this.append(address, sizeInBytes, value, upperHalf),
      });
  }

  /** KVM_REGISTER_COALESCED_MMIO. @throws CoalescedZonesError, BusFullError */
  addZone({ first, length }: AddressRange): void {
    if (this.zones.length >= MAXIMUM_ZONES) throw new CoalescedZonesError();
    const device = this.devicePerZone ? this.zoneDevice({ first, length }) : undefined;
    if (device !== undefined) this.bus.register(device);
    this.zones = [...this.zones, { first, length, device }];
  }

  /** KVM_UNREGISTER_COALESCED_MMIO: takes off every zone that lies in the range. */
  removeZones({ first, length }: AddressRange): void {
    const inside = (zone: Zone): boolean => zone.first >= first && zone.first + zone.length <= first + length;
    for (const zone of this.zones)
      if (zone.device !== undefined && inside(zone)) this.bus.unregister(zone.device);
    this.zones = this.zones.filter((zone) => !inside(zone));
  }

  /**
   * The user-space side (kvm_flush_coalesced_mmio_buffer of QEMU): makes the writes in the ring, oldest first. Charges the
   * device model for each.
   */
  drain(
    write: (address: GuestPhysicalAddress, sizeInBytes: number, value: bigint) => void,
    costs: CostSink,
  ): void {
    for (let first = this.get(RING.FIRST); first !== this.get(RING.LAST); ) {
      const entry = RING.ENTRIES + first * ENTRY.SIZE;
      const sizeInBytes = this.get(entry + ENTRY.LENGTH);
      const address = guestPhysical(Number(this.memory.read64(hostPhysical(this.ring + entry))));
      costs.charge(DEVICE_MODEL);
      write(
        address,
        sizeInBytes,
        this.memory.read(hostPhysical(this.ring + entry + ENTRY.DATA), sizeInBytes),
      );
      first = (first + 1) % RING_ENTRIES;
      this.set(RING.FIRST, first);
    }
  }

  private zoneDevice(zone: AddressRange): RangedDevice {
    return {
      name: `coalesced MMIO zone at 0x${zone.first.toString(16)}`,
      ranges: [zone],
      read: () => undefined,
      write: (address, sizeInBytes, value, upperHalf = 0) =>
        holds(zone, address, sizeInBytes) && this.append(address, sizeInBytes, value, upperHalf),
    };
  }

  /** coalesced_mmio_write: under the lock of the ring. */
  private append(address: number, sizeInBytes: number, value: number, upperHalf: number): boolean {
    this.lock?.acquire();
    const added = this.appendLocked(address, sizeInBytes, value, upperHalf);
    this.lock?.release();
    return added;
  }

  /** False when the ring is so full that user space has to empty it first. */
  private appendLocked(address: number, sizeInBytes: number, value: number, upperHalf: number): boolean {
    const first = this.get(RING.FIRST);
    const last = this.get(RING.LAST);
    const free = (first - last - 1 + RING_ENTRIES) % RING_ENTRIES;
    if (free < ENTRIES_KEPT_FREE) return false;
    const entry = RING.ENTRIES + last * ENTRY.SIZE;
    this.memory.write64(hostPhysical(this.ring + entry + ENTRY.ADDRESS), BigInt(address));
    this.set(entry + ENTRY.LENGTH, sizeInBytes);
    this.set(entry + ENTRY.DATA, value);
    this.set(entry + ENTRY.DATA + 4, upperHalf);
    this.set(RING.LAST, (last + 1) % RING_ENTRIES);
    return true;
  }

  private get(offset: number): number {
    return this.memory.read32(hostPhysical(this.ring + offset)) >>> 0;
  }
  private set(offset: number, value: number): void {
    this.memory.write32(hostPhysical(this.ring + offset), value);
  }
}

/** coalesced_mmio_in_range: the whole access lies in the zone. */
const holds = (zone: AddressRange, address: number, sizeInBytes: number): boolean =>
  address >= zone.first && address + sizeInBytes <= zone.first + zone.length;
