import { describe, expect, it } from 'vitest';
import { either, similarNames, unknownName } from '../../src/cli/choices.js';

const NAMES = ['eager', 'shared', 'shared-without-cstar', 'x2apic-eoi', 'fast-eoi', 'pv-eoi'];

describe('names that may have been meant', () => {
  it.each([
    ['eagre', ['eager']],
    ['aeger', ['eager']],
    ['Shared', ['shared']],
    ['shard', ['shared']],
    ['fasteoi', ['fast-eoi']],
    ['eoi', ['x2apic-eoi', 'fast-eoi', 'pv-eoi']],
    ['cstar', ['shared-without-cstar']],
    ['warp-drive', []],
    ['e', []],
    ['', []],
  ])('%j: %j', (text, names) => {
    expect(similarNames(text, NAMES)).toEqual(names);
  });

  it('are asked for, or all are listed', () => {
    expect(unknownName('policy', 'eagr', NAMES)).toBe('there is no policy "eagr". Did you mean eager?');
    expect(unknownName('policy', 'lazy', ['a', 'b'])).toBe('there is no policy "lazy": a, b');
    expect(either(['a', 'b', 'c'])).toBe('a, b or c');
  });
});
