/** Filling a segment register and its hidden part, without any check. */

import { ACCESS_RIGHTS, type Descriptor } from '../../architecture/descriptors.js';
import { SEGMENT } from '../../architecture/registers.js';
import type { ProcessorCore } from '../core.js';

/** Loads a register; the caches learn of it where the execution mode depends on it. */
export function setSegment(
  core: ProcessorCore,
  number: number,
  selector: number,
  descriptor: Descriptor,
): void {
  const register = core.state.segment(number);
  register.selector = selector;
  register.base = descriptor.base;
  register.limit = descriptor.limit;
  register.accessRights = descriptor.accessRights;
  if (number === SEGMENT.CS || number === SEGMENT.SS) core.caches.modeChanged();
}

/**
 * Makes a register unusable. SS keeps a privilege level, which is the CPL (SDM Vol. 3A, 5.14.2 Stack Switching in
 * IA-32e mode: the new SS is null with RPL = new CPL).
 */
export function setNullSegment(core: ProcessorCore, number: number, selector: number, privilege = 0): void {
  setSegment(core, number, selector, {
    base: 0n,
    limit: 0,
    accessRights: ACCESS_RIGHTS.UNUSABLE | (privilege << 5),
  });
}

/** A register as real-address mode loads it: base = selector × 16, limit and attributes stay. */
export function setRealModeSegment(core: ProcessorCore, number: number, selector: number): void {
  const register = core.state.segment(number);
  register.selector = selector;
  register.base = BigInt(selector << 4);
  if (number === SEGMENT.CS || number === SEGMENT.SS) core.caches.modeChanged();
}

/** A register in virtual-8086 mode (SDM Vol. 3B, 20.2): 64 KiB of writable data at privilege level 3. */
export function setVirtual8086Segment(core: ProcessorCore, number: number, selector: number): void {
  setSegment(core, number, selector, { base: BigInt(selector << 4), limit: 0xffff, accessRights: 0xf3 });
}
