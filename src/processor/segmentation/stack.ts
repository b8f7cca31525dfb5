/** A stack under construction or consumption: RSP changes only when the caller commits it, so faults stay precise. */

import { isCanonical } from '../../architecture/canonical-address.js';
import { ACCESS_RIGHTS } from '../../architecture/descriptors.js';
import { GPR, SEGMENT } from '../../architecture/registers.js';
import type { LinearAddress } from '../../memory/addresses.js';
import type { ProcessorCore } from '../core.js';
import { raiseStackFault } from '../events/faults.js';
import { is64BitMode } from './mode.js';

/** The part of a stack segment that counts for accesses; undefined stands for the flat stack of 64-bit mode. */
export type StackSegment = { readonly base: bigint; readonly limit: number; readonly accessRights: number };

/** False when `size` bytes at `offset` exceed the limit of a data segment (SDM Vol. 3A, 5.3 Limit Checking). */
export function withinLimit(segment: StackSegment, offset: bigint, size: number): boolean {
  const first = Number(offset);
  const last = first + size - 1;
  const expandsDown =
    (segment.accessRights & (ACCESS_RIGHTS.CODE | ACCESS_RIGHTS.EXPAND_DOWN)) === ACCESS_RIGHTS.EXPAND_DOWN;
  if (!expandsDown) return last <= segment.limit;
  const top = (segment.accessRights & ACCESS_RIGHTS.BIG) !== 0 ? 0xffffffff : 0xffff;
  return first > segment.limit && last <= top;
}

export class Stack {
  private readonly core: ProcessorCore;
  private readonly segment: StackSegment | undefined;
  private readonly privilege: 'current' | 'system';
  private readonly errorCode: number;
  /** Width of the stack pointer in bits. */
  private readonly addressWidth: 16 | 32 | 64;
  private value: bigint;

  /**
   * @param pointer initial RSP
   * @param privilege with which memory is accessed: 'system' for a stack of level 0 … 2 that is not the current one
   * @param errorCode of a stack fault
   */
  constructor(
    core: ProcessorCore,
    segment: StackSegment | undefined,
    pointer: bigint,
    privilege: 'current' | 'system' = 'current',
    errorCode = 0,
  ) {
    this.core = core;
    this.segment = segment;
    this.privilege = privilege;
    this.errorCode = errorCode;
    this.value = pointer;
    if (segment === undefined) this.addressWidth = 64;
    else this.addressWidth = (segment.accessRights & ACCESS_RIGHTS.BIG) !== 0 ? 32 : 16;
  }

  /** The stack that RSP and SS name now. */
  static current(core: ProcessorCore): Stack {
    const segment = is64BitMode(core.state) ? undefined : core.state.segment(SEGMENT.SS);
    return new Stack(core, segment, core.state.readGpr(GPR.RSP));
  }

  /** RSP after what has been done so far. */
  get pointer(): bigint {
    return this.value;
  }

  /** @param size 2, 4 or 8 bytes; `value` is cut to it */
  push(size: number, value: bigint): void {
    const pointer = this.moved(-size);
    this.core.linear.write(
      this.address(pointer, size),
      size,
      BigInt.asUintN(size * 8, value),
      this.privilege,
    );
    this.value = pointer;
  }

  /** Pops 2, 4 or 8 bytes, zero-extended. */
  pop(size: number): bigint {
    const value = this.core.linear.read(this.address(this.value, size), size, this.privilege);
    this.value = this.moved(size);
    return value;
  }

  /** Removes bytes without reading them (RET n). */
  release(sizeInBytes: number): void {
    this.value = this.moved(sizeInBytes);
  }

  /** Writes the pointer to RSP. */
  commit(): void {
    this.core.state.writeGpr(GPR.RSP, this.value);
  }

  private moved(distance: number): bigint {
    const low = BigInt.asUintN(this.addressWidth, this.value + BigInt(distance));
    return this.addressWidth === 16 ? (this.value & ~0xffffn) | low : low;
  }

  private address(pointer: bigint, size: number): LinearAddress {
    const offset = BigInt.asUintN(this.addressWidth, pointer);
    if (this.segment === undefined) {
      if (!isCanonical(offset) || !isCanonical(offset + BigInt(size - 1))) raiseStackFault(this.errorCode);
      return offset;
    }
    if (!withinLimit(this.segment, offset, size)) raiseStackFault(this.errorCode);
    return BigInt.asUintN(32, this.segment.base + offset);
  }
}
