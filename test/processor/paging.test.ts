/** SDM Vol. 3A, Chapter 4 Paging: what is permitted, with which error code it is refused, and which flags are set. */

import { beforeEach, describe, expect, it } from 'vitest';
import { CR0, CR4, EFER } from '../../src/architecture/control-registers.js';
import { SEGMENT } from '../../src/architecture/registers.js';
import { RFLAGS } from '../../src/architecture/rflags.js';
import { hostPhysical } from '../../src/memory/addresses.js';
import { type Access, GuestFault } from '../../src/processor/core.js';
import { walkPageTables } from '../../src/processor/paging/page-walk.js';
import { type BareMachine, createBareMachine } from '../support/bare-machine.js';

const PML4 = 0x10000;
const PDPT = 0x11000;
const DIRECTORY = 0x12000;
const TABLE = 0x13000;
const FRAME = 0x20000;
/** Indices 5, 6, 7, 8. */
const LINEAR = (5n << 39n) | (6n << 30n) | (7n << 21n) | (8n << 12n) | 0x123n;
const ENTRIES = [PML4 + 5 * 8, PDPT + 6 * 8, DIRECTORY + 7 * 8, TABLE + 8 * 8] as const;

const P = 1n;
const W = 2n;
const U = 4n;
const A = 0x20n;
const D = 0x40n;
const PS = 0x80n;
const NX = 1n << 63n;

let machine: BareMachine;

function map(flags: readonly [bigint, bigint, bigint, bigint]): void {
  const targets = [PDPT, DIRECTORY, TABLE, FRAME];
  for (const [n, entry] of ENTRIES.entries())
    machine.memory.write64(hostPhysical(entry), BigInt(targets[n]!) | flags[n]!);
}

function setCpl(cpl: 0 | 3): void {
  for (const segment of [SEGMENT.CS, SEGMENT.SS]) {
    const register = machine.processor.state.segment(segment);
    register.accessRights = (register.accessRights & ~0x60) | (cpl << 5);
  }
  machine.processor.caches.modeChanged();
}

function outcome(
  access: Access,
  linear = LINEAR,
): number | { vector: number; errorCode: number | undefined; linearAddress: bigint | undefined } {
  try {
    return machine.processor.translate(linear, access);
  } catch (problem) {
    if (!(problem instanceof GuestFault)) throw problem;
    return { vector: problem.vector, errorCode: problem.errorCode, linearAddress: problem.linearAddress };
  }
}

const pageFault = (errorCode: number, linearAddress = LINEAR) => ({ vector: 14, errorCode, linearAddress });

beforeEach(() => {
  machine = createBareMachine();
  machine.processor.state.cr3 = BigInt(PML4);
  machine.processor.caches.flushAll();
});

const ALL = P | W | U;

describe('4-level paging', () => {
  it('translates through four tables', () => {
    map([ALL, ALL, ALL, ALL]);
    for (const access of ['read', 'write', 'fetch'] as const) expect(outcome(access)).toBe(FRAME + 0x123);
  });

  it('reports a missing entry at every level with P = 0', () => {
    for (let level = 0; level < 4; level++) {
      const flags: [bigint, bigint, bigint, bigint] = [ALL, ALL, ALL, ALL];
      flags[level] = W | U;
      map(flags);
      setCpl(0);
      expect(outcome('read')).toEqual(pageFault(0));
      expect(outcome('write')).toEqual(pageFault(2));
      expect(outcome('fetch')).toEqual(pageFault(16));
      setCpl(3);
      expect(outcome('read')).toEqual(pageFault(4));
      expect(outcome('write')).toEqual(pageFault(6));
    }
  });

  it('needs U/S at every level for user accesses', () => {
    for (let level = 0; level < 4; level++) {
      const flags: [bigint, bigint, bigint, bigint] = [ALL, ALL, ALL, ALL];
      flags[level] = P | W;
      map(flags);
      setCpl(3);
      expect(outcome('read')).toEqual(pageFault(5));
      expect(outcome('write')).toEqual(pageFault(7));
      expect(outcome('fetch')).toEqual(pageFault(21));
      setCpl(0);
      expect(outcome('read')).toBe(FRAME + 0x123);
    }
  });

  it('needs R/W at every level for writes: always for users, with CR0.WP for the supervisor', () => {
    for (let level = 0; level < 4; level++) {
      const flags: [bigint, bigint, bigint, bigint] = [ALL, ALL, ALL, ALL];
      flags[level] = P | U;
      map(flags);
      const { state } = machine.processor;
      setCpl(3);
      expect(outcome('write')).toEqual(pageFault(7));
      expect(outcome('read')).toBe(FRAME + 0x123);
      setCpl(0);
      expect(outcome('write')).toEqual(pageFault(3));
      state.cr0 = (state.cr0 & ~CR0.WP) >>> 0;
      expect(outcome('write')).toBe(FRAME + 0x123);
      setCpl(3);
      expect(outcome('write')).toEqual(pageFault(7));
      state.cr0 = (state.cr0 | CR0.WP) >>> 0;
    }
  });

  it('refuses fetches from execute-disable pages when EFER.NXE = 1, and reserves the bit when it is 0', () => {
    const { state } = machine.processor;
    for (let level = 0; level < 4; level++) {
      const flags: [bigint, bigint, bigint, bigint] = [ALL, ALL, ALL, ALL];
      flags[level] = ALL | NX;
      map(flags);
      setCpl(0);
      expect(outcome('fetch')).toEqual(pageFault(17));
      expect(outcome('read')).toBe(FRAME + 0x123);
      state.efer &= ~EFER.NXE;
      // Without NXE and SMEP the fetch bit of the error code stays 0.
      expect(outcome('fetch')).toEqual(pageFault(9));
      expect(outcome('read')).toEqual(pageFault(9));
      state.efer |= EFER.NXE;
    }
  });

  it('checks reserved bits: physical-address bits 40 to 51 and bit 7 of a PML4 entry', () => {
    for (let level = 0; level < 4; level++) {
      const flags: [bigint, bigint, bigint, bigint] = [ALL, ALL, ALL, ALL];
      flags[level] = ALL | (1n << 45n);
      map(flags);
      expect(outcome('read')).toEqual(pageFault(9));
      expect(outcome('write')).toEqual(pageFault(11));
    }
    map([ALL | PS, ALL, ALL, ALL]);
    expect(outcome('read')).toEqual(pageFault(9));
  });

  it('maps 2-MiB and 1-GiB pages and checks their reserved bits', () => {
    map([ALL, ALL, ALL, ALL]);
    machine.memory.write64(hostPhysical(ENTRIES[2]), 0x200000n | ALL | PS);
    expect(outcome('read')).toBe(0x200000 + (8 << 12) + 0x123);
    machine.memory.write64(hostPhysical(ENTRIES[2]), 0x202000n | ALL | PS);
    expect(outcome('read')).toEqual(pageFault(9));
    machine.memory.write64(hostPhysical(ENTRIES[1]), 0n | ALL | PS);
    expect(outcome('read')).toBe((7 << 21) + (8 << 12) + 0x123);
    machine.memory.write64(hostPhysical(ENTRIES[1]), 0x200000n | ALL | PS);
    expect(outcome('read')).toEqual(pageFault(9));
  });

  it('sets accessed flags on the way and the dirty flag of the page on a write only', () => {
    map([ALL, ALL, ALL, ALL]);
    outcome('read');
    const flagsOf = (n: number) => machine.memory.read64(hostPhysical(ENTRIES[n]!)) & (A | D);
    expect([0, 1, 2, 3].map(flagsOf)).toEqual([A, A, A, A]);
    outcome('write');
    expect([0, 1, 2, 3].map(flagsOf)).toEqual([A, A, A, A | D]);
  });

  it('leaves the dirty flag alone when the write is refused', () => {
    map([ALL, ALL, ALL, P | U]);
    expect(outcome('write')).toEqual(pageFault(3));
    expect(machine.memory.read64(hostPhysical(ENTRIES[3])) & (A | D)).toBe(0n);
  });

  it('honours SMEP and SMAP with RFLAGS.AC', () => {
    map([ALL, ALL, ALL, ALL]);
    const { state } = machine.processor;
    setCpl(0);
    state.cr4 |= CR4.SMEP;
    expect(outcome('fetch')).toEqual(pageFault(17));
    expect(outcome('read')).toBe(FRAME + 0x123);
    state.cr4 |= CR4.SMAP;
    expect(outcome('read')).toEqual(pageFault(1));
    expect(outcome('write')).toEqual(pageFault(3));
    state.rflags |= RFLAGS.AC;
    expect(outcome('read')).toBe(FRAME + 0x123);
    setCpl(3);
    state.rflags &= ~RFLAGS.AC;
    expect(outcome('fetch')).toBe(FRAME + 0x123);
  });

  it('raises #GP(0) for addresses that are not canonical, #SS(0) through SS', () => {
    expect(outcome('read', 1n << 47n)).toEqual({ vector: 13, errorCode: 0, linearAddress: undefined });
    expect(outcome('read', 0xffff_7fff_ffff_ffffn)).toMatchObject({ vector: 13 });
    const walk = { physical: hostPhysical(0), writeReady: false, cacheable: false };
    expect(() => walkPageTables(machine.processor, 1n << 47n, 'write', false, true, walk)).toThrow(
      expect.objectContaining({ vector: 12, errorCode: 0 }),
    );
  });
});
