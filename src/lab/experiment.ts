/** What an experiment consists of. Experiments are data: machines to run, numbers to read off, figures to set beside. */

import type { GuestImage } from '../machine/guest-image.js';
import type { Scenario } from '../machine/scenario/scenario.js';
import type { ScenarioOptions } from '../machine/scenario/scenario-options.js';
import type { ExitRecord } from '../trace/events.js';
import type { PublishedValue } from './arithmetic.js';
import type { Observation, ReadOff, TakeNote } from './observation.js';

/** Sections of the talk, in its order, and what came later. */
export const SECTIONS = [
  'Mode switch and port I/O',
  'Light and heavy exits',
  'x2APIC',
  'Memory slots, devices and SRCU',
  'MSR switching',
  'CR0.TS and FPU switching',
  'Instruction emulation',
  'Other processors',
  'Later improvements',
] as const;
export type Section = (typeof SECTIONS)[number];

/** Image of a guest program of the project, by its name; `defines` are macros set beforehand. */
export type GuestLoader = (program: string, defines?: Readonly<Record<string, string>>) => GuestImage;

/** A machine to run. Observers are added to its virtual machines. */
export interface Setup {
  readonly label: string;
  readonly scenario: (guest: GuestLoader) => ScenarioOptions;
  /** What user space does to the virtual machines before they run; threads that it starts may take notes. */
  readonly prepare?: (scenario: Scenario, note: TakeNote) => void;
  /** Virtual cycles after which the run ends; by default the guests end it. */
  readonly untilCycles?: number;
  /** `counts` spares the records of single exits: for runs with very many. Default `exits`. */
  readonly observe?: 'exits' | 'counts';
}

/** Which of a row's numbers the figure is about. `saving` is before less after, `change` is in percent of before. */
export type Comparison = 'before' | 'after' | 'ratio' | 'saving' | 'change';

export interface Figure {
  readonly of: Comparison;
  readonly value: PublishedValue;
  readonly source: string;
  /** `calibrated`: the cost model is fitted to this figure, and has to meet it. `predicted`: it knows nothing of it. */
  readonly kind: 'calibrated' | 'predicted';
  /** A prediction is meant to be at most so far off, in percent of the figure. */
  readonly aimInPercent?: number;
}

/** A number that takes all runs of an experiment, by setup. */
export type ReadAll = (runs: ReadonlyMap<string, Observation>) => number;

export interface RowDefinition {
  readonly title: string;
  readonly unit: string;
  /** Digits behind the decimal point; default 0. */
  readonly digits?: number;
  /** From one run each, before and after; or one number from all runs. */
  readonly read: ReadOff | { readonly all: ReadAll };
  /** Names of setups; default: `before`, and `after` where the experiment has one. */
  readonly before?: string;
  /** Null for rows about one setup only. */
  readonly after?: string | null;
  /** Name of a setup whose number is subtracted from before and after. */
  readonly less?: string;
  readonly figure?: Figure;
}

export interface Experiment {
  readonly name: string;
  readonly section: Section;
  readonly title: string;
  /** By name. `before` and `after`, as a rule. */
  readonly setups: Readonly<Record<string, Setup>>;
  /** The exits whose stages are shown side by side. */
  readonly exit?: (exit: ExitRecord) => boolean;
  readonly rows: readonly RowDefinition[];
  readonly curves?: Curves;
}

/** Curves of a picture: `points` are pairs of x and the setup whose read-off is y. */
export interface Curves {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly read: ReadOff;
  readonly lines: readonly {
    readonly label: string;
    readonly points: readonly (readonly [number, string])[];
  }[];
}
