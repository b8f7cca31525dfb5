/** Linear to physical by the page tables in memory, with every check of SDM Vol. 3A, Chapter 4 Paging. */

import { CR0, CR4, EFER } from '../../architecture/control-registers.js';
import { RFLAGS } from '../../architecture/rflags.js';
import { VECTOR } from '../../architecture/vectors.js';
import {
  guestPhysical,
  type HostPhysicalAddress,
  hostPhysical,
  type LinearAddress,
} from '../../memory/addresses.js';
import type { PhysicalMemory } from '../../memory/physical-memory.js';
import { type Access, GuestFault, type SecondLevelTranslation } from '../core.js';
import { UnimplementedFeatureError } from '../errors.js';
import { STATE } from '../state/layout.js';
import type { ProcessorState } from '../state/processor-state.js';

/** Page-table entry bits (SDM Vol. 3A, Tables 4-14 to 4-20). */
const PRESENT = 1;
const WRITABLE = 2;
const USER = 4;
const ACCESSED = 0x20;
const DIRTY = 0x40;
const PAGE_SIZE_BIT = 0x80;
/** In the upper half of an entry: execute-disable, and physical-address bits beyond the 40 of this processor. */
const EXECUTE_DISABLE = 0x80000000;
const RESERVED_HIGH = 0x000fff00;
const ADDRESS_HIGH = 0x000fffff;

/** #PF error code bits (SDM Vol. 3A, 4.7 Page-Fault Exceptions). */
const ERROR = { PRESENT: 1, WRITE: 2, USER: 4, RESERVED: 8, FETCH: 16 } as const;

/** What a read from a physical address without RAM or device gives. */
const OPEN_BUS = 0xffffffff;

/** What a walk needs of the processor. */
export interface WalkContext {
  readonly state: ProcessorState;
  readonly memory: PhysicalMemory;
  readonly secondLevel: SecondLevelTranslation | null;
}

/** Outcome of the last walk, reused between walks. */
export interface Walk {
  physical: HostPhysicalAddress;
  /** A write to this page needs no further walk: permitted, and the dirty flag is set. */
  writeReady: boolean;
  /** The page may be kept in the TLB. */
  cacheable: boolean;
}

/** Raises #GP(0), or #SS(0) for accesses through SS, when the address is not canonical. */
function requireCanonical(linear: LinearAddress, stack: boolean): void {
  const upper = BigInt.asIntN(64, linear) >> 47n;
  if (upper !== 0n && upper !== -1n) throw new GuestFault(stack ? VECTOR.SS : VECTOR.GP, 0);
}

/**
 * Translates one linear address and fills `out`.
 *
 * @param userAccess the access is made with user privilege
 * @param stack the access goes through SS (decides the vector of a non-canonical address)
 * @throws GuestFault (#PF, #GP, #SS); VmExitSignal from the second level
 */
export function walkPageTables(
  context: WalkContext,
  linear: LinearAddress,
  access: Access,
  userAccess: boolean,
  stack: boolean,
  out: Walk,
): void {
  const { state } = context;
  if ((state.efer & EFER.LMA) !== 0) {
    requireCanonical(linear, stack);
    walkFourLevels(context, linear, access, userAccess, out);
    return;
  }
  if ((state.cr0 & CR0.PG) !== 0)
    throw new UnimplementedFeatureError('paging outside of IA-32e mode', state.rip);
  finish(context, Number(linear & 0xffffffffn), access, linear, true, out);
}

function walkFourLevels(
  context: WalkContext,
  linear: LinearAddress,
  access: Access,
  userAccess: boolean,
  out: Walk,
): void {
  const { state, memory } = context;
  const { cr0, cr4, efer } = state;
  const low = Number(linear & 0xffffffffn);
  const high = Number((linear >> 32n) & 0xffffn);
  const noExecute = (efer & EFER.NXE) !== 0;
  const fail = (flags: number): never => {
    throw new GuestFault(
      VECTOR.PF,
      flags |
        (access === 'write' ? ERROR.WRITE : 0) |
        (userAccess ? ERROR.USER : 0) |
        (access === 'fetch' && (noExecute || (cr4 & CR4.SMEP) !== 0) ? ERROR.FETCH : 0),
      BigInt.asUintN(64, linear),
    );
  };

  const cr3Low = state.read32(STATE.CR3);
  const cr3High = state.read32(STATE.CR3 + 4);
  let table = (cr3High & ADDRESS_HIGH) * 0x100000000 + ((cr3Low & 0xfffff000) >>> 0);
  let user = true;
  let writable = true;
  let executable = true;
  for (let level = 4; ; level--) {
    const entryAddress = secondLevel(context, table + indexAt(level, low, high) * 8, 'read', linear, false);
    const present = memory.contains(entryAddress, 8);
    const entryLow = present ? memory.read32(entryAddress) : OPEN_BUS;
    const entryHigh = present ? memory.read32(hostPhysical(entryAddress + 4)) : OPEN_BUS;
    if ((entryLow & PRESENT) === 0) fail(0);
    const large = level === 1 || (level <= 3 && (entryLow & PAGE_SIZE_BIT) !== 0);
    if (
      (entryHigh & RESERVED_HIGH) !== 0 ||
      ((entryHigh & EXECUTE_DISABLE) !== 0 && !noExecute) ||
      (level === 4 && (entryLow & PAGE_SIZE_BIT) !== 0) ||
      (large && level > 1 && (entryLow & (level === 3 ? 0x3fffe000 : 0x1fe000)) !== 0)
    )
      fail(ERROR.PRESENT | ERROR.RESERVED);
    user &&= (entryLow & USER) !== 0;
    writable &&= (entryLow & WRITABLE) !== 0;
    executable &&= (entryHigh & EXECUTE_DISABLE) === 0;
    const base = (entryHigh & ADDRESS_HIGH) * 0x100000000;
    if (!large) {
      if ((entryLow & ACCESSED) === 0) setEntryFlags(context, table, level, low, high, linear, ACCESSED);
      table = base + ((entryLow & 0xfffff000) >>> 0);
      continue;
    }

    checkPermissions(state, access, userAccess, user, writable, executable, fail);
    const wanted = access === 'write' ? ACCESSED | DIRTY : ACCESSED;
    if ((entryLow & wanted) !== wanted) setEntryFlags(context, table, level, low, high, linear, wanted);
    const pageMask = level === 1 ? 0xfff : level === 2 ? 0x1fffff : 0x3fffffff;
    const physical = base + ((entryLow & ~pageMask & 0xfffff000) >>> 0) + (low & pageMask);
    const dirty = ((entryLow | wanted) & DIRTY) !== 0;
    const writeReady = dirty && (writable || (!userAccess && (cr0 & CR0.WP) === 0));
    // With SMAP a supervisor's access to a user page depends on RFLAGS.AC, which may change at any time.
    const cacheable = userAccess || !user || (cr4 & CR4.SMAP) === 0;
    finish(context, physical, access, linear, writeReady, out);
    out.cacheable &&= cacheable;
    return;
  }
}

function checkPermissions(
  state: ProcessorState,
  access: Access,
  userAccess: boolean,
  user: boolean,
  writable: boolean,
  executable: boolean,
  fail: (flags: number) => never,
): void {
  if (userAccess && !user) fail(ERROR.PRESENT);
  if (access === 'write' && !writable && (userAccess || (state.cr0 & CR0.WP) !== 0)) fail(ERROR.PRESENT);
  if (access === 'fetch') {
    if (!executable) fail(ERROR.PRESENT);
    if (!userAccess && user && (state.cr4 & CR4.SMEP) !== 0) fail(ERROR.PRESENT);
  } else if (!userAccess && user && (state.cr4 & CR4.SMAP) !== 0 && (state.rflags & RFLAGS.AC) === 0) {
    fail(ERROR.PRESENT);
  }
}

/** Sets accessed and dirty flags; the page table itself must be writable at the second level. */
function setEntryFlags(
  context: WalkContext,
  table: number,
  level: number,
  low: number,
  high: number,
  linear: LinearAddress,
  flags: number,
): void {
  const address = secondLevel(context, table + indexAt(level, low, high) * 8, 'write', linear, false);
  context.memory.write32(address, context.memory.read32(address) | flags);
}

function indexAt(level: number, low: number, high: number): number {
  switch (level) {
    case 4:
      return (high >>> 7) & 0x1ff;
    case 3:
      return ((high & 0x7f) << 2) | (low >>> 30);
    case 2:
      return (low >>> 21) & 0x1ff;
    default:
      return (low >>> 12) & 0x1ff;
  }
}

/** Host-physical address of a page-table entry. */
function secondLevel(
  context: WalkContext,
  address: number,
  access: Access,
  linear: LinearAddress,
  final: boolean,
): HostPhysicalAddress {
  return context.secondLevel === null
    ? hostPhysical(address)
    : context.secondLevel.translate(guestPhysical(address), access, linear, final).address;
}

function finish(
  context: WalkContext,
  physical: number,
  access: Access,
  linear: LinearAddress,
  writeReady: boolean,
  out: Walk,
): void {
  if (context.secondLevel === null) {
    out.physical = hostPhysical(physical);
    out.writeReady = writeReady;
    out.cacheable = true;
    return;
  }
  const result = context.secondLevel.translate(guestPhysical(physical), access, linear, true);
  out.physical = result.address;
  out.writeReady = writeReady && result.writable;
  out.cacheable = result.readable;
}
