/**
 * Memory accesses that miss the TLB: translation, filling of the TLB, and accesses that generated code may not
 * make itself, which go through bounce buffers in the processor block.
 */

import { SEGMENT } from '../../architecture/registers.js';
import { type HostPhysicalAddress, hostPhysical, type LinearAddress } from '../../memory/addresses.js';
import type { PhysicalMemory } from '../../memory/physical-memory.js';
import type { MmioBus } from '../core.js';
import type { Walk } from '../paging/page-walk.js';
import type { TranslationBuffer } from '../paging/translation-buffer.js';
import { BOUNCE_SIZE, STATE } from '../state/layout.js';
import { ACCESS_KIND, ACCESS_SEGMENT, RECORD } from './records.js';

/** Translates for an instruction; throws faults and VM exits. */
export type Translate = (linear: LinearAddress, access: 'read' | 'write', stack: boolean, out: Walk) => void;

/** A part of a bounced access that lies in one page. */
interface Piece {
  readonly physical: HostPhysicalAddress;
  readonly length: number;
}

interface PendingWrite {
  readonly bounce: number;
  readonly pieces: readonly Piece[];
}

const PAGE_SIZE = 4096;

export class SlowPath {
  private readonly view: DataView;
  private readonly bytes: Uint8Array;
  private readonly block: number;
  private readonly memory: PhysicalMemory;
  private readonly mmio: MmioBus;
  private readonly buffer: TranslationBuffer;
  private readonly translate: Translate;
  private readonly isUser: () => boolean;
  private readonly isWatched: () => boolean;
  private readonly walk: Walk = { physical: hostPhysical(0), writeReady: false, cacheable: false };
  private readonly pending: PendingWrite[] = [];

  constructor(
    linearMemory: WebAssembly.Memory,
    block: number,
    memory: PhysicalMemory,
    mmio: MmioBus,
    buffer: TranslationBuffer,
    translate: Translate,
    isUser: () => boolean,
    isWatched: () => boolean,
  ) {
    this.view = new DataView(linearMemory.buffer);
    this.bytes = new Uint8Array(linearMemory.buffer);
    this.block = block;
    this.memory = memory;
    this.mmio = mmio;
    this.buffer = buffer;
    this.translate = translate;
    this.isUser = isUser;
    this.isWatched = isWatched;
  }

  /** Linear-memory address that generated code may use for the access. Throws what translation throws. */
  access(record: number, signedLinear: bigint, kindAndSize: number): number {
    const linear = BigInt.asUintN(64, signedLinear);
    const size = kindAndSize & 0xff;
    const kind = (kindAndSize >> 8) & 0xff;
    const access = kind === ACCESS_KIND.READ ? 'read' : 'write';
    const segment = kindAndSize >> 24;
    const stack =
      segment === ACCESS_SEGMENT.OF_RECORD
        ? this.view.getUint8(record + RECORD.SEGMENT) === SEGMENT.SS
        : segment === ACCESS_SEGMENT.STACK;
    const inPage = PAGE_SIZE - Number(linear & 0xfffn);
    const first = this.piece(linear, Math.min(size, inPage), access, stack);
    if (size <= inPage && this.isDirect(first, access)) return this.memory.base + first.physical;
    const pieces =
      size <= inPage
        ? [first]
        : [first, this.piece(BigInt.asUintN(64, linear + BigInt(inPage)), size - inPage, access, stack)];
    return this.bounce((kindAndSize >> 16) & 0xff, kind, pieces);
  }

  /** Writes pending bounce buffers out. */
  commit(): void {
    for (const { bounce, pieces } of this.pending) {
      let from = bounce;
      for (const { physical, length } of pieces) {
        this.writePiece(physical, from, length);
        from += length;
      }
    }
    this.pending.length = 0;
  }

  /** Forgets bounced writes of an instruction that did not complete. */
  abandon(): void {
    this.pending.length = 0;
  }

  private piece(linear: LinearAddress, length: number, access: 'read' | 'write', stack: boolean): Piece {
    const { walk } = this;
    this.translate(linear, access, stack, walk);
    const { physical } = walk;
    if (walk.cacheable && this.memory.contains(physical & ~0xfff, PAGE_SIZE))
      this.buffer.insert(linear, physical, this.isUser(), walk.writeReady && !this.holdsCode(physical));
    return { physical, length };
  }

  private isDirect(piece: Piece, access: 'read' | 'write'): boolean {
    if (!this.memory.contains(piece.physical, piece.length)) return false;
    return access === 'read' || !(this.holdsCode(piece.physical) || this.isWatched());
  }

  private holdsCode(physical: number): boolean {
    return this.memory.watchedPages[physical >>> 12] !== 0;
  }

  private bounce(slot: number, kind: number, pieces: readonly Piece[]): number {
    const base = kind === ACCESS_KIND.READ ? STATE.READ_BOUNCE : STATE.WRITE_BOUNCE;
    const bounce = this.block + base + slot * BOUNCE_SIZE;
    let to = bounce;
    for (const { physical, length } of pieces) {
      const inRam = this.memory.contains(physical, length);
      if (inRam) this.bytes.set(this.memory.bytes.subarray(physical, physical + length), to);
      else if (kind !== ACCESS_KIND.WRITE) this.readMmio(physical, to, length);
      to += length;
    }
    if (kind !== ACCESS_KIND.READ) this.pending.push({ bounce, pieces });
    return bounce;
  }

  private readMmio(physical: HostPhysicalAddress, to: number, length: number): void {
    for (let done = 0; done < length; ) {
      const size = powerOfTwoWithin(length - done);
      const value = this.mmio.read(hostPhysical(physical + done), size);
      for (let n = 0; n < size; n++) this.bytes[to + done + n] = Number((value >> BigInt(8 * n)) & 0xffn);
      done += size;
    }
  }

  private writePiece(physical: HostPhysicalAddress, from: number, length: number): void {
    if (this.memory.contains(physical, length)) {
      this.memory.load(physical, this.bytes.subarray(from, from + length));
      return;
    }
    for (let done = 0; done < length; ) {
      const size = powerOfTwoWithin(length - done);
      let value = 0n;
      for (let n = size - 1; n >= 0; n--) value = (value << 8n) | BigInt(this.bytes[from + done + n]!);
      this.mmio.write(hostPhysical(physical + done), size, value);
      done += size;
    }
  }
}

/** The largest device access that fits into `length` bytes. */
function powerOfTwoWithin(length: number): number {
  return length >= 8 ? 8 : length >= 4 ? 4 : length >= 2 ? 2 : 1;
}
