/** Turns guest code into blocks of decoded records. */

import { DecodeStatus, decode, MAXIMUM_LENGTH } from '../../decoder/index.js';
import type { Encoding } from '../../instruction-set/encoding.js';
import { Instruction, NO_REGISTER, RIP_BASE } from '../../instruction-set/instruction.js';
import { SEMANTICS } from '../semantics/index.js';
import { SEGMENT_FIELD, SEGMENT_STRIDE, STATE } from '../state/layout.js';
import { systemInstructionFor } from '../system/index.js';
import type { Block, CodeCache } from './code-cache.js';
import type { Handler, HandlerTable } from './handler-table.js';
import { BLOCK_HEADER, BLOCK_HEADER_SIZE, RECORD, RECORD_SIZE } from './records.js';
import { registerOffset } from './register-offset.js';
import { effectiveSegment, type LinkKind, shapeOf } from './shape.js';

const MAXIMUM_INSTRUCTIONS = 32;
const LEGACY_PREFIXES: ReadonlySet<number> = new Set([
  0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3,
]);

/** Where a block is to be built, and the bytes that lie there. */
export interface CodeLocation {
  readonly rip: bigint;
  readonly physical: number;
  readonly mode: number;
  readonly codeSize: 16 | 32 | 64;
  /** Bytes from `offset` to `end`, the end of the page or of what could be fetched beyond it. */
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly end: number;
  readonly single: boolean;
  /** Physical address of the next page's first byte when `bytes` reach into it, otherwise -1. */
  readonly secondPhysical: number;
}

/**
 * 'invalid': the first bytes are no instruction; 'too-long': it would have more than 15 bytes; 'needs-more': it does not
 * end in `bytes`.
 */
export type BuildResult = Block | 'invalid' | 'too-long' | 'needs-more';

export class BlockBuilder {
  private readonly cache: CodeCache;
  private readonly handlers: HandlerTable;
  private readonly cyclesOf: (encoding: Encoding) => number;
  private readonly view: DataView;

  constructor(
    memory: WebAssembly.Memory,
    cache: CodeCache,
    handlers: HandlerTable,
    cyclesOf: (encoding: Encoding) => number,
  ) {
    this.view = new DataView(memory.buffer);
    this.cache = cache;
    this.handlers = handlers;
    this.cyclesOf = cyclesOf;
  }

  /** Decodes from the location on and stores the records. The block is not yet in the cache. */
  build(location: CodeLocation): BuildResult {
    const instructions: Instruction[] = [];
    const offsets: number[] = [0];
    const handlers: Handler[] = [];
    const limit = location.single || location.secondPhysical >= 0 ? 1 : MAXIMUM_INSTRUCTIONS;
    let position = location.offset;
    let endsItself = false;
    while (instructions.length < limit && !endsItself) {
      const instruction = new Instruction();
      const end = Math.min(location.end, position + MAXIMUM_LENGTH);
      const status = decode(location.bytes, position, end, location.codeSize, instruction);
      if (status !== DecodeStatus.OK) {
        if (instructions.length > 0) break;
        const truncated = status === DecodeStatus.NEEDS_MORE && end < position + MAXIMUM_LENGTH;
        if (truncated) return 'needs-more';
        return isTooLong(location.bytes, position, location.end, location.codeSize) ? 'too-long' : 'invalid';
      }
      const alone = repeats(instruction);
      if (alone && instructions.length > 0) break;
      const handler = this.handlerFor(instruction, location, position - location.offset);
      instructions.push(instruction);
      handlers.push(handler);
      position += instruction.length;
      offsets.push(position - location.offset);
      endsItself = handler.endsBlock;
      if (alone) break;
    }
    return this.store(location, instructions, offsets, handlers, endsItself);
  }

  private handlerFor(instruction: Instruction, location: CodeLocation, offset: number): Handler {
    const { encoding } = instruction;
    const semantics =
      systemInstructionFor(encoding) === undefined ? SEMANTICS.get(encoding.mnemonic) : undefined;
    if (semantics === undefined || location.codeSize !== 64) return this.handlers.system;
    const next = location.rip + BigInt(offset + instruction.length);
    const relative = encoding.operands[0]?.slot === 'relative';
    const taken = relative ? linkKind(location.rip, branchTarget(instruction, next)) : 'direct';
    return this.handlers.forShape(
      shapeOf(instruction, taken, relative ? linkKind(location.rip, next) : 'direct'),
      semantics,
    );
  }

  private store(
    location: CodeLocation,
    instructions: readonly Instruction[],
    offsets: readonly number[],
    handlers: readonly Handler[],
    endsItself: boolean,
  ): Block {
    const count = instructions.length;
    const size = BLOCK_HEADER_SIZE + (count + (endsItself ? 0 : 1)) * RECORD_SIZE;
    const record = this.cache.allocate(size) + BLOCK_HEADER_SIZE;
    const number = this.cache.nextNumber;
    const cyclesFrom = new Array<number>(count + 1).fill(0);
    for (let n = count - 1; n >= 0; n--)
      cyclesFrom[n] = (cyclesFrom[n + 1] as number) + this.cyclesOf(instructions[n]!.encoding);
    for (let n = 0; n < count; n++) {
      const rip = location.rip + BigInt(offsets[n]!);
      this.writeRecord(record + n * RECORD_SIZE, instructions[n]!, handlers[n]!.slot, rip, n, number);
    }
    const last = instructions[count - 1]!;
    if (handlers[count - 1] === this.handlers.system)
      this.writeCost(record + (count - 1) * RECORD_SIZE + RECORD.SYSTEM_COST, 1, cyclesFrom[count - 1]!);
    if (!endsItself) {
      const nextRip = location.rip + BigInt(offsets[count]!);
      this.writeContinuation(record + count * RECORD_SIZE, location.rip, nextRip, count, number);
    }
    this.writeCost(record + BLOCK_HEADER.COST, count, cyclesFrom[0]!);
    this.view.setBigUint64(record + BLOCK_HEADER.RIP, location.rip, true);
    return {
      record,
      rip: location.rip,
      physical: location.physical,
      lengthInBytes: offsets[count]!,
      secondPhysical: location.secondPhysical,
      mode: location.mode,
      single: location.single,
      instructions,
      last,
      system: systemInstructionFor(last.encoding),
      cyclesFrom,
      incoming: [],
    };
  }

  /** A cost as it is subtracted from budgets: cycles << 32 | instructions. */
  private writeCost(address: number, instructions: number, cycles: number): void {
    this.view.setInt32(address, instructions, true);
    this.view.setInt32(address + 4, cycles, true);
  }

  private writeRecord(
    record: number,
    instruction: Instruction,
    handler: number,
    rip: bigint,
    position: number,
    block: number,
  ): void {
    const { view } = this;
    const { encoding } = instruction;
    const nextRip = rip + BigInt(instruction.length);
    view.setInt32(record + RECORD.HANDLER, handler, true);
    for (let n = 0; n < RECORD.REGISTER.length; n++) {
      const register = instruction.register(n);
      const width = encoding.operands[n]?.width ?? 0;
      const offset =
        register === NO_REGISTER || encoding.operands[n]?.registerClass?.startsWith('gpr') !== true
          ? STATE.ZERO
          : registerOffset(register, encoding.operands[n]?.registerClass === 'gpr8' ? 8 : width);
      view.setUint16(record + RECORD.REGISTER[n]!, offset, true);
    }
    view.setUint16(record + RECORD.BASE, gprOffset(instruction.baseRegister), true);
    view.setUint16(record + RECORD.INDEX, gprOffset(instruction.indexRegister), true);
    const segment = effectiveSegment(instruction);
    view.setUint16(
      record + RECORD.SEGMENT_BASE,
      STATE.SEGMENTS + segment * SEGMENT_STRIDE + SEGMENT_FIELD.BASE,
      true,
    );
    view.setUint8(record + RECORD.SCALE, instruction.scale);
    view.setUint8(record + RECORD.SEGMENT, segment);
    view.setUint8(record + RECORD.POSITION, position);
    view.setInt32(record + RECORD.DISPLACEMENT, instruction.displacement, true);
    view.setBigUint64(record + RECORD.NEXT_RIP, BigInt.asUintN(64, nextRip), true);
    view.setBigUint64(record + RECORD.IMMEDIATE, immediateOf(instruction, nextRip), true);
    view.setInt32(record + RECORD.LINK_TAKEN, 0, true);
    view.setInt32(record + RECORD.LINK_NEXT, 0, true);
    view.setInt32(record + RECORD.BLOCK, block, true);
    view.setInt32(record + RECORD.SECOND_IMMEDIATE, instruction.secondImmediate, true);
    view.setBigUint64(record + RECORD.RIP, rip, true);
  }

  private writeContinuation(
    record: number,
    rip: bigint,
    nextRip: bigint,
    count: number,
    block: number,
  ): void {
    const { view } = this;
    view.setInt32(record + RECORD.HANDLER, this.handlers.continuation(linkKind(rip, nextRip)).slot, true);
    view.setUint8(record + RECORD.POSITION, count);
    view.setBigUint64(record + RECORD.NEXT_RIP, BigInt.asUintN(64, nextRip), true);
    view.setInt32(record + RECORD.LINK_NEXT, 0, true);
    view.setInt32(record + RECORD.BLOCK, block, true);
  }
}

/** A string instruction with REP is a block of its own, because it stops between iterations. */
function repeats(instruction: Instruction): boolean {
  return shapeOf(instruction, 'direct', 'direct').repeat !== 'none';
}

/** Whether the bytes would be an instruction but for having more than 15 bytes, by redundant prefixes. */
function isTooLong(bytes: Uint8Array, offset: number, end: number, codeSize: 16 | 32 | 64): boolean {
  const scratch = new Instruction();
  for (
    let skipped = 1;
    skipped < MAXIMUM_LENGTH && LEGACY_PREFIXES.has(bytes[offset + skipped - 1]!);
    skipped++
  ) {
    const status = decode(bytes, offset + skipped, end, codeSize, scratch);
    if (status === DecodeStatus.OK) return skipped + scratch.length > MAXIMUM_LENGTH;
  }
  return false;
}

function linkKind(from: bigint, to: bigint): LinkKind {
  return from >> 12n === BigInt.asUintN(64, to) >> 12n ? 'direct' : 'cached';
}

const gprOffset = (register: number): number =>
  register === NO_REGISTER || register === RIP_BASE ? STATE.ZERO : STATE.GPR + register * 8;

/** Target of a relative branch, truncated to the operand size. */
function branchTarget(instruction: Instruction, nextRip: bigint): bigint {
  return BigInt.asUintN(instruction.operandSize, nextRip + instruction.immediate);
}

/** What the record's immediate holds: branch target, RIP-relative base, moffs address, or the immediate itself. */
function immediateOf(instruction: Instruction, nextRip: bigint): bigint {
  const { encoding } = instruction;
  if (encoding.operands[0]?.slot === 'relative') return branchTarget(instruction, nextRip);
  if (encoding.operands[instruction.memoryOperand]?.slot === 'offset')
    return BigInt.asUintN(
      64,
      (BigInt(instruction.displacementHigh) << 32n) | BigInt(instruction.displacement >>> 0),
    );
  return BigInt.asUintN(64, instruction.immediate);
}
