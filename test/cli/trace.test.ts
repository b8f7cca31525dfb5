import { describe, expect, it } from 'vitest';
import { exitscope } from '../support/command-line.js';

const trace = (program: string, ...options: string[]) =>
  exitscope('trace', `guest-programs/${program}.asm`, ...options);

describe('exitscope trace', () => {
  it('prints one line per exit on standard output, and the guest on standard error', () => {
    const { code, output, talk } = trace('hello-serial');
    expect(code).toBe(0);
    expect(talk).toBe('guest: Hello from VMX non-root operation.\n');
    const [heading, ...lines] = output.trimEnd().split('\n');
    expect(heading).toMatch(/^ +time {2}RIP +instruction +exit +cycles {2}what/);
    const portLines = lines.filter((line) => line.includes('IO_INSTRUCTION'));
    expect(portLines).toHaveLength(70);
    expect(portLines[0]).toMatch(
      /^ *[\d,]+ {2}0x[0-9a-f]+ +in al,dx +IO_INSTRUCTION +heavy +[\d,]+ {2}in port 0x3fd, 1 byte → guest FPU registers unloaded, handled in user space: serial port, guest FPU registers loaded$/,
    );
    expect(lines[lines.length - 1]).toMatch(/hlt +HLT/);
  });

  it('says which register was written, which leaf and which hypercall was asked for', () => {
    expect(trace('eoi-x2apic').output).toMatch(
      / wrmsr +MSR_WRITE +light +2,366 {2}→ x2APIC EOI is set to 0x0\n/,
    );
    const { output } = trace('exit-tour');
    expect(output).toMatch(
      / rdmsr +MSR_READ .* → 0x12345678 can not be read\n.* inject #GP, error code 0x0\n/,
    );
    expect(output).toMatch(/ cpuid +CPUID .* → leaf 0x40000000 answered\n/);
    expect(output).toMatch(/ vmcall +VMCALL .* → hypercall \d+ is unknown\n/);
    expect(output).toMatch(/ APIC_ACCESS .* write offset 0xb0 \(EOI\) → instruction emulated\n/);
  });

  it('adds stages that sum to the exit', () => {
    const { output } = trace('pio-write', '--stages');
    const number = (text: string): number => Number(text.replaceAll(',', ''));
    // The first exit that goes to user space, up to the line of the next exit.
    const [, total, rest] = /IO_INSTRUCTION +heavy +([\d,]+).*\n((?: {10,}.*\n)+)/.exec(output)!;
    const stages = rest
      .trimEnd()
      .split('\n')
      .map((line) => number(line.trim().split(' ')[0]));
    expect(stages.length).toBeGreaterThanOrEqual(8);
    expect(stages.reduce((sum, cycles) => sum + cycles, 0)).toBe(number(total));
    expect(output).toContain('qemu, back in kernel');
    expect(trace('pio-write', '--limit', '2').output).toMatch(/^.*\n.*\n.*\n… and \d+ more exits\n$/);
  });

  it('adds executed instructions with what they changed', () => {
    const { output } = trace('pio-write', '--instructions', '--limit', '8');
    expect(output).toMatch(/0x100006 +mov ecx,0x10 +rcx=0x10\n/);
    expect(output).toMatch(/rdtsc +rax=0x[0-9a-f]+/);
  });

  it('limits JSON lines, too', () => {
    const { output } = trace('hello-serial', '--json', '--limit', '2');
    expect(
      output
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line).sequence),
    ).toEqual([0, 1]);
  });

  it('prints JSON lines that all can be read', () => {
    const documents = trace('hello-serial', '--json')
      .output.trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(documents.filter(({ reasonName }) => reasonName === 'IO_INSTRUCTION')).toHaveLength(70);
    for (const { schema, stages, cycles } of documents) {
      expect(schema).toBe('exitscope.trace/1');
      expect(stages.reduce((sum: number, stage: { cycles: number }) => sum + stage.cycles, 0)).toBe(cycles);
    }
  });

  it("sets an exit beside the talk's timeline", () => {
    const { output } = trace('pio-write', '--timeline', '--limit', '0');
    expect(output).toMatch(/back in the guest +10,400 +\+800 +[\d,]+ +\+[\d,]+\n/);
    expect(trace('eoi-x2apic', '--timeline', '--limit', '0').output).not.toContain('undefined');
  });

  it('uses colours only where they are wanted', () => {
    const colourStart = '\u001b[';
    expect(trace('pio-write', '--limit', '1').output).not.toContain(colourStart);
    expect(trace('pio-write', '--limit', '1', '--color', 'always').output).toContain(colourStart);
  });

  it('refuses options that contradict each other', () => {
    const { code, talk } = trace('pio-write', '--json', '--stages');
    expect(talk).toContain("option '-j, --json' cannot be used with option '-s, --stages'");
    expect(code).toBe(2);
  });
});

describe('exitscope stat', () => {
  const stat = (program: string, ...options: string[]) =>
    exitscope('stat', `guest-programs/${program}.asm`, ...options);

  it("prints perf's table and the cycles by stage", () => {
    const { code, output, talk } = stat('eoi-xapic');
    expect(code).toBe(0);
    expect(talk).toMatch(/^guest: cycles per EOI, xAPIC: \d+\n$/);
    expect(output).toMatch(/^Analyze events for all VMs, all VCPUs:\n\n {13}VM-EXIT {4}Samples/);
    expect(output).toMatch(/ APIC_ACCESS +258 /);
    expect(output).toMatch(/Total Samples:\d+, Total events handled time:[\d.]+us\./);
    expect(output).toMatch(/host acquires control +[\d,]+ +[\d.]+%/);
    expect(output).toMatch(/ in exits, [1-9][\d,]* in the guest \([1-9][\d,]* instructions\)/);
  });

  it('adds up what several virtual CPUs do at the same time', () => {
    const { output } = stat('smp-hello', '--vcpus', '4');
    expect(output).toMatch(
      /\n[\d,]+ cycles on each of 4 virtual CPUs; of all together [\d,]+ in exits, [\d,]+ in the guest \([\d,]+ instructions\)\.\n$/,
    );
  });

  it('prints one JSON document whose sums agree', () => {
    const document = JSON.parse(stat('pio-write', '--json').output);
    expect(document.schema).toBe('exitscope.stat/1');
    const sum = (items: object[], field: string): number =>
      items.reduce((total, item) => total + (item as Record<string, number>)[field], 0);
    expect(sum(document.stages, 'cycles')).toBe(document.cycles);
    expect(sum(document.exits, 'totalCycles')).toBe(sum(document.exitStages, 'totalCycles'));
    expect(sum(document.exits, 'count')).toBe(document.counters.exits);
  });
});
