/** The user-space side of a VM (QEMU): what a vCPU's thread calls when KVM_RUN returns. */

import type { KvmExit } from './kvm-exit.js';
import type { MemoryRegion } from './memory-slots.js';

export interface UserSpaceMonitor {
  /** Unsigned values; `sizeInBytes` is 1, 2 or 4. Ports without a device read as all ones. */
  readPort(port: number, sizeInBytes: number): number;
  writePort(port: number, sizeInBytes: number, value: number): void;
  readMmio(guestPhysicalAddress: number, sizeInBytes: number): bigint;
  writeMmio(guestPhysicalAddress: number, sizeInBytes: number, value: bigint): void;
  /** An exit that is no access. False ends the vCPU's thread. */
  handleExit(vcpu: number, exit: KvmExit): boolean;
  /** True once a device ended the run: the vCPU's thread does not go back to the guest. */
  readonly stopped: boolean;
  /** Memory regions that device models want set, in order, since the last call; undefined when there are none. */
  takeMemoryRegions?(): readonly MemoryRegion[] | undefined;
  /** Name of the device behind an access, for traces. */
  describePort?(port: number): string | undefined;
}
