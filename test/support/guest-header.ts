/** Reads what a guest program says about itself in the `;;` lines of its header. */

/** One `expect-exit` line: how many exits of a reason, and if it says so of a weight, are expected. */
export interface ExpectedExits {
  readonly reasonName: string;
  readonly relation: '==' | '>=' | '<=';
  readonly count: number;
  readonly weight: 'light' | 'heavy' | undefined;
}

export interface GuestHeader {
  /** The whole serial output; `{}` stands for any number, `{1..9}` for one in that range. */
  readonly output: string;
  readonly exitCode: number;
  readonly exits: readonly ExpectedExits[];
  /**
   * What QEMU's emulation of a PC has not: `x2apic`, `kvm`, `vga` (windows by memory slots), `smp` (our start-up
   * contract), `virtual-time` (timers that count executed instructions), `sysenter-in-64-bit-mode` (its CPU is AMD's).
   */
  readonly needs: readonly string[];
  /** Virtual CPUs that it is made for, 1 unless said otherwise. */
  readonly vcpus: number;
}

export function readGuestHeader(source: string): GuestHeader {
  let output = '';
  let exitCode: number | undefined;
  let vcpus = 1;
  const exits: ExpectedExits[] = [];
  const needs: string[] = [];
  for (const line of source.split('\n')) {
    const field = /^;; ([\w-]+): (.*)$/.exec(line);
    if (field === null) continue;
    const [, name, value] = field;
    if (name === 'expect-output') output += JSON.parse(value);
    else if (name === 'expect-exit-code') exitCode = Number(value);
    else if (name === 'needs') needs.push(value);
    else if (name === 'vcpus') vcpus = Number(value);
    else if (name === 'expect-exit') exits.push(readExpectedExits(value));
    else throw new Error(`unknown header field ${name}`);
  }
  if (exitCode === undefined) throw new Error('the header has no expect-exit-code');
  return { output, exitCode, exits, needs, vcpus };
}

function readExpectedExits(value: string): ExpectedExits {
  const parts = /^([A-Z_]+) (==|>=|<=) (\d+)(?: (light|heavy))?$/.exec(value);
  if (parts === null) throw new Error(`expect-exit can't be read: ${value}`);
  const [, reasonName, relation, count, weight] = parts;
  return {
    reasonName,
    relation: relation as ExpectedExits['relation'],
    count: Number(count),
    weight: weight as ExpectedExits['weight'],
  };
}

/** True when `count` exits are what the header expects. */
export function satisfies(count: number, { relation, count: expected }: ExpectedExits): boolean {
  if (relation === '==') return count === expected;
  return relation === '>=' ? count >= expected : count <= expected;
}

const PLACEHOLDER = /\{(?:(\d+)\.\.(\d+))?\}/g;

/**
 * Why `actual` isn't the expected output, or undefined when it is.
 * @param ranges false: a number in braces may be any (another machine has other cycles)
 */
export function outputMismatch(expected: string, actual: string, ranges = true): string | undefined {
  const limits = [...expected.matchAll(PLACEHOLDER)];
  const pattern = expected
    .split(PLACEHOLDER)
    .filter((_, index) => index % 3 === 0)
    .map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('(\\d+)');
  const numbers = new RegExp(`^${pattern}$`).exec(actual);
  if (numbers === null) return `expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`;
  if (ranges)
    for (const [index, [, lowest, highest]] of limits.entries()) {
      const number = Number(numbers[index + 1]);
      if (lowest !== undefined && (number < Number(lowest) || number > Number(highest)))
        return `${number} is not in ${lowest}..${highest}: ${JSON.stringify(actual)}`;
    }
  return undefined;
}
