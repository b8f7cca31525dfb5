/**
 * Turns rows written in the manual's notation into `Encoding` records.
 *
 * A row is one line of up to four fields separated by `|`:
 *
 *     ADD r/mv, rv | ov 01 /r | rw,r lock | w:oszapc
 *
 * 1. Mnemonic and operands (SDM Vol. 2A, 3.1.1.3 Instruction Column in the Opcode Summary Table). `v` stands for
 *    the operand size, `z` for an immediate or displacement of min(operand size, 32) bits, `simm` for an
 *    immediate that is sign-extended to the operand size. A mnemonic ending in `cc` makes sixteen rows.
 * 2. The opcode (3.1.1.1 Opcode Column): `NP`, `NFx`, `66`, `F2`, `F3` as mandatory prefixes; `o16` … `a64` for the
 *    operand and address size that select the row; `ov` (16, 32, 64), `oy` (32, 64) and `oz` (16, 32) make one
 *    row per size; opcode bytes with `+r`, `+i` or `+cc`; a byte behind the opcode is a fixed ModRM; `/r`,
 *    `/0` … `/7`; `ib`, `iw`, `id`, `iq`, `iz`, `iv` immediates; `cb`, `cw`, `cd`, `cz` displacements;
 *    `cp` a far pointer, `mo` a memory offset.
 * 3. How each operand is accessed (`r`, `w`, `rw`, `n`, comma-separated), then words: `lock`, `rep`, `repcc`,
 *    `cpl0`, `iopl`, `anymod` (ModRM.mod is ignored), `mod3` (it must be 3, no operand there), the superscripts of the opcode maps (Vol. 2D, A.2.5) `i64`, `d64`, `f64`, and
 *    `only64` for their `o64`; `alias:JZ`, `feature:VMX`, `faults:DE,GP`, `id:NAME`.
 * 4. Arithmetic flags read, written (defined afterwards) and undefined: `r:c w:oszapc u:a`.
 */

import { parseAttributes, parseFlags } from './attribute-parser.js';
import type { Encoding, OperandAccess, OperandForm } from './encoding.js';
import type { Family } from './family.js';
import { MalformedRowError } from './malformed-row-error.js';
import { fixedModrmSlot, parseOperand } from './operand-parser.js';
import { type Pattern, parsePattern, type Size } from './pattern-parser.js';
import { expandConditions, expandSizes } from './row-expansion.js';

/** What a family file exports: its rows, and what they have in common. */
export interface FamilyRows {
  readonly family: Family;
  readonly rows: readonly string[];
  /** Feature and faults of rows that name none. */
  readonly feature?: string;
  readonly faults?: readonly string[];
}

type Unnumbered = Omit<Encoding, 'index'>;

function parseOperands(
  texts: readonly string[],
  accesses: readonly string[],
  pattern: Pattern,
  impliedSize: number,
  row: string,
): OperandForm[] {
  if (texts.length !== accesses.length) throw new MalformedRowError(row, 'one access per operand expected');
  let regTaken = texts.some((text) => fixedModrmSlot(text) === 'reg');
  const rmTaken = texts.some((text) => fixedModrmSlot(text) === 'rm');
  return texts.map((text, position) => {
    const access = accesses[position]!;
    if (!/^(r|w|rw|n)$/.test(access)) throw new MalformedRowError(row, `unknown access '${access}'`);
    const operand = parseOperand(text, access as OperandAccess, {
      operandSize: impliedSize,
      opcodeRegister: pattern.opcodeRegister,
      modrmHasRegister: pattern.modrmHasRegister,
      regTaken,
      rmTaken,
    });
    if (operand === undefined) throw new MalformedRowError(row, `unknown operand '${text}'`);
    if (operand.slot === 'reg') regTaken = true;
    return operand;
  });
}

/** Operands and pattern must tell the same story about immediates, displacements and ModRM. */
function checkAgreement(operands: readonly OperandForm[], pattern: Pattern, row: string): void {
  const widths = operands
    .filter((operand) => ['immediate', 'relative', 'far', 'offset'].includes(operand.slot))
    .map((operand) => (operand.slot === 'offset' ? -1 : operand.encodedWidth));
  if (widths.join() !== pattern.trailing.join())
    throw new MalformedRowError(row, 'immediates of operands and pattern differ');
  const hasModrm = pattern.modrmHasRegister || pattern.modrmReg >= 0;
  const count = (slot: string): number => operands.filter((operand) => operand.slot === slot).length;
  if (count('rm') > (hasModrm ? 1 : 0) || count('reg') > (pattern.modrmHasRegister ? 1 : 0))
    throw new MalformedRowError(row, 'operands do not fit ModRM');
  if (count('opcode') !== (pattern.opcodeRegister ? 1 : 0))
    throw new MalformedRowError(row, 'operands do not fit +r');
}

function modrmModeOf(rm: OperandForm | undefined, pattern: Pattern): Encoding['modrmMode'] {
  if (pattern.modrmFixed >= 0) return 'register';
  if (rm === undefined) return 'any';
  if (rm.registerClass === undefined) return 'memory';
  return rm.memory ? 'any' : 'register';
}

function idOf(mnemonic: string, operands: readonly OperandForm[]): string {
  const visible = operands.filter((operand) => !(operand.slot === 'implicit' && operand.memory));
  const parts = visible.map((operand) => operand.text.replaceAll('/', '').replace(/[:&]/g, '_'));
  return [mnemonic, ...parts].join('_');
}

/** Code sizes in which a row of this operand size can be selected at all. */
function validity(words: ReadonlySet<string>, operandSize: Size): { legacy: boolean; long: boolean } {
  const stackSized = words.has('d64') || words.has('f64');
  const long =
    !words.has('i64') && !(stackSized && operandSize === 32) && !(words.has('f64') && operandSize === 16);
  return { legacy: !words.has('only64') && operandSize !== 64, long };
}

function parseSized(row: string, source: string, common: FamilyRows): Unnumbered {
  const fields = row.split('|').map((field) => field.trim());
  const [head, patternText, attributeText = '', flagText = ''] = fields as [
    string,
    string?,
    string?,
    string?,
  ];
  if (patternText === undefined || fields.length > 4)
    throw new MalformedRowError(source, 'two to four fields expected');
  const space = head.indexOf(' ');
  const mnemonic = space < 0 ? head : head.slice(0, space);
  const operandTexts =
    space < 0
      ? []
      : head
          .slice(space + 1)
          .split(',')
          .map((text) => text.trim());
  const { accesses, words, values } = parseAttributes(attributeText, operandTexts.length > 0, source);
  const flags = parseFlags(flagText, source);
  const pattern = parsePattern(patternText, source);
  const impliedSize = pattern.operandSize || (words.has('only64') ? 64 : words.has('i64') ? 32 : 0);
  const operands = parseOperands(operandTexts, accesses, pattern, impliedSize, source);
  checkAgreement(operands, pattern, source);
  const hasModrm = pattern.modrmHasRegister || pattern.modrmReg >= 0 || pattern.modrmFixed >= 0;
  const rm = operands.find((operand) => operand.slot === 'rm');
  const modIgnored = words.has('anymod');
  const { legacy, long } = validity(words, pattern.operandSize);
  const privilege = words.has('cpl0') ? 'cpl0' : words.has('iopl') ? 'iopl' : '';
  return {
    id: values.get('id')?.[0] ?? idOf(mnemonic, operands),
    mnemonic,
    aliases: values.get('alias') ?? [],
    pattern: patternText,
    family: common.family,
    operands,
    map: pattern.map,
    opcode: pattern.opcode,
    opcodeRegister: pattern.opcodeRegister,
    mandatoryPrefix: pattern.mandatoryPrefix,
    noPrefix: pattern.noPrefix,
    noRepeatPrefix: pattern.noRepeatPrefix,
    hasModrm,
    modrmReg: pattern.modrmReg,
    modrmFixed: pattern.modrmFixed,
    modrmMode: modIgnored ? 'any' : words.has('mod3') ? 'register' : modrmModeOf(rm, pattern),
    modIgnored,
    operandSize: pattern.operandSize,
    addressSize: pattern.addressSize,
    default64: words.has('d64'),
    forced64: words.has('f64'),
    valid16: legacy && pattern.addressSize !== 64,
    valid32: legacy && pattern.addressSize !== 64,
    valid64: long && pattern.addressSize !== 16,
    lockable: words.has('lock'),
    repeat: words.has('rep') ? 'rep' : words.has('repcc') ? 'repcc' : '',
    flagsRead: flags.read,
    flagsWritten: flags.written,
    flagsUndefined: flags.undefined,
    privilege,
    faults: values.get('faults') ?? (privilege === '' ? (common.faults ?? []) : ['GP']),
    feature: values.get('feature')?.[0] ?? common.feature ?? '',
  };
}

/** The encodings of one source line without conditions: one, or one per operand size. */
function parseRow(source: string, common: FamilyRows): Unnumbered[] {
  const sized = expandSizes(source)
    .map((row) => parseSized(row, source, common))
    // A row that no code size can select (64-bit PUSH ES) is an artefact of the expansion.
    .filter((encoding) => encoding.valid16 || encoding.valid32 || encoding.valid64);
  return sized.map((encoding) =>
    sized.filter((other) => other.id === encoding.id).length > 1
      ? { ...encoding, id: `${encoding.id}_o${encoding.operandSize}` }
      : encoding,
  );
}

/**
 * The finished record. Written out field by field so that all records have one shape: code that reads many of
 * them (every user of a decoded instruction) is several times faster than with spread copies.
 */
function createEncoding(row: Unnumbered, index: number): Encoding {
  return {
    id: row.id,
    index,
    mnemonic: row.mnemonic,
    aliases: row.aliases,
    pattern: row.pattern,
    family: row.family,
    operands: row.operands,
    map: row.map,
    opcode: row.opcode,
    opcodeRegister: row.opcodeRegister,
    mandatoryPrefix: row.mandatoryPrefix,
    noPrefix: row.noPrefix,
    noRepeatPrefix: row.noRepeatPrefix,
    hasModrm: row.hasModrm,
    modrmReg: row.modrmReg,
    modrmFixed: row.modrmFixed,
    modrmMode: row.modrmMode,
    modIgnored: row.modIgnored,
    operandSize: row.operandSize,
    addressSize: row.addressSize,
    default64: row.default64,
    forced64: row.forced64,
    valid16: row.valid16,
    valid32: row.valid32,
    valid64: row.valid64,
    lockable: row.lockable,
    repeat: row.repeat,
    flagsRead: row.flagsRead,
    flagsWritten: row.flagsWritten,
    flagsUndefined: row.flagsUndefined,
    privilege: row.privilege,
    faults: row.faults,
    feature: row.feature,
  };
}

/**
 * The encodings of all families, numbered in order.
 * @throws MalformedRowError for a row that does not parse, or whose id another row has already.
 */
export function parseFamilies(families: readonly FamilyRows[]): readonly Encoding[] {
  const encodings: Encoding[] = [];
  const ids = new Set<string>();
  for (const common of families)
    for (const line of common.rows)
      for (const row of expandConditions(line))
        for (const encoding of parseRow(row, common)) {
          if (ids.has(encoding.id)) throw new MalformedRowError(row, `id ${encoding.id} is taken`);
          ids.add(encoding.id);
          encodings.push(createEncoding(encoding, encodings.length));
        }
  return encodings;
}
