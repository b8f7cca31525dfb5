/** `exitscope stat`: how many exits of which kind, and where the cycles went. */

import { Command } from 'commander';
import type { RunResult } from '../machine/virtual-machine.js';
import { grouped } from '../trace/format.js';
import { StatisticsSink, writeExitTable, writeStageTable } from '../trace/statistics-sink.js';
import { addGuestOptions, type GuestOptions } from './guest-options.js';
import { serialAsTalk } from './serial-as-talk.js';
import { output } from './standard-streams.js';

/** Names the shape of the JSON document; the number grows when a field changes its meaning or goes away. */
const STATISTICS_SCHEMA = 'exitscope.stat/1';

/** Name of the stage in which guest code runs. */
const GUEST_STAGE = 'guest code';

interface StatOptions extends GuestOptions {
  readonly json: boolean;
}

export function statCommand(): Command {
  return addGuestOptions(
    new Command('stat')
      .summary('run a guest and count its VM exits')
      .description(
        'Runs a guest and prints the table of `perf kvm stat report` with cycles beside it, then the cycles by ' +
          'stage; after Ctrl-C, those until then. What the guest prints goes to standard error.',
      ),
  )
    .option('-j, --json', 'print one JSON document', false)
    .addHelpText('after', '\nExample:\n  $ exitscope stat guest-programs/eoi-xapic.asm')
    .action(async (file: string, options: StatOptions) => {
      const { InterruptedRun, reportEnd, runGuestFile } = await import('./run-guest.js');
      const sink = new StatisticsSink();
      const talk = serialAsTalk();
      try {
        const result = await runGuestFile(file, options, { trace: sink, serialOutput: talk.byte });
        if (options.json) printJson(sink, result);
        else printTables(sink, result, options.vcpus);
        reportEnd(result, options);
      } catch (error) {
        // As of perf: Ctrl-C ends the counting, not the report.
        if (error instanceof InterruptedRun && !options.json) printTables(sink, error.result, options.vcpus);
        throw error;
      } finally {
        talk.end();
      }
    });
}

function printTables(sink: StatisticsSink, result: RunResult, vcpus: number): void {
  const { clockInHertz, cycles, instructions, stages } = result;
  writeExitTable(sink.reasons(), clockInHertz / 1e6, output.line);
  output.line('');
  writeStageTable(sink.stages(), output.line);
  const guest = stages.find(({ name }) => name === GUEST_STAGE)?.cycles ?? 0;
  const exits = sink.stages().reduce((sum, stage) => sum + stage.totalCycles, 0);
  output.line('');
  // Of several, each has its own time before its first entry and after its last exit.
  const [place, rest] =
    vcpus === 1
      ? [':', `, ${grouped(cycles - exits - guest)} before the guest was first entered`]
      : [` on each of ${vcpus} virtual CPUs; of all together`, ''];
  output.line(
    `${grouped(cycles)} cycles${place} ${grouped(exits)} in exits, ${grouped(guest)} in the guest ` +
      `(${grouped(instructions)} instructions)${rest}.`,
  );
}

function printJson(sink: StatisticsSink, result: RunResult): void {
  const { end, cycles, clockInHertz, instructions, stages, statistics } = result;
  const document = {
    schema: STATISTICS_SCHEMA,
    end,
    cycles,
    clockInHertz,
    instructions,
    exits: sink.reasons(),
    exitStages: sink.stages(),
    stages,
    counters: statistics,
  };
  output.line(JSON.stringify(document, undefined, 2));
}
