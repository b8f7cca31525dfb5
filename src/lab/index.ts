/** The laboratory: the talk's experiments, run and set beside what was published. */

export { changeInPercent, errorInPercent, type PublishedValue, ratioOf } from './arithmetic.js';
export {
  type ComparedNumber,
  type ComparedRun,
  type Comparison,
  compareRuns,
  writeComparison,
} from './comparison.js';
export type { Experiment, Figure, GuestLoader, Section, Setup } from './experiment.js';
export { SECTIONS } from './experiment.js';
export { EXPERIMENTS } from './experiments/index.js';
export { GuestProgramError, guestLoader, type ReadProgramFile } from './guest-loader.js';
export { type Observation, type ReadOff, ReadOffError } from './observation.js';
export type { CurveReport, ExperimentReport, ReportRow, SetupReport } from './report.js';
export {
  type ExperimentPace,
  type Pace,
  realTimeRatio,
  runExperiment,
  type WallClock,
} from './run-lab.js';
export type { Surroundings } from './run-setup.js';
export { mergedCurves, svgPlot } from './svg-plot.js';
export { writeList, writeRows, writeSections, writeSources, writeStages } from './table.js';
