/**
 * The format shared by the VM-entry interruption-information, VM-exit interruption-information and
 * IDT-vectoring information fields (SDM Vol. 3C, 24.8.3, Table 24-14; 24.9.2, Table 24-16; 24.9.3, Table 24-17).
 */

import { exceptionName } from '../vectors.js';

export const INTERRUPTION_TYPE = {
  EXTERNAL_INTERRUPT: 0,
  NMI: 2,
  HARDWARE_EXCEPTION: 3,
  SOFTWARE_INTERRUPT: 4,
  PRIVILEGED_SOFTWARE_EXCEPTION: 5,
  SOFTWARE_EXCEPTION: 6,
  OTHER_EVENT: 7,
} as const;

export const INTERRUPTION_INFORMATION = {
  VECTOR: 0xff,
  TYPE_SHIFT: 8,
  TYPE: 7 << 8,
  /** Deliver error code / error code valid. */
  ERROR_CODE: 1 << 11,
  /** VM-exit interruption information only. */
  NMI_UNBLOCKING_DUE_TO_IRET: 1 << 12,
  VALID: 0x80000000,
} as const;

/** Bits that must be zero in the VM-entry interruption-information field (30:12). */
export const ENTRY_INTERRUPTION_RESERVED = 0x7ffff000;

export const interruptionVector = (information: number): number => information & 0xff;
export const interruptionType = (information: number): number => (information >> 8) & 7;
export const interruptionValid = (information: number): boolean => information >> 31 !== 0;

/** Unsigned value of a valid interruption-information field. */
export function encodeInterruption(vector: number, type: number, hasErrorCode: boolean): number {
  return (0x80000000 | (hasErrorCode ? INTERRUPTION_INFORMATION.ERROR_CODE : 0) | (type << 8) | vector) >>> 0;
}

const TYPE_TEXT: readonly string[] = [
  'external interrupt',
  'reserved',
  'NMI',
  'hardware exception',
  'software interrupt',
  'privileged software exception',
  'software exception',
  'other event',
];

/** An interruption-information field in words: `hardware exception #PF, error code valid`, or `none`. */
export function describeInterruption(information: number): string {
  if (!interruptionValid(information)) return 'none';
  const type = interruptionType(information);
  const vector = interruptionVector(information);
  const name =
    type === INTERRUPTION_TYPE.EXTERNAL_INTERRUPT || type === INTERRUPTION_TYPE.SOFTWARE_INTERRUPT
      ? `vector 0x${vector.toString(16).padStart(2, '0')}`
      : exceptionName(vector);
  const errorCode = (information & INTERRUPTION_INFORMATION.ERROR_CODE) !== 0 ? ', error code valid' : '';
  return type === INTERRUPTION_TYPE.NMI ? 'NMI' : `${TYPE_TEXT[type]} ${name}${errorCode}`;
}
