/** The library: assemble and disassemble, and run guests in a machine that shows what it does. */

export {
  type AssembledSymbol,
  type AssemblyOptions,
  type AssemblyResult,
  assemble,
  type Diagnostic,
  formatDiagnostic,
  formatListing,
} from './assembler/index.js';
export { DecodeStatus, decode, sweep } from './decoder/index.js';
export { formatInstruction } from './disassembler/index.js';
export type { CostEntry, CostModel, Provenance } from './host/cost/cost-model.js';
export { COST_MODELS, type CostModelName } from './host/cost/cost-models.js';
export { Instruction } from './instruction-set/index.js';
export {
  DEFAULT_ERA,
  ERAS,
  type Era,
  IMPLEMENTED,
  MECHANISMS,
  type Mechanism,
  type Policies,
  PolicyError,
} from './kvm/policies.js';
export {
  type Comparison,
  compareRuns,
  EXPERIMENTS,
  type Experiment,
  type ExperimentReport,
  guestLoader,
  mergedCurves,
  runExperiment,
  svgPlot,
  writeComparison,
  writeSections,
  writeStages,
} from './lab/index.js';
export { createVm } from './machine/create-vm.js';
export { describeInstruction } from './machine/describe-instruction.js';
export type { GuestImage, ImageSegment } from './machine/guest-image.js';
export { readGuestImage } from './machine/load-image.js';
export { MachineError } from './machine/machine-error.js';
export { LOAD_ADDRESS } from './machine/memory-map.js';
export { createScenario, type Scenario, type ScenarioMachine } from './machine/scenario/scenario.js';
export type {
  Placement,
  ScenarioMigration,
  ScenarioOptions,
  ScenarioProcess,
  ScenarioThread,
  ScenarioVm,
  Topology,
} from './machine/scenario/scenario-options.js';
export type {
  ScenarioResult,
  ThreadResult,
  VcpuResult,
  VmResult,
} from './machine/scenario/scenario-result.js';
export type {
  RunEnd,
  RunResult,
  StageCycles,
  VirtualMachine,
  VmOptions,
  VmRunLimits,
} from './machine/virtual-machine.js';
export { UnimplementedFeatureError, UnimplementedInstructionError } from './processor/errors.js';
export { combineSinks, LimitedSink } from './trace/combine-sinks.js';
export type {
  ChargedOperation,
  ExitRecord,
  InjectionRecord,
  InstructionRecord,
  RegisterChange,
  StageRecord,
  TraceSink,
} from './trace/events.js';
export { instructionSink } from './trace/instruction-sink.js';
export { jsonSink } from './trace/json-sink.js';
export { StatisticsSink, writeExitTable, writeStageTable } from './trace/statistics-sink.js';
export { compareWithTalk, TALK_TIMELINE, TimelineSink } from './trace/talk-timeline.js';
export { textHeading, textSink } from './trace/text-sink.js';
