/**
 * Derives the costs that were not measured by themselves from the published figures of whole paths. Pure arithmetic:
 * each parameter is what the figure leaves over once everything else on its path is paid.
 */

import type { OperationName } from './operations.js';
import { PUBLISHED } from './published-figures.js';
import {
  GUEST_STATE_RELOADED,
  HOST_STATE_RESTORED,
  type OperationCounts,
  USER_SPACE,
  X2APIC_END_OF_INTERRUPT,
  XAPIC_END_OF_INTERRUPT,
} from './reference-paths.js';

export type CostTable = { readonly [Name in OperationName]?: number };

/** The figures contradict each other or the priors: what is left for an operation is less than nothing. */
export class CalibrationError extends Error {
  readonly code = 'calibration';
  constructor(operationName: string, cycles: number) {
    super(`calibration leaves ${cycles} cycles for "${operationName}"`);
    this.name = 'CalibrationError';
  }
}

/** Cycles of a path, leaving out the operations named. Throws when an operation on it has no cost yet. */
export function pathCycles(
  counts: OperationCounts,
  costs: CostTable,
  without: readonly OperationName[] = [],
): number {
  let sum = 0;
  for (const [name, count] of Object.entries(counts) as [OperationName, number][]) {
    if (without.includes(name)) continue;
    const cost = costs[name];
    if (cost === undefined) throw new CalibrationError(name, Number.NaN);
    sum += count * cost;
  }
  return sum;
}

/** The parts of exit and entry in a hardware round trip, in whole cycles, by the talk's 400 to 800. */
export function splitRoundTrip(cycles: number): { readonly exit: number; readonly entry: number } {
  const ratio = PUBLISHED.exitToEntryRatio;
  const exit = Math.round((cycles * ratio.exit) / (ratio.exit + ratio.entry));
  return { exit, entry: cycles - exit };
}

/**
 * Solves for the unknown costs.
 * @param priors cycles of everything that is known beforehand, by operation
 * @throws CalibrationError
 */
export function calibrate(priors: CostTable): Record<CalibratedOperation, number> {
  const { exit, entry } = splitRoundTrip(PUBLISHED.hardwareRoundTrip.cycles);
  const known: Record<string, number> = {
    ...(priors as Record<string, number>),
    'VM exit': exit,
    'VM entry': entry,
    'MOV from CR': PUBLISHED.hostCr0Update.cycles - priors.VMWRITE!,
    'MOV to CR2': PUBLISHED.cr2Write.cycles,
    'locked operation': Math.round(PUBLISHED.sameCpuCompareAndSwap.cycles),
    // Acquire and release are charged one by one.
    mutex: Math.round(PUBLISHED.sameCpuLock.cycles / 2),
    'cache-line transfer (same socket)': Math.round(
      PUBLISHED.sameSocketTransfer.cycles - PUBLISHED.sameCpuCompareAndSwap.cycles,
    ),
    'cache-line transfer (other socket)': Math.round(
      PUBLISHED.otherSocketTransfer.cycles - PUBLISHED.sameCpuCompareAndSwap.cycles,
    ),
  };
  solveMsrsAndIoctl(known);
  known['run-loop pass'] = remainder(
    PUBLISHED.x2apicEndOfInterrupt.cycles,
    X2APIC_END_OF_INTERRUPT,
    known,
    'run-loop pass',
  );
  splitEvenly(PUBLISHED.userSpace.cycles, USER_SPACE, known, [
    'user-space run loop',
    'user-space device model',
  ]);
  splitEvenly(PUBLISHED.xapicEndOfInterrupt.cycles, XAPIC_END_OF_INTERRUPT, known, [
    'emulator set-up',
    'emulator decode',
  ]);
  for (const name of CALIBRATED)
    if (!(known[name]! >= 0)) throw new CalibrationError(name, known[name] ?? Number.NaN);
  return Object.fromEntries(CALIBRATED.map((name) => [name, known[name]!])) as Record<
    CalibratedOperation,
    number
  >;
}

export const CALIBRATED = [
  'VM exit',
  'VM entry',
  'MOV from CR',
  'MOV to CR2',
  'locked operation',
  'mutex',
  'cache-line transfer (same socket)',
  'cache-line transfer (other socket)',
  'RDMSR',
  'WRMSR',
  'ioctl path',
  'run-loop pass',
  'user-space run loop',
  'user-space device model',
  'emulator set-up',
  'emulator decode',
] as const satisfies readonly OperationName[];
export type CalibratedOperation = (typeof CALIBRATED)[number];

/**
 * Three equations, three unknowns: R (RDMSR), W (WRMSR) and X (way through the ioctl, the same out and in).
 *   r·R + w·W                        = what shared MSRs save
 *   n4r·R + n4w·W + rest4 + X        = stage 4
 *   n6r·R + n6w·W + rest6 + X        = stage 6
 * The difference of the last two, without X, and the first give R and W.
 */
function solveMsrsAndIoctl(known: Record<string, number>): void {
  const unknown: readonly OperationName[] = ['RDMSR', 'WRMSR', 'ioctl path'];
  const { readMsrs, writeMsrs, cycles: saving } = PUBLISHED.sharedMsrSaving;
  const stage4 = PUBLISHED.hostStateRestored.cycles - pathCycles(HOST_STATE_RESTORED, known, unknown);
  const stage6 = PUBLISHED.guestStateReloaded.cycles - pathCycles(GUEST_STATE_RELOADED, known, unknown);
  const reads = HOST_STATE_RESTORED.RDMSR! - GUEST_STATE_RELOADED.RDMSR!;
  const writes = HOST_STATE_RESTORED.WRMSR! - GUEST_STATE_RELOADED.WRMSR!;
  const determinant = reads * writeMsrs - writes * readMsrs;
  const readMsr = ((stage4 - stage6) * writeMsrs - writes * saving) / determinant;
  known.RDMSR = Math.round(readMsr);
  known.WRMSR = Math.round((saving - readMsrs * readMsr) / writeMsrs);
  known['ioctl path'] = remainder(
    PUBLISHED.guestStateReloaded.cycles,
    GUEST_STATE_RELOADED,
    known,
    'ioctl path',
  );
}

/** What a figure leaves for one operation that is charged once on its path. */
function remainder(
  figure: number,
  path: OperationCounts,
  known: Record<string, number>,
  name: OperationName,
): number {
  return figure - pathCycles(path, known, [name]);
}

/** What a figure leaves for two operations that nothing tells apart: half each, the odd cycle to the first. */
function splitEvenly(
  figure: number,
  path: OperationCounts,
  known: Record<string, number>,
  names: readonly [OperationName, OperationName],
): void {
  const both = figure - pathCycles(path, known, names);
  known[names[0]] = Math.ceil(both / 2);
  known[names[1]] = Math.floor(both / 2);
}
