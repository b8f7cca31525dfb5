/** In-kernel I/O buses (virt/kvm/kvm_main.c, struct kvm_io_bus): devices that are asked whether an access is theirs. */

import { type CostSink, operation } from '../host/cost/operations.js';
import type { Policies } from './policies.js';

const SEARCH_STEP = operation('device search step');
const BINARY_SEARCH_STEP = operation('device binary-search step');
const DEVICE_ACCESS = operation('in-kernel device access');

/** A device as a bus calls it (struct kvm_io_device): its operations check themselves whether the address is theirs. */
export interface BusDevice {
  readonly name: string;
  /**
   * False means "not mine". `value` is unsigned; `sizeInBytes` is 1, 2, 4 or 8. Of 8 bytes `value` is the lower half and
   * `upperHalf` the other.
   */
  write(address: number, sizeInBytes: number, value: number, upperHalf?: number): boolean;
  /** Undefined means "not mine"; otherwise an unsigned value. */
  read(address: number, sizeInBytes: number): number | undefined;
}

export interface AddressRange {
  readonly first: number;
  /** In addresses, at least 1. */
  readonly length: number;
}

/** A device with the ranges outside of which it never claims anything; only a sorted bus looks at them. */
export interface RangedDevice extends BusDevice {
  readonly ranges: readonly AddressRange[];
}

/** No room for another device: -ENOSPC of kvm_io_bus_register_dev. */
export class BusFullError extends Error {
  readonly code = 'bus-full';
  constructor(device: string, capacity: number) {
    super(`no room for device "${device}" on a bus of ${capacity} entries`);
    this.name = 'BusFullError';
  }
}

/** One published state of a bus, never changed: readers may still use an old one while the next is in force. */
interface DeviceTable {
  /** What the capacity counts. */
  readonly entries: number;
  write(
    address: number,
    sizeInBytes: number,
    value: number,
    costs: CostSink,
    upperHalf: number | undefined,
  ): boolean;
  read(address: number, sizeInBytes: number, costs: CostSink): number | undefined;
}

/** Until 3.1: every device is called, in order of registration, until one claims the access. */
class LinearTable implements DeviceTable {
  readonly entries: number;
  private readonly devices: readonly BusDevice[];

  constructor(devices: readonly BusDevice[]) {
    this.devices = devices;
    this.entries = devices.length;
  }

  write(
    address: number,
    sizeInBytes: number,
    value: number,
    costs: CostSink,
    upperHalf: number | undefined,
  ): boolean {
    const { devices } = this;
    for (let index = 0; index < devices.length; index++)
      if (devices[index]!.write(address, sizeInBytes, value, upperHalf)) {
        costs.charge(SEARCH_STEP, index + 1);
        costs.charge(DEVICE_ACCESS);
        return true;
      }
    if (devices.length > 0) costs.charge(SEARCH_STEP, devices.length);
    return false;
  }

  read(address: number, sizeInBytes: number, costs: CostSink): number | undefined {
    const { devices } = this;
    for (let index = 0; index < devices.length; index++) {
      const value = devices[index]!.read(address, sizeInBytes);
      if (value !== undefined) {
        costs.charge(SEARCH_STEP, index + 1);
        costs.charge(DEVICE_ACCESS);
        return value;
      }
    }
    if (devices.length > 0) costs.charge(SEARCH_STEP, devices.length);
    return undefined;
  }
}

/** One range of a device (struct kvm_io_range). */
interface SortedRange {
  readonly first: number;
  readonly end: number;
  readonly device: BusDevice;
  /** Place of the device in the order of registration. */
  readonly order: number;
}

/**
 * Since 3.2, commit 743eeb0b01d2 "KVM: Intelligent device lookup on I/O bus": ranges sorted by address, a binary
 * search, a step back to the first range that overlaps, then those devices are called. As on the linear bus, a range
 * that holds the first byte of an access is asked, and of several the one registered first.
 */
class SortedTable implements DeviceTable {
  readonly entries: number;
  private readonly ranges: readonly SortedRange[];
  /** Highest end among the ranges up to each: how far back an overlapping one can be. */
  private readonly reach: readonly number[];

  constructor(devices: readonly RangedDevice[]) {
    const ranges = devices.flatMap((device, order) =>
      device.ranges.map(({ first, length }): SortedRange => ({ first, end: first + length, device, order })),
    );
    ranges.sort((a, b) => a.first - b.first || a.order - b.order);
    let highest = 0;
    this.reach = ranges.map(({ end }) => {
      highest = Math.max(highest, end);
      return highest;
    });
    this.ranges = ranges;
    this.entries = ranges.length;
  }

  write(
    address: number,
    sizeInBytes: number,
    value: number,
    costs: CostSink,
    upperHalf: number | undefined,
  ): boolean {
    const last = this.lastRangeFrom(address, costs);
    for (let range = this.next(address, last, -1); range !== undefined; ) {
      costs.charge(SEARCH_STEP);
      if (range.device.write(address, sizeInBytes, value, upperHalf)) {
        costs.charge(DEVICE_ACCESS);
        return true;
      }
      range = this.next(address, last, range.order);
    }
    return false;
  }

  read(address: number, sizeInBytes: number, costs: CostSink): number | undefined {
    const last = this.lastRangeFrom(address, costs);
    for (let range = this.next(address, last, -1); range !== undefined; ) {
      costs.charge(SEARCH_STEP);
      const value = range.device.read(address, sizeInBytes);
      if (value !== undefined) {
        costs.charge(DEVICE_ACCESS);
        return value;
      }
      range = this.next(address, last, range.order);
    }
    return undefined;
  }

  /** Index of the last range that begins at or below an address, -1 for none. */
  private lastRangeFrom(address: number, costs: CostSink): number {
    const { ranges } = this;
    let low = 0;
    let high = ranges.length;
    let steps = 0;
    while (low < high) {
      const middle = (low + high) >>> 1;
      steps++;
      if (ranges[middle]!.first <= address) low = middle + 1;
      else high = middle;
    }
    if (steps > 0) costs.charge(BINARY_SEARCH_STEP, steps);
    return low - 1;
  }

  /** Of the ranges that hold the address, the earliest registered one after `after`. */
  private next(address: number, last: number, after: number): SortedRange | undefined {
    const { ranges, reach } = this;
    let found: SortedRange | undefined;
    for (let index = last; index >= 0 && reach[index]! > address; index--) {
      const range = ranges[index]!;
      if (range.end > address && range.order > after && (found === undefined || range.order < found.order))
        found = range;
    }
    return found;
  }
}

/** Entries of struct kvm_io_bus in 2.6.32 (NR_IOBUS_DEVS). */
const CAPACITY_2_6_32 = 6;

export class IoBus {
  private readonly search: Policies['busSearch'];
  private readonly capacity: number;
  private registered: readonly RangedDevice[] = [];
  private published: DeviceTable;

  constructor(search: Policies['busSearch'] = 'linear', capacity: number = CAPACITY_2_6_32) {
    this.search = search;
    this.capacity = capacity;
    this.published = this.tableOf([]);
  }

  /** Devices in order of registration. */
  get devices(): readonly RangedDevice[] {
    return this.registered;
  }

  /** @throws BusFullError */
  register(device: RangedDevice): void {
    const next = [...this.registered, device];
    const table = this.tableOf(next);
    if (table.entries > this.capacity) throw new BusFullError(device.name, this.capacity);
    this.registered = next;
    this.published = table;
  }

  /** Takes a device off; the last one moves into its place, as in kvm_io_bus_unregister_dev. */
  unregister(device: RangedDevice): void {
    const index = this.registered.indexOf(device);
    if (index < 0) return;
    const next = this.registered.slice();
    const last = next.pop()!;
    if (index < next.length) next[index] = last;
    this.registered = next;
    this.published = this.tableOf(next);
  }

  /** False when no device claims the address. */
  write(
    address: number,
    sizeInBytes: number,
    value: number,
    costs: CostSink,
    upperHalf?: number | undefined,
  ): boolean {
    return this.published.write(address, sizeInBytes, value, costs, upperHalf);
  }

  /** The value read, or undefined when no device claims the address. */
  read(address: number, sizeInBytes: number, costs: CostSink): number | undefined {
    return this.published.read(address, sizeInBytes, costs);
  }

  private tableOf(devices: readonly RangedDevice[]): DeviceTable {
    return this.search === 'sorted' ? new SortedTable(devices) : new LinearTable(devices);
  }
}
