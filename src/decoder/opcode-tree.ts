/**
 * From opcode bytes to a row: which row of the table of encodings is meant, for every opcode in every context,
 * as a tree that looks at a prefix or at ModRM only where that decides something.
 */

import type { Encoding } from '../instruction-set/index.js';

/**
 * A context is code size, 66 and REX.W. 16-bit code: 0, 1 with 66. 32-bit: 2, 3. 64-bit: 4, plus 1 for 66,
 * plus 2 for REX.W.
 */
export const CONTEXTS = 8;
const MAPS = 4;

/** A link that leads to no row. Other negative links are `-2 - position` of a node, the rest are rows. */
export const NO_ROW = -1;

/** Number of children by kind of node. */
export const NODE_CHILDREN: readonly number[] = [3, 2, 2, 16, 256];

/** Kinds of node, and what the child to take is chosen by. */
export const NODE = {
  /** F2/F3: 0 neither, 1 F2, 2 F3 in force. Three children. */
  REPEAT_PREFIX: 0,
  /** 67 absent or present. Two children. */
  ADDRESS_SIZE_PREFIX: 1,
  /** REX.B clear or set (90 is NOP, 41 90 is XCHG). Two children. */
  REX_B: 2,
  /** ModRM.reg, plus 8 when mod = 3. Sixteen children. */
  MODRM_GROUP: 3,
  /** The whole ModRM byte. 256 children. */
  MODRM_BYTE: 4,
} as const;

export interface OpcodeTree {
  /** Links, indexed by `context << 10 | map << 8 | opcode`. */
  readonly roots: readonly number[];
  /** Kind of node, then links to its children. */
  readonly nodes: readonly number[];
}

/** Everything before ModRM that a row may depend on. */
interface Situation {
  readonly context: number;
  readonly opcode: number;
  readonly repeatPrefix: number;
  readonly addressSizePrefix: boolean;
  readonly rexB: boolean;
}

function codeSizeOf(context: number): 16 | 32 | 64 {
  return context < 2 ? 16 : context < 4 ? 32 : 64;
}

/** Effective operand size of a context in bits, by Vol. 1, Tables 3-3 and 3-4 Effective Operand Size. */
export function operandSizeOf(context: number, default64: boolean, forced64: boolean): 16 | 32 | 64 {
  const prefix = (context & 1) !== 0;
  if (context < 2) return prefix ? 32 : 16;
  if (context < 4) return prefix ? 16 : 32;
  if (forced64 || (context & 2) !== 0) return 64;
  if (prefix) return 16;
  return default64 ? 64 : 32;
}

function addressSizeOf(codeSize: 16 | 32 | 64, prefix: boolean): 16 | 32 | 64 {
  if (codeSize === 64) return prefix ? 32 : 64;
  return (codeSize === 16) === prefix ? 32 : 16;
}

function isValidIn(encoding: Encoding, codeSize: 16 | 32 | 64): boolean {
  if (codeSize === 64) return encoding.valid64;
  return codeSize === 32 ? encoding.valid32 : encoding.valid16;
}

function prefixesMatch(encoding: Encoding, context: number, repeatPrefix: number): boolean {
  const operandSizePrefix = (context & 1) !== 0;
  if (encoding.noPrefix && (operandSizePrefix || repeatPrefix !== 0)) return false;
  if (encoding.noRepeatPrefix && repeatPrefix !== 0) return false;
  switch (encoding.mandatoryPrefix) {
    case 0:
      return true;
    case 0x66:
      return operandSizePrefix && repeatPrefix === 0;
    default:
      return repeatPrefix === (encoding.mandatoryPrefix === 0xf2 ? 1 : 2);
  }
}

function modrmMatches(encoding: Encoding, modrm: number): boolean {
  if (!encoding.hasModrm) return true;
  if (encoding.modrmFixed >= 0) return modrm === encoding.modrmFixed;
  if (encoding.modrmReg >= 0 && ((modrm >> 3) & 7) !== encoding.modrmReg) return false;
  const isRegister = modrm >= 0xc0;
  return encoding.modrmMode === 'any' || (encoding.modrmMode === 'register') === isRegister;
}

const NO_MATCH = -1;

/**
 * How closely a row fits what comes before ModRM: `NO_MATCH`, or a number that is higher for the row that says
 * more. REX.W on an instruction that has no 64-bit form is ignored, so a 32-bit row still matches there, last of
 * all.
 */
function closeness(encoding: Encoding, situation: Situation): number {
  const { context } = situation;
  const codeSize = codeSizeOf(context);
  if (!prefixesMatch(encoding, context, situation.repeatPrefix)) return NO_MATCH;
  if (
    encoding.addressSize !== 0 &&
    encoding.addressSize !== addressSizeOf(codeSize, situation.addressSizePrefix)
  )
    return NO_MATCH;
  let result = 0;
  if (encoding.operandSize !== 0) {
    const effective = operandSizeOf(context, encoding.default64, encoding.forced64);
    if (encoding.operandSize === effective) result += 2;
    else if (effective !== 64 || encoding.operandSize !== 32) return NO_MATCH;
  } else result += 1;
  if (encoding.opcodeRegister) {
    // The one-byte NOP is XCHG rAX, rAX by its opcode; REX.B makes it an exchange again.
    if (situation.rexB && situation.opcode === encoding.opcode) result += 8;
  } else result += 4;
  if (encoding.mandatoryPrefix !== 0 || encoding.noPrefix) result += 16;
  if (encoding.modrmFixed >= 0) result += 32;
  return result;
}

/** Two rows that fit equally well: a mistake in the table, found when it loads. */
export class AmbiguousRowsError extends Error {
  readonly code = 'AMBIGUOUS_ROWS';

  constructor(first: Encoding, second: Encoding) {
    super(`encoding rows ${first.id} and ${second.id} match the same bytes`);
    this.name = 'AmbiguousRowsError';
  }
}

/** A row and how closely it fits what comes before ModRM. */
interface Candidate {
  readonly encoding: Encoding;
  readonly closeness: number;
}

function closestRow(candidates: readonly Candidate[], modrm: number): number {
  let best: Candidate | undefined;
  for (const candidate of candidates) {
    if (!modrmMatches(candidate.encoding, modrm)) continue;
    if (candidate.closeness === best?.closeness)
      throw new AmbiguousRowsError(best.encoding, candidate.encoding);
    if (best === undefined || candidate.closeness > best.closeness) best = candidate;
  }
  return best === undefined ? NO_ROW : best.encoding.index;
}

class TreeBuilder {
  readonly nodes: number[] = [];
  readonly #known = new Map<string, number>();
  readonly #byCandidates = new Map<string, number>();

  /** A node, or the child itself when all children are the same. */
  node(kind: number, children: readonly number[]): number {
    if (children.every((child) => child === children[0])) return children[0]!;
    const key = `${kind}:${children.join()}`;
    let entry = this.#known.get(key);
    if (entry === undefined) {
      entry = -2 - this.nodes.length;
      this.nodes.push(kind, ...children);
      this.#known.set(key, entry);
    }
    return entry;
  }

  /** Looks at ModRM only where it decides something. */
  byModrm(rows: readonly Encoding[], situation: Situation): number {
    const candidates = rows
      .map((encoding) => ({ encoding, closeness: closeness(encoding, situation) }))
      .filter((candidate) => candidate.closeness !== NO_MATCH);
    // Most situations of an opcode leave the same candidates.
    const key = candidates.map((candidate) => `${candidate.encoding.index}:${candidate.closeness}`).join();
    let link = this.#byCandidates.get(key);
    if (link === undefined) {
      link = this.#chooseByModrm(candidates);
      this.#byCandidates.set(key, link);
    }
    return link;
  }

  #chooseByModrm(candidates: readonly Candidate[]): number {
    if (candidates.some(({ encoding }) => encoding.modrmFixed >= 0))
      return this.node(
        NODE.MODRM_BYTE,
        Array.from({ length: 256 }, (_, modrm) => closestRow(candidates, modrm)),
      );
    if (candidates.every(({ encoding }) => encoding.modrmReg < 0 && encoding.modrmMode === 'any'))
      return closestRow(candidates, 0);
    return this.node(
      NODE.MODRM_GROUP,
      Array.from({ length: 16 }, (_, child) =>
        closestRow(candidates, (child < 8 ? 0 : 0xc0) | ((child & 7) << 3)),
      ),
    );
  }

  byPrefixes(rows: readonly Encoding[], context: number, opcode: number): number {
    const candidates = rows.filter((encoding) => isValidIn(encoding, codeSizeOf(context)));
    const choices = <T>(values: readonly T[], decides: (encoding: Encoding) => boolean): readonly T[] =>
      candidates.some(decides) ? values : values.slice(0, 1);
    const repeatPrefixes = choices(
      [0, 1, 2],
      (row) => row.mandatoryPrefix !== 0 || row.noPrefix || row.noRepeatPrefix,
    );
    const addressSizePrefixes = choices([false, true], (row) => row.addressSize !== 0);
    const rexBits = choices([false, true], (row) => row.opcodeRegister !== candidates[0]!.opcodeRegister);
    return this.node(
      NODE.REPEAT_PREFIX,
      repeatPrefixes.map((repeatPrefix) =>
        this.node(
          NODE.ADDRESS_SIZE_PREFIX,
          addressSizePrefixes.map((addressSizePrefix) =>
            this.node(
              NODE.REX_B,
              rexBits.map((rexB) =>
                this.byModrm(candidates, { context, opcode, repeatPrefix, addressSizePrefix, rexB }),
              ),
            ),
          ),
        ),
      ),
    );
  }
}

const coversOpcode = (encoding: Encoding, opcode: number): boolean =>
  (encoding.opcodeRegister ? opcode & 0xf8 : opcode) === encoding.opcode;

/**
 * The tree over these encodings.
 * @throws AmbiguousRowsError when two rows match the same bytes equally closely.
 */
export function buildOpcodeTree(encodings: readonly Encoding[]): OpcodeTree {
  const roots = new Array<number>(CONTEXTS * MAPS * 256).fill(NO_ROW);
  const builder = new TreeBuilder();
  for (let map = 0; map < MAPS; map++) {
    const rows = encodings.filter((encoding) => encoding.map === map);
    for (let opcode = 0; opcode < 256; opcode++) {
      const candidates = rows.filter((encoding) => coversOpcode(encoding, opcode));
      if (candidates.length === 0) continue;
      for (let context = 0; context < CONTEXTS; context++)
        roots[(context << 10) | (map << 8) | opcode] = builder.byPrefixes(candidates, context, opcode);
    }
  }
  return { roots, nodes: builder.nodes };
}
