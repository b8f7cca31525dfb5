import { describe, expect, it } from 'vitest';
import { STAGE, STAGE_NAMES } from '../../src/host/stages.js';
import { compareWithTalk, TALK_TIMELINE, TimelineSink } from '../../src/trace/talk-timeline.js';
import { exitRecord } from './records.js';

const stage = (number: number, cycles: number) => ({
  name: STAGE_NAMES[number] as string,
  cycles,
  operations: [],
});

describe("the talk's timeline", () => {
  it('has nine points from 0 to 10,400 cycles', () => {
    expect(TALK_TIMELINE.map((point) => point.time)).toEqual([
      0, 400, 800, 1800, 3800, 6700, 8500, 9600, 10400,
    ]);
  });

  it('names stages that the host charges to', () => {
    for (const { stage } of TALK_TIMELINE.slice(1)) expect(STAGE_NAMES).toContain(stage);
  });

  it('puts our times beside, and does not lose other stages', () => {
    const { rows, otherCycles } = compareWithTalk(
      exitRecord({
        cycles: 1050,
        stages: [
          stage(STAGE.HOST_ACQUIRES_CONTROL, 300),
          stage(STAGE.EXIT_HANDLER, 500),
          stage(STAGE.HOST_INTERRUPT, 50),
          stage(STAGE.BACK_IN_GUEST, 200),
        ],
      }),
    );
    expect(rows.map((row) => row.ourTime)).toEqual([0, 300, 800, 800, 800, 800, 800, 800, 1000]);
    expect(otherCycles).toBe(50);
  });

  it('takes the second heavy port write at the same place', () => {
    const sink = new TimelineSink();
    const lines: string[] = [];
    sink.vmExit(exitRecord({ sequence: 0, weight: 'light' }));
    sink.vmExit(exitRecord({ sequence: 1 }));
    sink.vmExit(exitRecord({ sequence: 1, qualification: 0x3fd0008n }));
    sink.vmExit(exitRecord({ sequence: 1, reasonName: 'HLT' }));
    sink.vmExit(exitRecord({ sequence: 2, rip: 5n }));
    expect(sink.report((line) => lines.push(line))).toBe(false);
    sink.vmExit(exitRecord({ sequence: 3, cycles: 11440 }));
    sink.vmExit(exitRecord({ sequence: 4 }));
    expect(sink.report((line) => lines.push(line))).toBe(true);
    expect(lines[0]).toBe('OUT 1 byte to port 0x80, handled in user space (exit 3)');
    expect(lines[lines.length - 1]?.split(/ {2,}/)).toEqual(['total', '10,400', '11,440', '+10.0%']);
  });
});
