/**
 * Host-physical RAM: a slice of the machine's linear memory. Addresses outside of it are not RAM; asking
 * for them is a programming error of the caller, who checks `contains` first.
 */

import type { HostPhysicalAddress } from './addresses.js';

export class PhysicalMemory {
  /** The machine's linear memory, of which RAM is a slice. */
  readonly linearMemory: WebAssembly.Memory;
  /** Linear-memory address of host-physical address 0. */
  readonly base: number;
  readonly sizeInBytes: number;
  readonly bytes: Uint8Array;
  /** One flag per page: writes to flagged pages are reported, because decoded code was taken from them. */
  readonly watchedPages: Uint8Array;
  /** Called after a write to a flagged page. */
  onWatchedWrite: (address: number, size: number) => void = () => {};
  private readonly view: DataView;

  /** @param sizeInBytes a multiple of 4096, below 2 GiB */
  constructor(memory: WebAssembly.Memory, base: number, sizeInBytes: number) {
    if (sizeInBytes % 4096 !== 0) throw new RangeError(`RAM size ${sizeInBytes} is no multiple of 4096`);
    this.linearMemory = memory;
    this.base = base;
    this.sizeInBytes = sizeInBytes;
    this.bytes = new Uint8Array(memory.buffer, base, sizeInBytes);
    this.view = new DataView(memory.buffer, base, sizeInBytes);
    this.watchedPages = new Uint8Array(sizeInBytes / 4096);
  }

  contains(address: number, size: number): boolean {
    return address >= 0 && address + size <= this.sizeInBytes;
  }

  read8(address: HostPhysicalAddress): number {
    return this.view.getUint8(address);
  }
  read16(address: HostPhysicalAddress): number {
    return this.view.getUint16(address, true);
  }
  read32(address: HostPhysicalAddress): number {
    return this.view.getUint32(address, true);
  }
  read64(address: HostPhysicalAddress): bigint {
    return this.view.getBigUint64(address, true);
  }
  write8(address: HostPhysicalAddress, value: number): void {
    this.view.setUint8(address, value);
    if (this.isWatched(address, 1)) this.onWatchedWrite(address, 1);
  }
  write16(address: HostPhysicalAddress, value: number): void {
    this.view.setUint16(address, value, true);
    if (this.isWatched(address, 2)) this.onWatchedWrite(address, 2);
  }
  write32(address: HostPhysicalAddress, value: number): void {
    this.view.setUint32(address, value, true);
    if (this.isWatched(address, 4)) this.onWatchedWrite(address, 4);
  }
  write64(address: HostPhysicalAddress, value: bigint): void {
    this.view.setBigUint64(address, value, true);
    if (this.isWatched(address, 8)) this.onWatchedWrite(address, 8);
  }

  /** A value of 1, 2, 4 or 8 bytes, zero-extended. */
  read(address: HostPhysicalAddress, size: number): bigint {
    switch (size) {
      case 1:
        return BigInt(this.read8(address));
      case 2:
        return BigInt(this.read16(address));
      case 4:
        return BigInt(this.read32(address));
      default:
        return this.read64(address);
    }
  }

  write(address: HostPhysicalAddress, size: number, value: bigint): void {
    switch (size) {
      case 1:
        this.write8(address, Number(value & 0xffn));
        return;
      case 2:
        this.write16(address, Number(value & 0xffffn));
        return;
      case 4:
        this.write32(address, Number(value & 0xffffffffn));
        return;
      default:
        this.write64(address, BigInt.asUintN(64, value));
    }
  }

  /** Copies `data` to `address`. */
  load(address: HostPhysicalAddress, data: Uint8Array): void {
    this.bytes.set(data, address);
    for (let page = address >>> 12; page <= (address + data.length - 1) >>> 12; page++)
      if (this.watchedPages[page] !== 0) {
        this.onWatchedWrite(address, data.length);
        return;
      }
  }

  private isWatched(address: number, size: number): boolean {
    return this.watchedPages[address >>> 12] !== 0 || this.watchedPages[(address + size - 1) >>> 12] === 1;
  }
}
