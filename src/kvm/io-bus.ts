/** In-kernel I/O buses: lists of devices asked one after the other (virt/kvm/kvm_main.c, struct kvm_io_bus). */

import { type CostSink, operation } from '../host/cost/operations.js';

const SEARCH_STEP = operation('device search step');
const DEVICE_ACCESS = operation('in-kernel device access');

/** Capacity of a bus in Linux 2.6.32 (NR_IOBUS_DEVS). */
export const BUS_CAPACITY_2_6_32 = 6;

/** A device on a bus (struct kvm_io_device): its operations check themselves whether the address is theirs. */
export interface BusDevice {
  readonly name: string;
  /** False means "not mine". `value` is unsigned; `sizeInBytes` is 1, 2, 4 or 8 (then the low 32 bits). */
  write(address: number, sizeInBytes: number, value: number): boolean;
  /** Undefined means "not mine"; otherwise an unsigned value. */
  read(address: number, sizeInBytes: number): number | undefined;
}

/** No room for another device: -ENOSPC of kvm_io_bus_register_dev. */
export class BusFullError extends Error {
  readonly code = 'bus-full';
  constructor(device: string, capacity: number) {
    super(`no room for device "${device}" on a bus of ${capacity} devices`);
    this.name = 'BusFullError';
  }
}

/** A bus that searches linearly, in order of registration. Charges a search step for each device that is asked. */
export class IoBus {
  private registered: readonly BusDevice[] = [];
  private readonly capacity: number;

  constructor(capacity: number = BUS_CAPACITY_2_6_32) {
    this.capacity = capacity;
  }

  /** Devices in the order in which they are asked. */
  get devices(): readonly BusDevice[] {
    return this.registered;
  }

  /** @throws BusFullError */
  register(device: BusDevice): void {
    if (this.registered.length >= this.capacity) throw new BusFullError(device.name, this.capacity);
    this.registered = [...this.registered, device];
  }

  /** Takes a device off; the last one moves into its place, as in kvm_io_bus_unregister_dev. */
  unregister(device: BusDevice): void {
    const index = this.registered.indexOf(device);
    if (index < 0) return;
    const next = this.registered.slice();
    const last = next.pop()!;
    if (index < next.length) next[index] = last;
    this.registered = next;
  }

  /** False when no device claims the address. */
  write(address: number, sizeInBytes: number, value: number, costs: CostSink): boolean {
    const devices = this.registered;
    for (let index = 0; index < devices.length; index++)
      if (devices[index]!.write(address, sizeInBytes, value)) {
        costs.charge(SEARCH_STEP, index + 1);
        costs.charge(DEVICE_ACCESS);
        return true;
      }
    if (devices.length > 0) costs.charge(SEARCH_STEP, devices.length);
    return false;
  }

  /** The value read, or undefined when no device claims the address. */
  read(address: number, sizeInBytes: number, costs: CostSink): number | undefined {
    const devices = this.registered;
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
