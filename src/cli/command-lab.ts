/** `exitscope lab`: the talk's experiments, run again, beside what was published. */

import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { COST_MODELS, type CostModelName } from '../host/cost/cost-models.js';
import type { Era, Policies } from '../kvm/policies.js';
import type { Experiment, ExperimentPace, ExperimentReport, Pace, Surroundings } from '../lab/index.js';
import type { ProcessorModel } from '../machine/processor-models.js';
import { unknownName } from './choices.js';
import { CommandError } from './command-error.js';
import { EXIT } from './exit-codes.js';
import { checkWritable, readBytesIfPresent, writeTogether } from './files.js';
import { costModelOption, eraOption, policyOption, processorOption } from './guest-options.js';
import { output, talk } from './standard-streams.js';

/** Names the shape of the JSON document; the number grows when a field changes its meaning or goes away. */
const LAB_SCHEMA = 'exitscope.lab/1';

interface LabOptions {
  readonly json: boolean;
  readonly list: boolean;
  readonly plot?: string;
  readonly era?: Era;
  readonly policy: Partial<Policies>;
  readonly costModel?: CostModelName;
  readonly processor?: ProcessorModel;
}

interface Run {
  readonly report: ExperimentReport;
  readonly pace: ExperimentPace;
}

export function labCommand(): Command {
  return new Command('lab')
    .summary("run the talk's experiments")
    .description(
      "Runs the experiments of M. Tosatti's talk and of what came after it, before and after each change, and sets " +
        'the numbers beside what was published. Calibrated: the cost model is fitted to the figure. Predicted: it ' +
        'knows nothing of it. How fast each was simulated goes to standard error.',
    )
    .argument('[experiment...]', 'only these, with the stages of their exits side by side')
    .option('-l, --list', 'only say which experiments there are', false)
    .option('-j, --json', 'print one JSON document', false)
    .option('-p, --plot <file>', 'draw the scaling curves as an SVG picture')
    .addOption(eraOption())
    .addOption(policyOption())
    .addOption(costModelOption())
    .addOption(processorOption())
    .addHelpText(
      'after',
      '\n--era, --policy, --cost-model and --processor apply wherever an experiment does not choose for itself.\n' +
        'The published figures are of the machines that it has without them.\n' +
        '\nExamples:\n  $ exitscope lab x2apic-eoi\n  $ exitscope lab pio-timeline --cost-model westmere',
    )
    .action(lab);
}

async function lab(names: string[], options: LabOptions): Promise<void> {
  const { json, list, plot } = options;
  const { EXPERIMENTS, writeList, writeRows, writeSections, writeSources, writeStages } = await import(
    '../lab/index.js'
  );
  const experiments = chosen(EXPERIMENTS, names);
  if (list) {
    if (json)
      output.line(JSON.stringify({ schema: LAB_SCHEMA, experiments: listed(experiments) }, undefined, 2));
    else writeList(experiments, output.line);
    return;
  }
  if (plot !== undefined && !experiments.some(({ curves }) => curves !== undefined))
    throw new CommandError(EXIT.USAGE, `there are no curves to plot in ${names.join(', ')}`);
  if (plot !== undefined) checkWritable(plot);
  const runs = await runAll(experiments, surroundingsOf(options));
  if (plot !== undefined) await writePlot(plot, runs);
  if (json) {
    output.line(JSON.stringify({ schema: LAB_SCHEMA, experiments: runs.map(documentOf) }, undefined, 2));
    return;
  }
  if (names.length === 0) {
    writeSections(
      runs.map(({ report }) => report),
      output.line,
    );
    return;
  }
  for (const [index, { report }] of runs.entries()) {
    if (index > 0) output.line('');
    writeRows(report, output.line);
    for (const write of [writeSources, writeStages]) {
      output.line('');
      write(report, output.line);
    }
  }
}

async function writePlot(path: string, runs: readonly Run[]): Promise<void> {
  const { mergedCurves, svgPlot } = await import('../lab/index.js');
  const curves = mergedCurves(runs.flatMap(({ report }) => report.curves ?? []));
  if (curves !== undefined) writeTogether([{ path, data: Buffer.from(svgPlot(curves)) }]);
}

function chosen(experiments: readonly Experiment[], names: readonly string[]): readonly Experiment[] {
  const known = experiments.map(({ name }) => name);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new CommandError(EXIT.USAGE, unknownName('experiment', unknown, known));
  return names.length === 0 ? experiments : experiments.filter(({ name }) => names.includes(name));
}

const listed = (experiments: readonly Experiment[]): object[] =>
  experiments.map(({ name, section, title }) => ({ name, section, title }));

function surroundingsOf({ era, policy, costModel, processor }: LabOptions): Surroundings {
  return {
    ...(era === undefined ? {} : { era }),
    policies: policy,
    ...(costModel === undefined ? {} : { costModel: COST_MODELS[costModel] }),
    ...(processor === undefined ? {} : { processor }),
  };
}

async function runAll(experiments: readonly Experiment[], surroundings: Surroundings): Promise<Run[]> {
  const { guestLoader, ReadOffError, realTimeRatio, runExperiment } = await import('../lab/index.js');
  const guest = guestLoader((path) => readBytesIfPresent(`${GUEST_PROGRAMS}${path}`));
  const runs: Run[] = [];
  for (const [index, experiment] of experiments.entries()) {
    let run: Run;
    try {
      run = runExperiment(experiment, guest, () => performance.now() / 1000, surroundings);
    } catch (problem) {
      // Elsewhere than where it was made for, an experiment may have nothing to read.
      if (!(problem instanceof ReadOffError)) throw problem;
      talk.line(`[${index + 1}/${experiments.length}] ${experiment.name}: left out: ${problem.message}`);
      continue;
    }
    runs.push(run);
    const { simulatedSeconds, wallSeconds, exits } = run.pace;
    talk.line(
      `[${index + 1}/${experiments.length}] ${experiment.name}: ${milliseconds(simulatedSeconds)} simulated in ` +
        `${milliseconds(wallSeconds)}, ${realTimeRatio(run.pace).toPrecision(2)} of real time, ${exits} exits (${exitsPerSecond(run.pace)})`,
    );
    for (const setup of run.pace.setups)
      if (setup.exits >= WORTH_A_LINE)
        talk.line(`  ${setup.label}: ${setup.exits} exits, ${exitsPerSecond(setup)}`);
  }
  if (runs.length === 0)
    throw new CommandError(EXIT.FAILURE, 'none of the experiments can be read off a machine like that');
  return runs;
}

/** Exits of one set-up that are enough to say how fast exits are simulated: compilation is a small part of it. */
const WORTH_A_LINE = 100_000;

const exitsPerSecond = ({ exits, wallSeconds }: Pace): string => `${Math.round(exits / wallSeconds)} per s`;

const milliseconds = (seconds: number): string => `${(1000 * seconds).toFixed(1)} ms`;

const GUEST_PROGRAMS = fileURLToPath(new URL('../../guest-programs/', import.meta.url));

/** What the library reports, and what only the command line knows: how long it took. */
const documentOf = ({ report, pace }: Run): object => ({ ...report, pace });
