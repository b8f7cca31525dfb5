import { describe, expect, it } from 'vitest';
import { ENCODINGS } from '../../../src/instruction-set/index.js';
import { SEMANTICS, semanticsOf } from '../../../src/processor/semantics/index.js';

/** Families whose every row has its meaning here, but for those that need the whole processor. */
const INTEGER_FAMILIES: ReadonlySet<string> = new Set([
  'data-transfer',
  'stack',
  'arithmetic',
  'decimal',
  'logic',
  'shift-rotate',
  'bit',
  'string',
  'control-transfer',
  'flag',
  'miscellaneous',
  'nop',
]);

/** What `system/` executes, by the reason that it needs the whole processor. */
const SYSTEM_MNEMONICS: ReadonlySet<string> = new Set([
  ...['POPFW', 'POPFD', 'POPFQ', 'CLI', 'STI'], // IF, IOPL, TF
  ...['INSB', 'INSW', 'INSD', 'OUTSB', 'OUTSW', 'OUTSD'], // ports
  ...['RETF', 'INT3', 'INT', 'INTO', 'INT1', 'IRETW', 'IRETD', 'IRETQ'], // descriptor tables
  ...['CPUID', 'PAUSE', 'RDRAND', 'RDSEED'], // may exit
]);

describe('the map of semantics', () => {
  it('covers every row of the integer families that does not need the whole processor', () => {
    const missing = ENCODINGS.filter(
      (encoding) =>
        INTEGER_FAMILIES.has(encoding.family) &&
        !SYSTEM_MNEMONICS.has(encoding.mnemonic) &&
        semanticsOf(encoding) === undefined,
    ).map(({ id }) => id);
    expect(missing.filter((id) => !/(_[ECSDFG]S|m16_(16|32|64)|ptr16_(16|32))(_o\d+)?$/.test(id))).toEqual(
      [],
    );
  });

  it('has no entry that the table does not know', () => {
    const mnemonics = new Set(ENCODINGS.map(({ mnemonic }) => mnemonic));
    expect([...SEMANTICS.keys()].filter((mnemonic) => !mnemonics.has(mnemonic))).toEqual([]);
  });

  it('leaves segment, control and debug registers and far transfers to the system', () => {
    const shared = ENCODINGS.filter(
      (encoding) =>
        SEMANTICS.has(encoding.mnemonic) &&
        (encoding.family === 'system' ||
          encoding.family === 'segment' ||
          encoding.operands.some(({ text }) => /^([ECSDFG]S|Sreg|CRn|DRn|m16:.*|ptr16:.*)$/.test(text))),
    );
    expect(shared.length).toBeGreaterThan(10);
    for (const encoding of shared) expect(semanticsOf(encoding), encoding.id).toBeUndefined();
  });
});
