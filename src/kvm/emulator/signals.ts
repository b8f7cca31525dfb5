/** What ends the emulation of an instruction early: thrown inside the emulator, caught by `Emulator` only. */

import type { MmioAccess } from '../mmio.js';

/** The instruction faults: the exception is injected into the guest. */
export class EmulatedFault {
  readonly vector: number;
  readonly errorCode: number | undefined;
  /** For #PF: the linear address that goes to CR2. */
  readonly linearAddress: bigint | undefined;
  constructor(vector: number, errorCode?: number, linearAddress?: bigint) {
    this.vector = vector;
    this.errorCode = errorCode;
    this.linearAddress = linearAddress;
  }
}

/** A value is needed that only user space can read: the instruction starts over once it is there. */
export class UserSpaceReadNeeded {
  readonly access: MmioAccess;
  constructor(access: MmioAccess) {
    this.access = access;
  }
}
