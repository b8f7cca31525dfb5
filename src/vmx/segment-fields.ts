/** The VMCS fields of each segment register. */

import { SEGMENT } from '../architecture/registers.js';
import { VMCS } from '../architecture/vmx/vmcs-fields.js';

export interface SegmentFields {
  readonly name: string;
  /** Number in `SEGMENT` order. */
  readonly number: number;
  readonly selector: number;
  readonly base: number;
  readonly limit: number;
  readonly accessRights: number;
}

/** Encodings of the guest's segment fields go in steps of 2, in the order of segment numbers (B.1.2, B.3.3, B.4.3). */
export const GUEST_SEGMENTS: readonly SegmentFields[] = Object.entries(SEGMENT).map(([name, number]) => ({
  name,
  number,
  selector: VMCS.GUEST_ES_SELECTOR + number * 2,
  base: VMCS.GUEST_ES_BASE + number * 2,
  limit: VMCS.GUEST_ES_LIMIT + number * 2,
  accessRights: VMCS.GUEST_ES_ACCESS_RIGHTS + number * 2,
}));
