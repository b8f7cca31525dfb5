/** FNSTENV, FLDENV, FNSAVE, FRSTOR: the environment in memory (SDM Vol. 1, Figures 8-9 to 8-12). */

import { FSW } from '../../architecture/floating-point.js';
import type { Instruction } from '../../instruction-set/instruction.js';
import type { LinearAddress } from '../../memory/addresses.js';
import { type Access, OUTCOME, type ProcessorCore, type SystemInstruction } from '../core.js';
import { hasRealModeSegments } from '../segmentation/mode.js';
import { checkPendingException, requireX87 } from './availability.js';
import { classify } from './conversion.js';
import { initializeX87 } from './fxsave-image.js';
import { X87State } from './x87-state.js';

const VALUE_SIZE = 10;

/** Two bits per physical register: valid, zero, special, empty. */
function fullTags(x87: X87State): number {
  let tags = 0;
  for (let index = 0; index < 8; index++) {
    const physical = (x87.top + index) & 7;
    let tag = 3;
    if (!x87.isEmpty(index)) {
      const kind = classify(x87.read(index));
      tag = kind === 'normal' ? 0 : kind === 'zero' ? 1 : 2;
    }
    tags |= tag << (physical * 2);
  }
  return tags;
}

/** The seven words or doublewords; selectors of the pointers read as zero. */
function environmentFields(core: ProcessorCore, x87: X87State, wide: boolean): number[] {
  const ip = Number(x87.instructionPointer & 0xffffffffn);
  const dp = Number(x87.dataPointer & 0xffffffffn);
  const words = [x87.controlWord, x87.statusWord, fullTags(x87)];
  if (wide) words.splice(0, 3, ...words.map((word) => word | 0xffff0000));
  if (!hasRealModeSegments(core.state))
    return [...words, ip, wide ? x87.opcode << 16 : 0, dp, wide ? 0xffff0000 : 0];
  const high = (address: number): number => (wide ? (address >>> 16) << 12 : ((address >>> 16) & 0xf) << 12);
  return [...words, ip & 0xffff, high(ip) | x87.opcode, dp & 0xffff, high(dp)];
}

function storeEnvironment(core: ProcessorCore, x87: X87State, address: LinearAddress, size: number): void {
  for (const [index, field] of environmentFields(core, x87, size === 4).entries())
    core.linear.write(address + BigInt(index * size), size, BigInt.asUintN(size * 8, BigInt(field)));
}

function loadEnvironment(core: ProcessorCore, x87: X87State, fields: readonly number[], wide: boolean): void {
  const [control, status, tags, ip, ipHigh, dp, dpHigh] = fields as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const real = hasRealModeSegments(core.state);
  const join = (low: number, high: number): bigint => {
    if (!real) return BigInt(wide ? low : low & 0xffff);
    return (
      BigInt((low & 0xffff) | (wide ? ((high >>> 12) & 0xffff) << 16 : (high >>> 12) << 16)) & 0xffffffffn
    );
  };
  let present = 0;
  for (let register = 0; register < 8; register++)
    if (((tags >> (register * 2)) & 3) !== 3) present |= 1 << register;
  x87.tags = present;
  x87.statusWord = status & 0xffff;
  x87.controlWord = control & 0xffff;
  x87.setInstructionPointer(join(ip, ipHigh));
  x87.setDataPointer(join(dp, dpHigh));
  x87.opcode = real ? ipHigh & 0x7ff : wide ? (ipHigh >>> 16) & 0x7ff : 0;
}

interface Area {
  readonly address: LinearAddress;
  /** Bytes per field: 2 or 4. */
  readonly size: number;
}

/** Probes the whole area. */
function area(core: ProcessorCore, instruction: Instruction, access: Access, registers: boolean): Area {
  const size = instruction.encoding.operandSize === 16 ? 2 : 4;
  const bytes = 7 * size + (registers ? 8 * VALUE_SIZE : 0);
  const address = core.operandAddress(instruction, access, bytes);
  core.linear.probe(address, 1, access);
  core.linear.probe(address + BigInt(bytes - 1), 1, access);
  return { address, size };
}

const readFields = (core: ProcessorCore, { address, size }: Area): number[] =>
  Array.from({ length: 7 }, (_, index) => Number(core.linear.read(address + BigInt(index * size), size)));

/** All exceptions are masked afterwards. */
export const fnstenv: SystemInstruction = (core, instruction) => {
  requireX87(core);
  const x87 = new X87State(core.state);
  const { address, size } = area(core, instruction, 'write', false);
  storeEnvironment(core, x87, address, size);
  x87.controlWord |= FSW.EXCEPTIONS;
  return OUTCOME.NEXT;
};

export const fldenv: SystemInstruction = (core, instruction) => {
  requireX87(core);
  checkPendingException(core);
  const place = area(core, instruction, 'read', false);
  loadEnvironment(core, new X87State(core.state), readFields(core, place), place.size === 4);
  return OUTCOME.NEXT;
};

/** Saves everything and initializes. */
export const fnsave: SystemInstruction = (core, instruction) => {
  requireX87(core);
  const x87 = new X87State(core.state);
  const { address, size } = area(core, instruction, 'write', true);
  storeEnvironment(core, x87, address, size);
  for (let index = 0; index < 8; index++) {
    const place = address + BigInt(7 * size + index * VALUE_SIZE);
    const { significand, signExponent } = x87.read(index);
    core.linear.write(place, 8, significand);
    core.linear.write(place + 8n, 2, BigInt(signExponent));
  }
  initializeX87(core.state);
  return OUTCOME.NEXT;
};

export const frstor: SystemInstruction = (core, instruction) => {
  requireX87(core);
  checkPendingException(core);
  const x87 = new X87State(core.state);
  const place = area(core, instruction, 'read', true);
  const fields = readFields(core, place);
  const values = Array.from({ length: 8 }, (_, index) => {
    const address = place.address + BigInt(7 * place.size + index * VALUE_SIZE);
    const significand = core.linear.read(address, 8);
    return { significand, signExponent: Number(core.linear.read(address + 8n, 2)) };
  });
  loadEnvironment(core, x87, fields, place.size === 4);
  for (const [index, value] of values.entries()) x87.write(index, value);
  return OUTCOME.NEXT;
};
