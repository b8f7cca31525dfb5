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

import { FLAG_LETTERS } from '../architecture/rflags.js';
import { CONDITIONS } from './condition.js';
import type { Encoding, OpcodeMap, OperandAccess, OperandForm } from './encoding.js';
import type { Family } from './family.js';
import { fixedModrmSlot, parseOperand } from './operand-parser.js';

/** What a family file exports: its rows, and what they have in common. */
export interface FamilyRows {
  readonly family: Family;
  readonly rows: readonly string[];
  /** Feature and faults of rows that name none. */
  readonly feature?: string;
  readonly faults?: readonly string[];
}

/** A row of the table that cannot be understood: a mistake in the source, found when the table loads. */
export class MalformedRowError extends Error {
  readonly code = 'MALFORMED_ROW';
  readonly row: string;

  constructor(row: string, reason: string) {
    super(`malformed encoding row: ${reason}: ${row}`);
    this.name = 'MalformedRowError';
    this.row = row;
  }
}

type Size = 0 | 16 | 32 | 64;
type Unnumbered = Omit<Encoding, 'index'>;

const SIZE_SETS: Readonly<Record<string, readonly Size[]>> = {
  ov: [16, 32, 64],
  oy: [32, 64],
  oz: [16, 32],
};

const WIDTH_LETTERS: Readonly<Record<string, number>> = { b: 8, w: 16, d: 32, q: 64 };
const PLAIN_WORDS: ReadonlySet<string> = new Set([
  'lock',
  'rep',
  'repcc',
  'cpl0',
  'iopl',
  'anymod',
  'mod3',
  'i64',
  'd64',
  'f64',
  'only64',
]);
const KEYS: ReadonlySet<string> = new Set(['alias', 'feature', 'faults', 'id']);

interface Attributes {
  readonly accesses: readonly string[];
  readonly words: ReadonlySet<string>;
  readonly values: ReadonlyMap<string, readonly string[]>;
}

function parseAttributes(text: string, hasOperands: boolean, row: string): Attributes {
  const tokens = text.split(' ').filter(Boolean);
  const accesses = hasOperands ? (tokens.shift() ?? '').split(',') : [];
  const words = new Set<string>();
  const values = new Map<string, readonly string[]>();
  for (const token of tokens) {
    const [key, value] = token.split(':') as [string, string | undefined];
    if (value !== undefined && KEYS.has(key)) values.set(key, value.split(','));
    else if (value === undefined && PLAIN_WORDS.has(key)) words.add(key);
    else throw new MalformedRowError(row, `unknown attribute '${token}'`);
  }
  return { accesses, words, values };
}

function parseFlags(text: string, row: string): { read: number; written: number; undefined: number } {
  const masks: Record<string, number> = { r: 0, w: 0, u: 0 };
  for (const token of text.split(' ').filter(Boolean)) {
    const [kind, letters] = token.split(':') as [string, string | undefined];
    if (masks[kind] === undefined || letters === undefined)
      throw new MalformedRowError(row, `unknown flag field '${token}'`);
    for (const letter of letters) {
      const mask = FLAG_LETTERS[letter];
      if (mask === undefined) throw new MalformedRowError(row, `unknown flag '${letter}'`);
      masks[kind] |= mask;
    }
  }
  return { read: masks.r!, written: masks.w!, undefined: masks.u! };
}

interface Pattern {
  readonly map: OpcodeMap;
  readonly opcode: number;
  readonly opcodeRegister: boolean;
  readonly mandatoryPrefix: 0 | 0x66 | 0xf2 | 0xf3;
  readonly noPrefix: boolean;
  readonly noRepeatPrefix: boolean;
  readonly modrmHasRegister: boolean;
  readonly modrmReg: number;
  readonly modrmFixed: number;
  /** `C0+i`: ModRM holds a register of the x87 stack in rm. */
  readonly modrmStack: boolean;
  readonly operandSize: Size;
  readonly addressSize: Size;
  /** Widths in bits of the immediates and displacements, in order of encoding; -1 for an offset. */
  readonly trailing: readonly number[];
}

/** Splits the opcode bytes off: `0F`, `0F 38` and `0F 3A` choose the map, a byte behind the opcode is ModRM. */
function splitOpcode(bytes: readonly number[], row: string): { map: OpcodeMap; rest: readonly number[] } {
  let map: OpcodeMap = 0;
  let skip = 0;
  if (bytes[0] === 0x0f && bytes.length > 1) {
    map = bytes[1] === 0x38 ? 2 : bytes[1] === 0x3a ? 3 : 1;
    skip = map === 1 ? 1 : 2;
  }
  const rest = bytes.slice(skip);
  if (rest.length < 1 || rest.length > 2) throw new MalformedRowError(row, 'opcode expected');
  return { map, rest };
}

function parsePattern(text: string, row: string): Pattern {
  const bytes: number[] = [];
  const trailing: number[] = [];
  let mandatoryPrefix: Pattern['mandatoryPrefix'] = 0;
  let noPrefix = false;
  let noRepeatPrefix = false;
  let opcodeRegister = false;
  let modrmStack = false;
  let modrmHasRegister = false;
  let modrmReg = -1;
  let operandSize: Size = 0;
  let addressSize: Size = 0;
  for (const token of text.split(' ').filter(Boolean)) {
    const size = /^([oa])(16|32|64)$/.exec(token);
    const trailer = /^[ic]([bwdq])$/.exec(token);
    if (size) {
      if (size[1] === 'o') operandSize = Number(size[2]) as Size;
      else addressSize = Number(size[2]) as Size;
    } else if (token === 'NP') noPrefix = true;
    else if (token === 'NFx') noRepeatPrefix = true;
    else if (bytes.length === 0 && /^(66|F2|F3)$/.test(token))
      mandatoryPrefix = Number.parseInt(token, 16) as Pattern['mandatoryPrefix'];
    else if (/^[0-9A-F]{2}(\+[ri])?$/.test(token)) {
      bytes.push(Number.parseInt(token, 16));
      if (token.endsWith('+r')) opcodeRegister = true;
      if (token.endsWith('+i')) modrmStack = true;
    } else if (token === '/r') modrmHasRegister = true;
    else if (/^\/[0-7]$/.test(token)) modrmReg = Number(token[1]);
    else if (trailer) trailing.push(WIDTH_LETTERS[trailer[1]]!);
    else if (token === 'mo') trailing.push(-1);
    else if (token === 'cp') trailing.push(16 + operandSize);
    else throw new MalformedRowError(row, `unknown pattern token '${token}'`);
  }
  const { map, rest } = splitOpcode(bytes, row);
  const modrmByte = rest[1] ?? -1;
  if (modrmByte >= 0 && (modrmReg >= 0 || modrmHasRegister))
    throw new MalformedRowError(row, 'two ModRM bytes');
  if (modrmStack) modrmReg = (modrmByte >> 3) & 7;
  return {
    map,
    opcode: rest[0]!,
    opcodeRegister,
    mandatoryPrefix,
    noPrefix,
    noRepeatPrefix,
    modrmHasRegister,
    modrmReg,
    modrmFixed: modrmStack ? -1 : modrmByte,
    modrmStack,
    operandSize,
    addressSize,
    trailing,
  };
}

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

const hex = (value: number): string => value.toString(16).toUpperCase().padStart(2, '0');

/** `Jcc … 70+cc … r:cc` becomes sixteen rows; other rows stay as they are. */
function expandConditions(row: string): string[] {
  if (!/^[A-Z]+cc /.test(row)) return [row];
  return CONDITIONS.map(({ code, names, flags }) => {
    const stem = row.slice(0, row.indexOf('cc'));
    const aliases = names.slice(1).map((name) => stem + name);
    return row
      .replace('cc', names[0])
      .replace(/([0-9A-F]{2})\+cc/, (_, base: string) => hex(Number.parseInt(base, 16) + code))
      .replace('r:cc', `r:${flags}`)
      .replace('@aliases', aliases.length > 0 ? `alias:${aliases.join()}` : '');
  });
}

function fillSize(row: string, marker: string, size: Size): string {
  const immediate = Math.min(size, 32);
  return row
    .replace(new RegExp(`\\b${marker}\\b`), `o${size}`)
    .replace(/(?<![\w/])(r|m|r\/m|moffs|s?imm|m16:)[vy]\b/g, `$1${size}`)
    .replace(/\b(s?imm|rel|ptr16:)z\b/g, (_, kind: string) =>
      kind === 'imm' && size === 64 ? 'simm32' : `${kind}${immediate}`,
    )
    .replace(/\brAX\b/g, size === 16 ? 'AX' : size === 32 ? 'EAX' : 'RAX')
    .replace(/\b([ic])z\b/, size === 16 ? '$1w' : '$1d')
    .replace(/\biv\b/, size === 16 ? 'iw' : size === 32 ? 'id' : 'iq');
}

function expandSizes(row: string, common: FamilyRows): Unnumbered[] {
  const marker = /\bo[vyz]\b/.exec(row)?.[0];
  if (marker === undefined) return [parseSized(row, row, common)];
  const sized = SIZE_SETS[marker]!.map((size) => parseSized(fillSize(row, marker, size), row, common))
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
        for (const encoding of expandSizes(row, common)) {
          if (ids.has(encoding.id)) throw new MalformedRowError(row, `id ${encoding.id} is taken`);
          ids.add(encoding.id);
          encodings.push(createEncoding(encoding, encodings.length));
        }
  return encodings;
}
