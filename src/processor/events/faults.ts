/** Raising the faults of the manual; each throws a `GuestFault` for the step loop. */

import { VECTOR } from '../../architecture/vectors.js';
import { GuestFault } from '../core.js';

export function raiseInvalidOpcode(): never {
  throw new GuestFault(VECTOR.UD);
}

export function raiseDeviceNotAvailable(): never {
  throw new GuestFault(VECTOR.NM);
}

/** @param errorCode a selector with its RPL bits clear, or 0 */
export function raiseGeneralProtection(errorCode = 0): never {
  throw new GuestFault(VECTOR.GP, errorCode);
}

export function raiseNotPresent(errorCode: number): never {
  throw new GuestFault(VECTOR.NP, errorCode);
}

export function raiseStackFault(errorCode = 0): never {
  throw new GuestFault(VECTOR.SS, errorCode);
}

export function raiseInvalidTss(errorCode: number): never {
  throw new GuestFault(VECTOR.TS, errorCode);
}
