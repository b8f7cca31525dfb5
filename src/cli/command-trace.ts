/** `exitscope trace`: every VM exit of a guest, one line each, with its stages, its instructions, or as JSON. */

import { Command, Option } from 'commander';
import { combineSinks, LimitedSink } from '../trace/combine-sinks.js';
import type { TraceSink } from '../trace/events.js';
import type { DescribeInstruction, Palette, WriteLine } from '../trace/format.js';
import { instructionSink } from '../trace/instruction-sink.js';
import { jsonSink } from '../trace/json-sink.js';
import { TimelineSink } from '../trace/talk-timeline.js';
import { textHeading, textSink } from '../trace/text-sink.js';
import { choiceOption } from './choices.js';
import { type ColourMode, paletteFor } from './colours.js';
import { addGuestOptions, type GuestOptions } from './guest-options.js';
import { parseCount } from './numbers.js';
import { serialAsTalk } from './serial-as-talk.js';
import { output } from './standard-streams.js';

interface TraceOptions extends GuestOptions {
  readonly instructions: boolean;
  readonly json: boolean;
  readonly stages: boolean;
  readonly timeline: boolean;
  readonly limit?: number;
  readonly color: ColourMode;
}

export function traceCommand(): Command {
  return addGuestOptions(
    new Command('trace')
      .summary('run a guest and show its VM exits')
      .description(
        'Runs a guest and prints one line for each VM exit: virtual time, RIP, instruction, reason, weight, cycles, ' +
          'and what was done about it. What the guest prints goes to standard error.',
      ),
  )
    .option('-s, --stages', 'show the stages of each exit, and their operations', false)
    .option(
      '-i, --instructions',
      'show each executed instruction, with the registers and flags it changed',
      false,
    )
    .option('-t, --timeline', "set one port write beside the nine points of the talk's timeline", false)
    .option('-n, --limit <n>', 'show only the first n exits', parseCount)
    .addOption(new Option('-j, --json', 'print JSON lines').default(false).conflicts(['timeline', 'stages']))
    .addOption(choiceOption('--color <when>', 'colours', ['auto', 'always', 'never']).default('auto'))
    .addHelpText('after', '\nExample:\n  $ exitscope trace --stages guest-programs/pio-write.asm')
    .action(trace);
}

/** The second of two is shown: the first one finds caches cold. */
const NO_TIMELINE =
  'There is no timeline: no OUT of this guest was executed twice and handled in user space both times.';

async function trace(file: string, options: TraceOptions): Promise<void> {
  const { reportEnd, runGuestFile } = await import('./run-guest.js');
  const { describeInstruction } = await import('../machine/describe-instruction.js');
  const palette = paletteFor(options.color);
  const timeline = new TimelineSink();
  const limited = new LimitedSink(
    options.limit ?? Number.POSITIVE_INFINITY,
    lineSink(options, describeInstruction, palette),
  );
  const sink = options.timeline ? combineSinks([limited, timeline]) : limited;
  const talk = serialAsTalk();
  try {
    const result = await runGuestFile(file, options, { trace: sink, serialOutput: talk.byte });
    reportEnd(result, options);
  } finally {
    talk.end();
    if (limited.dropped > 0 && !options.json)
      output.line(palette.quiet(`… and ${limited.dropped} more exits`));
  }
  if (!options.timeline) return;
  output.line('');
  if (!timeline.report(output.line, palette)) output.line(NO_TIMELINE);
}

/** Writes the heading above the first line, if there is one. */
function withHeading(write: WriteLine, heading: string): WriteLine {
  let pending = true;
  return (line) => {
    if (pending) write(heading);
    pending = false;
    write(line);
  };
}

function lineSink(
  { json, instructions, stages }: TraceOptions,
  describeInstruction: DescribeInstruction,
  palette: Palette,
): TraceSink {
  if (json) return jsonSink({ write: output.line, describeInstruction, instructions });
  const write = withHeading(output.line, palette.quiet(textHeading()));
  const exits = textSink({ write, describeInstruction, stages, palette });
  return instructions
    ? combineSinks([instructionSink({ write, describeInstruction, palette }), exits])
    : exits;
}
