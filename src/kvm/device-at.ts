/** Puts devices, which know only offsets, at addresses of a bus. */

import type { Device } from '../devices/device.js';
import type { AddressRange, RangedDevice } from './io-bus.js';

export interface DeviceRange {
  readonly first: number;
  readonly length: number;
  readonly device: Device;
}

/**
 * One bus device made of one or more address ranges: the 8259 pair with its six ports is a single device. An access
 * is claimed by the range that holds its first byte.
 */
export function deviceAt(name: string, ranges: readonly DeviceRange[]): RangedDevice {
  const rangeOf = (address: number): DeviceRange | undefined =>
    ranges.find(({ first, length }) => address >= first && address < first + length);
  return {
    name,
    ranges: joined(ranges),
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

/** Ranges that follow each other, like the two edge/level registers, are one to a bus. */
function joined(ranges: readonly AddressRange[]): AddressRange[] {
  const result: AddressRange[] = [];
  for (const { first, length } of ranges) {
    const last = result.at(-1);
    if (last !== undefined && last.first + last.length === first)
      result[result.length - 1] = { first: last.first, length: last.length + length };
    else result.push({ first, length });
  }
  return result;
}
