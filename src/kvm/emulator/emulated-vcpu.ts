/** What the emulator sees of a vCPU; each accessor charges the VMREADs and VMWRITEs that it needs. */

import type { SegmentNumber } from '../../architecture/registers.js';
import type { CostSink } from '../../host/cost/operations.js';
import type { PagingState } from '../mmu/guest-page-walk.js';

export interface EmulatedVcpu extends CostSink, PagingState {
  /** General-purpose registers by number; RSP only after `readRegister` has brought it in. */
  readonly registers: BigUint64Array;
  readRegister(number: number): bigint;
  writeRegister(number: number, value: bigint): void;
  rip: bigint;
  readRflags(): number;
  writeRflags(value: number): void;
  segmentBase(segment: SegmentNumber): bigint;
  /** In the format of the VMCS. */
  segmentAccessRights(segment: SegmentNumber): number;
  readPrivilegeLevel(): number;
  /** Ends the blocking of interrupts by STI or MOV SS, as every completed instruction does. */
  clearInterruptShadow(): void;
  injectException(vector: number, errorCode?: number): void;
  injectPageFault(linearAddress: bigint, errorCode: number): void;
}
