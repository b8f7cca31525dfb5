/** Puts devices, which know only offsets, at addresses of a bus. */

import type { Device } from '../devices/device.js';
import type { BusDevice } from './io-bus.js';

export interface DeviceRange {
  readonly first: number;
  readonly length: number;
  readonly device: Device;
}

/**
 * One bus device made of one or more address ranges: the 8259 pair with its six ports is a single device. An access
 * is claimed by the range that holds its first byte.
 */
export function deviceAt(name: string, ranges: readonly DeviceRange[]): BusDevice {
  const rangeOf = (address: number): DeviceRange | undefined =>
    ranges.find(({ first, length }) => address >= first && address < first + length);
  return {
    name,
    read: (address, sizeInBytes) => {
      const range = rangeOf(address);
      return range?.device.read(address - range.first, sizeInBytes);
    },
    write: (address, sizeInBytes, value) => {
      const range = rangeOf(address);
      range?.device.write(address - range.first, sizeInBytes, value);
      return range !== undefined;
    },
  };
}
