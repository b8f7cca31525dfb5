/**
 * Guest memory by linear address, as the emulator reaches it (emulator_read_emulated, emulator_write_emulated): page
 * walk, then RAM through the memory slots, or the MMIO path.
 */

import { VECTOR } from '../../architecture/vectors.js';
import { operation } from '../../host/cost/operations.js';
import {
  type GuestPhysicalAddress,
  guestPhysical,
  type HostPhysicalAddress,
  PAGE_SIZE,
} from '../../memory/addresses.js';
import type { PhysicalMemory } from '../../memory/physical-memory.js';
import type { MmioAccess, MmioPath } from '../mmio.js';
import type { GuestAccess, GuestFrames, GuestPageWalker } from '../mmu/guest-page-walk.js';
import type { EmulatedVcpu } from './emulated-vcpu.js';
import { EmulatedFault, UserSpaceReadNeeded } from './signals.js';

const OPERAND_ACCESS = operation('emulator operand access');
const FETCH = operation('emulator fetch');

/** The page that stands for the local APIC is never RAM to the emulator, though a private slot backs it. */
const APIC_PAGE = 0xfee00000;

export interface LinearAccessOptions {
  readonly vcpu: EmulatedVcpu;
  readonly memory: PhysicalMemory;
  readonly frames: GuestFrames;
  readonly walker: GuestPageWalker;
  readonly mmio: MmioPath;
}

export class LinearAccess {
  /** Writes that user space has to make, in order, after the instruction. */
  readonly userSpaceWrites: MmioAccess[] = [];
  /** User-mode access: CPL 3. Set by the emulator before use. */
  user = false;
  /** MMIO values that this instruction has read; an instruction that starts over gets them again, in order. */
  private readonly answers: bigint[] = [];
  private nextAnswer = 0;
  private readonly options: LinearAccessOptions;

  constructor(options: LinearAccessOptions) {
    this.options = options;
  }

  /** A new instruction begins. */
  begin(): void {
    if (this.answers.length > 0) this.answers.length = 0;
    if (this.userSpaceWrites.length > 0) this.userSpaceWrites.length = 0;
    this.nextAnswer = 0;
  }

  /** The same instruction begins again, with the value that user space has read. */
  restart(answer: bigint): void {
    this.answers.push(answer);
    this.userSpaceWrites.length = 0;
    this.nextAnswer = 0;
  }

  /** An unsigned value of 1 … 8 bytes. */
  read(linear: bigint, sizeInBytes: number): bigint {
    const inPage = PAGE_SIZE - Number(linear & 0xfffn);
    if (sizeInBytes <= inPage) return this.readPiece(this.translate(linear, 'read'), sizeInBytes);
    // Both pages are translated first: a fault in the second one must come before any device has been read.
    const first = this.translate(linear, 'read');
    const second = this.translate(linear + BigInt(inPage), 'read');
    const low = this.readBytes(first, inPage);
    return low | (this.readBytes(second, sizeInBytes - inPage) << BigInt(8 * inPage));
  }

  write(linear: bigint, sizeInBytes: number, value: bigint): void {
    const inPage = PAGE_SIZE - Number(linear & 0xfffn);
    if (sizeInBytes <= inPage) {
      this.writePiece(this.translate(linear, 'write'), sizeInBytes, value);
      return;
    }
    const first = this.translate(linear, 'write');
    const second = this.translate(linear + BigInt(inPage), 'write');
    this.writeBytes(first, inPage, BigInt.asUintN(8 * inPage, value));
    this.writeBytes(second, sizeInBytes - inPage, value >> BigInt(8 * inPage));
  }

  /** Raises the page fault that a write would raise, before anything is done. */
  probeWrite(linear: bigint, sizeInBytes: number): void {
    const inPage = PAGE_SIZE - Number(linear & 0xfffn);
    this.translate(linear, 'write');
    if (sizeInBytes > inPage) this.translate(linear + BigInt(inPage), 'write');
  }

  /**
   * Copies instruction bytes, as far as the page goes (do_insn_fetch).
   * @returns the number of bytes copied; 0 when the page is not RAM
   */
  fetch(linear: bigint, into: Uint8Array, offset: number, end: number): number {
    const { vcpu, memory } = this.options;
    const size = Math.min(end - offset, PAGE_SIZE - Number(linear & 0xfffn));
    vcpu.charge(FETCH);
    const host = this.hostAddress(this.translate(linear, 'fetch'));
    if (host === undefined) return 0;
    for (let index = 0; index < size; index++) into[offset + index] = memory.bytes[host + index]!;
    return size;
  }

  private translate(linear: bigint, access: GuestAccess): GuestPhysicalAddress {
    const { vcpu, walker } = this.options;
    const result = walker.translate(vcpu, linear, access, this.user, vcpu);
    if (typeof result !== 'number') throw new EmulatedFault(VECTOR.PF, result.errorCode, linear);
    return result;
  }

  /** Undefined for MMIO. */
  private hostAddress(address: GuestPhysicalAddress): HostPhysicalAddress | undefined {
    if (address - (address % PAGE_SIZE) === APIC_PAGE) return undefined;
    return this.options.frames.translate(address, this.options.vcpu);
  }

  private readPiece(address: GuestPhysicalAddress, sizeInBytes: number): bigint {
    const { vcpu, memory, mmio } = this.options;
    vcpu.charge(OPERAND_ACCESS);
    const host = this.hostAddress(address);
    if (host !== undefined) return memory.read(host, sizeInBytes);
    const known = this.answers[this.nextAnswer];
    if (known !== undefined) {
      this.nextAnswer++;
      return BigInt.asUintN(8 * sizeInBytes, known);
    }
    const value = mmio.read(address, sizeInBytes, vcpu);
    if (value === undefined)
      throw new UserSpaceReadNeeded({ guestPhysicalAddress: address, sizeInBytes, write: false, value: 0n });
    this.answers.push(value);
    this.nextAnswer++;
    return value;
  }

  private writePiece(address: GuestPhysicalAddress, sizeInBytes: number, value: bigint): void {
    const { vcpu, memory, mmio } = this.options;
    vcpu.charge(OPERAND_ACCESS);
    const host = this.hostAddress(address);
    if (host !== undefined) memory.write(host, sizeInBytes, value);
    // What user space still has to write must not be overtaken.
    else if (this.userSpaceWrites.length > 0 || !mmio.write(address, sizeInBytes, value, vcpu))
      this.userSpaceWrites.push({ guestPhysicalAddress: address, sizeInBytes, write: true, value });
  }

  /** Sizes that are no power of two, at a page's end: as the largest powers of two that fit. */
  private readBytes(address: GuestPhysicalAddress, sizeInBytes: number): bigint {
    let value = 0n;
    for (let done = 0; done < sizeInBytes; ) {
      const size = largestPowerOfTwo(sizeInBytes - done);
      value |= this.readPiece(guestPhysical(address + done), size) << BigInt(8 * done);
      done += size;
    }
    return value;
  }

  private writeBytes(address: GuestPhysicalAddress, sizeInBytes: number, value: bigint): void {
    for (let done = 0; done < sizeInBytes; ) {
      const size = largestPowerOfTwo(sizeInBytes - done);
      this.writePiece(
        guestPhysical(address + done),
        size,
        BigInt.asUintN(8 * size, value >> BigInt(8 * done)),
      );
      done += size;
    }
  }
}

const largestPowerOfTwo = (limit: number): number => (limit >= 8 ? 8 : limit >= 4 ? 4 : limit >= 2 ? 2 : 1);
