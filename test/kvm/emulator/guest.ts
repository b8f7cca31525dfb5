/** A guest made by hand for the emulator's tests: RAM behind one memory slot, page tables, a vCPU that records. */

import { OPERATION_NAMES, type OperationNumber } from '../../../src/host/cost/operations.js';
import type { EmulatedVcpu } from '../../../src/kvm/emulator/emulated-vcpu.js';
import { Emulator } from '../../../src/kvm/emulator/emulator.js';
import { type BusDevice, IoBus } from '../../../src/kvm/io-bus.js';
import { MemorySlots } from '../../../src/kvm/memory-slots.js';
import { MmioPath } from '../../../src/kvm/mmio.js';
import { GuestPageWalker } from '../../../src/kvm/mmu/guest-page-walk.js';
import type { Policies } from '../../../src/kvm/policies.js';
import { guestPhysical, hostPhysical } from '../../../src/memory/addresses.js';
import { PhysicalMemory } from '../../../src/memory/physical-memory.js';

export const USER_BASE = 0x7f0000000000;
export const RAM_SIZE = 0x200000;
/** Where the guest's RAM starts in host memory: not at 0, so that mixed-up address spaces show. */
export const RAM_AT_HOST = 0x100000;
const TABLES = 0x100000;

/** Counts what is charged, by name. */
export class Charges {
  readonly counts = new Map<string, number>();
  charge(operation: OperationNumber, times = 1): void {
    const name = OPERATION_NAMES[operation]!;
    this.counts.set(name, (this.counts.get(name) ?? 0) + times);
  }
  of(name: string): number {
    return this.counts.get(name) ?? 0;
  }
}

export interface InjectedException {
  readonly vector: number;
  readonly errorCode: number | undefined;
  readonly address?: bigint;
}

export class TestVcpu extends Charges implements EmulatedVcpu {
  readonly id: number = 0;
  readonly registers = new BigUint64Array(16);
  rip = 0n;
  rflags = 2;
  cr0 = 0x80050033 | 0;
  cr3 = BigInt(TABLES);
  cr4 = 0x20;
  efer = 0xd01;
  privilegeLevel = 0;
  codeRights = 0xa09b;
  stackRights = 0xc093;
  readonly bases = [0n, 0n, 0n, 0n, 0n, 0n];
  shadowCleared = 0;
  exception: InjectedException | undefined;

  takeException(): InjectedException | undefined {
    const { exception } = this;
    this.exception = undefined;
    return exception;
  }

  readRegister(number: number): bigint {
    return this.registers[number]!;
  }
  writeRegister(number: number, value: bigint): void {
    this.registers[number] = value;
  }
  readRflags(): number {
    return this.rflags;
  }
  writeRflags(value: number): void {
    this.rflags = value;
  }
  segmentBase(segment: number): bigint {
    return this.bases[segment]!;
  }
  segmentAccessRights(segment: number): number {
    return segment === 1 ? this.codeRights : this.stackRights;
  }
  readPrivilegeLevel(): number {
    return this.privilegeLevel;
  }
  clearInterruptShadow(): void {
    this.shadowCleared++;
  }
  injectException(vector: number, errorCode?: number): void {
    this.exception = { vector, errorCode };
  }
  injectPageFault(address: bigint, errorCode: number): void {
    this.exception = { vector: 14, errorCode, address };
  }
}

const NO_DEVICE: BusDevice = { name: 'none', read: () => undefined, write: () => false };

/** 2 MiB of RAM at guest-physical 0; page tables at 1 MiB, four levels, filled in by `map`. */
export class TestGuest {
  readonly memory = new PhysicalMemory(new WebAssembly.Memory({ initial: 64 }), 0, 0x400000);
  readonly slots = new MemorySlots((user) => user - USER_BASE + RAM_AT_HOST);
  readonly vcpu = new TestVcpu();
  readonly ports = new IoBus();
  readonly mmioBus = new IoBus();
  readonly walker: GuestPageWalker;
  readonly emulator: Emulator;
  private nextTable = TABLES + 0x1000;

  constructor(localApic: BusDevice = NO_DEVICE, policy: Policies['instructionEmulation'] = 'full') {
    this.slots.setRegion({
      slot: 0,
      guestPhysicalAddress: guestPhysical(0),
      sizeInBytes: RAM_SIZE,
      userspaceAddress: USER_BASE,
    });
    this.walker = new GuestPageWalker(this.memory, this.slots);
    this.emulator = new Emulator({
      vcpu: this.vcpu,
      memory: this.memory,
      frames: this.slots,
      walker: this.walker,
      mmio: new MmioPath(localApic, this.mmioBus),
      ports: this.ports,
      policy,
    });
  }

  /** RAM at a guest-physical address. */
  ram(address: number, length: number): Uint8Array {
    return this.memory.bytes.subarray(RAM_AT_HOST + address, RAM_AT_HOST + address + length);
  }

  read64(address: number): bigint {
    return this.memory.read64(hostPhysical(RAM_AT_HOST + address));
  }
  write64(address: number, value: bigint): void {
    this.memory.write64(hostPhysical(RAM_AT_HOST + address), value);
  }

  /** Address of the entry for a linear address at a level (1 = page table), making tables on the way. */
  entryAddress(linear: bigint, level: number): number {
    let table = TABLES;
    for (let current = 4; ; current--) {
      const index = Number((linear >> BigInt(12 + 9 * (current - 1))) & 511n);
      const address = table + 8 * index;
      if (current === level) return address;
      if (this.read64(address) === 0n) {
        this.write64(address, BigInt(this.nextTable) | 7n);
        this.nextTable += 0x1000;
      }
      table = Number(this.read64(address) & 0xffffffff000n);
    }
  }

  /** Maps 4 KiB pages; `bits` are the low and high bits of the leaf entry. */
  map(linear: bigint, guestPhysicalAddress: number, pages = 1, bits = 7n): void {
    for (let page = 0; page < pages; page++)
      this.write64(
        this.entryAddress(linear + BigInt(4096 * page), 1),
        BigInt(guestPhysicalAddress + 4096 * page) | bits,
      );
  }
}

export const EMULATION_POLICIES = [
  'full',
  'decode-cache',
  'lean',
] as const satisfies readonly Policies['instructionEmulation'][];
