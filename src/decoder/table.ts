/**
 * The decoder's one flat table, made of the opcode tree and the records of all rows:
 *
 *     0     what each byte is as a prefix: 256 numbers for 16- and 32-bit code, 256 for 64-bit code
 *     512   entries, indexed by context << 10 | map << 8 | opcode: position of a block, or minus the
 *           position of a node
 *     8704  records, blocks and nodes
 *
 * A block is sixteen positions of records, indexed by ModRM.reg, plus 8 when ModRM.rm is a register. Where that
 * decides nothing all sixteen are the same, so that decoding need not branch. A node is its kind, then its
 * children: positions of records, or minus the position of a node. Position 0 stands for no row.
 */

import { ENCODINGS, type Encoding } from '../instruction-set/index.js';
import { buildOpcodeTree, NO_ROW, NODE, NODE_CHILDREN, type OpcodeTree } from './opcode-tree.js';
import { packRecord, RECORD_SIZE } from './row-facts.js';

/** Kinds of prefix byte; 0 for all other bytes. REX has a bit of its own. */
export const PREFIX_KIND = {
  SEGMENT: 1,
  OPERAND_SIZE: 2,
  ADDRESS_SIZE: 3,
  LOCK: 4,
  REPNE: 5,
  REP: 6,
  REX: 8,
} as const;

/** Position of the entries. */
const ENTRIES_START = 512;
const NO_RECORD = 0;
const BLOCK_SIZE = 16;

/** Segment prefixes in the order of the segment registers' numbers. */
export const SEGMENT_PREFIXES: readonly number[] = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];

function prefixKinds(): number[] {
  const kinds = new Array<number>(ENTRIES_START).fill(0);
  for (const base of [0, 256]) {
    for (const byte of SEGMENT_PREFIXES) kinds[base + byte] = PREFIX_KIND.SEGMENT;
    kinds[base + 0x66] = PREFIX_KIND.OPERAND_SIZE;
    kinds[base + 0x67] = PREFIX_KIND.ADDRESS_SIZE;
    kinds[base + 0xf0] = PREFIX_KIND.LOCK;
    kinds[base + 0xf2] = PREFIX_KIND.REPNE;
    kinds[base + 0xf3] = PREFIX_KIND.REP;
  }
  return kinds.fill(PREFIX_KIND.REX, 256 + 0x40, 256 + 0x50);
}

interface DecoderTable {
  readonly numbers: Int32Array;
  /** Position of the block in which no row matches, whatever ModRM is. */
  readonly emptyBlock: number;
}

class TableBuilder {
  readonly numbers: number[];
  readonly #tree: OpcodeTree;
  readonly #recordsStart: number;
  readonly #entries = new Map<number, number>();
  readonly #blocks = new Map<string, number>();
  readonly #nodes = new Map<number, number>();

  constructor(encodings: readonly Encoding[], tree: OpcodeTree) {
    this.#tree = tree;
    this.numbers = [...prefixKinds(), ...tree.roots.map(() => 0)];
    this.#recordsStart = this.numbers.length;
    for (const encoding of encodings) this.numbers.push(...packRecord(encoding));
  }

  #block(rows: readonly number[]): number {
    const key = rows.join();
    let position = this.#blocks.get(key);
    if (position === undefined) {
      position = this.numbers.length;
      this.numbers.push(...rows.map((row) => this.#recordPosition(row)));
      this.#blocks.set(key, position);
    }
    return position;
  }

  #recordPosition(row: number): number {
    return row === NO_ROW ? NO_RECORD : this.#recordsStart + row * RECORD_SIZE;
  }

  #node(link: number): number {
    const source = -2 - link;
    let position = this.#nodes.get(source);
    if (position === undefined) {
      const kind = this.#tree.nodes[source]!;
      const children = this.#tree.nodes.slice(source + 1, source + 1 + NODE_CHILDREN[kind]!);
      const links = children.map((child) =>
        child < NO_ROW ? -this.#node(child) : this.#recordPosition(child),
      );
      position = this.numbers.length;
      this.numbers.push(kind, ...links);
      this.#nodes.set(source, position);
    }
    return position;
  }

  entry(root: number): number {
    let entry = this.#entries.get(root);
    if (entry === undefined) {
      entry = this.#makeEntry(root);
      this.#entries.set(root, entry);
    }
    return entry;
  }

  #makeEntry(root: number): number {
    if (root >= NO_ROW) return this.#block(new Array<number>(BLOCK_SIZE).fill(root));
    const source = -2 - root;
    if (this.#tree.nodes[source] !== NODE.MODRM_GROUP) return -this.#node(root);
    return this.#block(this.#tree.nodes.slice(source + 1, source + 1 + BLOCK_SIZE));
  }
}

function buildDecoderTable(encodings: readonly Encoding[]): DecoderTable {
  const tree = buildOpcodeTree(encodings);
  const builder = new TableBuilder(encodings, tree);
  const emptyBlock = builder.entry(NO_ROW);
  for (const [index, root] of tree.roots.entries())
    builder.numbers[ENTRIES_START + index] = builder.entry(root);
  return { numbers: Int32Array.from(builder.numbers), emptyBlock };
}

/** The table over all encodings, which the decoder reads. */
export const DECODER_TABLE: DecoderTable = buildDecoderTable(ENCODINGS);
