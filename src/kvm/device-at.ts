/** Puts devices, which know only offsets, at addresses of a bus. */

import type { Device } from '../devices/device.js';
import type { Lock } from './device-lock.js';
import type { AddressRange, RangedDevice } from './io-bus.js';

export interface DeviceRange {
  readonly first: number;
  readonly length: number;
  readonly device: Device;
}

/**
 * One bus device made of one or more address ranges: the 8259 pair with its six ports is a single device. An access
 * is claimed by the range that holds its first byte.
 * @param lock taken for each access that is claimed
 */
export function deviceAt(name: string, ranges: readonly DeviceRange[], lock?: Lock): RangedDevice {
  const rangeOf = (address: number): DeviceRange | undefined =>
    ranges.find(({ first, length }) => address >= first && address < first + length);
  return {
    name,
    ranges: joined(ranges),
    read: (address, sizeInBytes) => {
      const range = rangeOf(address);
      if (range === undefined) return undefined;
      lock?.acquire();
      const value = range.device.read(address - range.first, sizeInBytes);
      lock?.release();
      return value;
    },
    write: (address, sizeInBytes, value) => {
      const range = rangeOf(address);
      if (range === undefined) return false;
      lock?.acquire();
      range.device.write(address - range.first, sizeInBytes, value);
      lock?.release();
      return true;
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
