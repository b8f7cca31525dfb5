/** Read-offs that experiments share. */

import { type OperationName, operation } from '../host/cost/operations.js';
import type { ExitRecord } from '../trace/events.js';
import { medianBy } from './arithmetic.js';
import { type Observation, type ReadOff, ReadOffError } from './observation.js';

export type ExitFilter = (exit: ExitRecord) => boolean;

export const reason =
  (name: string): ExitFilter =>
  (exit) =>
    exit.reasonName === name;

export const light: ExitFilter = ({ weight }) => weight === 'light';
export const heavy: ExitFilter = ({ weight }) => weight === 'heavy';

export const both =
  (first: ExitFilter, second: ExitFilter): ExitFilter =>
  (exit) =>
    first(exit) && second(exit);

/** Exits of all virtual machines that pass the filter. */
export function exitsOf({ vms }: Observation, filter: ExitFilter): ExitRecord[] {
  return vms.flatMap(({ exits }) => exits.filter(filter));
}

/** The exit of median length: what is cold the first time, or disturbed by something else, is not it. */
export function typicalExit(observation: Observation, filter: ExitFilter): ExitRecord {
  const exit = medianBy(exitsOf(observation, filter), ({ cycles }) => cycles);
  if (exit === undefined) throw new ReadOffError('no exit of the kind that was to be measured');
  return exit;
}

export const typicalCycles =
  (filter: ExitFilter): ReadOff =>
  (observation) =>
    typicalExit(observation, filter).cycles;

/** Cycles of one stage of the typical exit. */
export const stageCycles =
  (filter: ExitFilter, ...stages: string[]): ReadOff =>
  (observation) =>
    typicalExit(observation, filter)
      .stages.filter(({ name }) => stages.includes(name))
      .reduce((sum, { cycles }) => sum + cycles, 0);

/** Cycles that pass between the typical exit and the host's going to sleep again, sleep left out. */
export const busyCycles =
  (filter: ExitFilter): ReadOff =>
  (observation) => {
    const busy = (exit: ExitRecord): number =>
      exit.cycles -
      exit.stages.filter(({ name }) => name === 'blocked').reduce((sum, s) => sum + s.cycles, 0);
    const exit = medianBy(exitsOf(observation, filter), busy);
    if (exit === undefined) throw new ReadOffError('no exit of the kind that was to be measured');
    return busy(exit);
  };

export const exitCount =
  (filter: ExitFilter): ReadOff =>
  (observation) =>
    exitsOf(observation, filter).length;

/** Exits with one basic reason, by the books: also where single exits are not recorded. */
export const countOf =
  (basicReason: number): ReadOff =>
  ({ result }) =>
    result.vms
      .flatMap(({ vcpus }) => vcpus)
      .reduce((sum, { exitsByReason }) => sum + (exitsByReason.get(basicReason) ?? 0), 0);

/** Mean length of exits with one basic reason, by the books, in cycles. */
export const meanExit =
  (basicReason: number): ReadOff =>
  ({ accounts }) => {
    let [samples, total] = [0, 0];
    for (const { exits } of accounts) {
      samples += exits[basicReason]?.samples ?? 0;
      total += exits[basicReason]?.total ?? 0;
    }
    if (samples === 0) throw new ReadOffError('no exit of the kind that was to be measured');
    return total / samples;
  };

/** Exits of all vCPUs per second of virtual time. */
export const exitsPerSecond: ReadOff = ({ result }) =>
  exitTotal(result) / (result.cycles / result.clockInHertz);

function exitTotal({ vms }: Observation['result']): number {
  return vms.flatMap(({ vcpus }) => vcpus).reduce((sum, { exits }) => sum + exits, 0);
}

/** All exits per second from the first to the last exit of a kind: preparations and reports of the guest are left out. */
export const exitsPerSecondBetween = (mark: ExitFilter): ReadOff => exitsPerSecondOfBetween(() => true, mark);

/** The same, of some exits only. */
export const exitsPerSecondOfBetween =
  (filter: ExitFilter, mark: ExitFilter): ReadOff =>
  (observation) => {
    const times = exitsOf(observation, mark).map(({ time }) => time);
    const [first, last] = [times[0], times.at(-1)];
    if (first === undefined || last === undefined || last === first)
      throw new ReadOffError('fewer than two exits of the kind that was to be measured');
    const counted = exitsOf(observation, filter).filter(({ time }) => time >= first && time < last);
    return counted.length / ((last - first) / observation.result.clockInHertz);
  };

/** Cycles from one exit of a kind to the next, all that comes between included: the median. */
export const cyclesBetween =
  (mark: ExitFilter): ReadOff =>
  (observation) => {
    const times = exitsOf(observation, mark).map(({ time }) => time);
    const periods = times.slice(1).map((time, n) => time - times[n]!);
    const period = medianBy(periods, (cycles) => cycles);
    if (period === undefined)
      throw new ReadOffError('fewer than two exits of the kind that was to be measured');
    return period;
  };

/** Time that a number of cycles takes on the modelled processor. */
export const inNanoseconds =
  (read: ReadOff): ReadOff =>
  (observation) =>
    (1e9 * read(observation)) / observation.result.clockInHertz;

/** How often such an exit could follow another. */
export const ratePerSecond =
  (read: ReadOff): ReadOff =>
  (observation) =>
    observation.result.clockInHertz / read(observation);

/** A number that the guest printed behind `label: `. */
export const printed =
  (label: string): ReadOff =>
  ({ vms }) => {
    for (const { output } of vms) {
      const line = output.split('\n').find((text) => text.startsWith(`${label}: `));
      if (line !== undefined) return Number.parseFloat(line.slice(label.length + 2));
    }
    throw new ReadOffError(`the guest did not print "${label}: "`);
  };

/** How often an operation was charged in the whole run. */
export const operationCount =
  (name: OperationName): ReadOff =>
  ({ accounts }) =>
    accounts.reduce((sum, account) => sum + account.count(operation(name)), 0);

/** Mean of the numbers that were taken down about a subject. */
export const meanNote =
  (subject: string): ReadOff =>
  ({ notes }) => {
    const values = notes.get(subject);
    if (values === undefined) throw new ReadOffError(`nothing was noted about "${subject}"`);
    return values.reduce((sum, value) => sum + value, 0) / values.length;
  };

/** Events of a count per second of virtual time. */
export const perSecond =
  (count: ReadOff): ReadOff =>
  (observation) =>
    (count(observation) * observation.result.clockInHertz) / observation.result.cycles;
