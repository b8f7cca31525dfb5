/** What keeps memory slots and buses from changing while an exit is handled: slots_lock of 2.6.32. */

import { operation } from '../host/cost/operations.js';
import type { Vcpu } from './vcpu.js';

const LOCKED_OPERATION = operation('locked operation');

/** Readers inside, per VM: more leaves than entries would be a defect. */
const READERS = new WeakMap<object, number>();

/**
 * down_read of the spinlock-based rwsem that x86-64 had: one locked read-modify-write of the shared line, plain stores
 * for the rest.
 */
export function lockSlotsForReading(vcpu: Vcpu): void {
  READERS.set(vcpu.vm, readersOf(vcpu.vm) + 1);
  vcpu.charge(LOCKED_OPERATION);
}

export function unlockSlotsForReading(vcpu: Vcpu): void {
  const readers = readersOf(vcpu.vm) - 1;
  if (readers < 0) throw new Error('slots_lock was released more often than it was taken');
  READERS.set(vcpu.vm, readers);
  vcpu.charge(LOCKED_OPERATION);
}

export const readersOf = (vm: object): number => READERS.get(vm) ?? 0;
