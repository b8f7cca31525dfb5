/** x87 instructions that move values without rounding (SDM Vol. 2: FLD, FILD, FST, FSTP, FXCH, FCMOVcc, FCHS, FABS, …). */

import { FSW } from '../../architecture/floating-point.js';
import { RFLAGS } from '../../architecture/rflags.js';
import type { Instruction } from '../../instruction-set/instruction.js';
import type { ProcessorCore } from '../core.js';
import { type Converted, classify, DOUBLE, extendBinary, extendInteger, SINGLE } from './conversion.js';
import { type Extended, INDEFINITE, type X87State } from './x87-state.js';

/** An x87 instruction after the checks that all of them share. */
export type X87Semantics = (x87: X87State, core: ProcessorCore, instruction: Instruction) => void;

const ONE: Extended = { significand: 1n << 63n, signExponent: 0x3fff };
const ZERO: Extended = { significand: 0n, signExponent: 0 };

function readMemory(core: ProcessorCore, instruction: Instruction, size: number): bigint {
  return core.linear.read(core.operandAddress(instruction, 'read', size), size);
}

function pushConverted(x87: X87State, converted: Converted): void {
  // A full stack is detected before anything about the operand.
  if (converted.exceptions !== 0 && x87.isEmpty(7) && !x87.signal(converted.exceptions)) return;
  x87.push(converted.value);
}

const loadBinary =
  (size: 4 | 8): X87Semantics =>
  (x87, core, instruction) =>
    pushConverted(x87, extendBinary(readMemory(core, instruction, size), size === 4 ? SINGLE : DOUBLE));

const loadInteger =
  (size: 2 | 4 | 8): X87Semantics =>
  (x87, core, instruction) =>
    x87.push(extendInteger(BigInt.asIntN(size * 8, readMemory(core, instruction, size))));

const loadExtended: X87Semantics = (x87, core, instruction) => {
  const address = core.operandAddress(instruction, 'read', 10);
  const significand = core.linear.read(address, 8);
  x87.push({ significand, signExponent: Number(core.linear.read(address + 8n, 2)) });
};

/** ST(i), the indefinite value for an empty register when the stack fault is masked, otherwise undefined. */
function readSource(x87: X87State, index: number): Extended | undefined {
  if (!x87.isEmpty(index)) return x87.read(index);
  return x87.signalStackFault(false) ? INDEFINITE : undefined;
}

const loadRegister: X87Semantics = (x87, _core, instruction) => {
  const value = readSource(x87, instruction.register(0));
  if (value !== undefined) x87.push(value);
};

const storeRegister =
  (pops: boolean): X87Semantics =>
  (x87, _core, instruction) => {
    x87.setC1(false);
    const value = readSource(x87, 0);
    if (value === undefined) return;
    const target = instruction.register(0);
    x87.write(target, value);
    x87.setEmpty(target, false);
    if (pops) x87.pop();
  };

const storeExtended: X87Semantics = (x87, core, instruction) => {
  const address = core.operandAddress(instruction, 'write', 10);
  core.linear.probe(address, 10, 'write');
  x87.setC1(false);
  const value = readSource(x87, 0);
  if (value === undefined) return;
  core.linear.write(address, 8, value.significand);
  core.linear.write(address + 8n, 2, BigInt(value.signExponent));
  x87.pop();
};

const exchange: X87Semantics = (x87, _core, instruction) => {
  const index = instruction.register(0);
  x87.setC1(false);
  if ((x87.isEmpty(0) || x87.isEmpty(index)) && !x87.signalStackFault(false)) return;
  const first = x87.isEmpty(0) ? INDEFINITE : x87.read(0);
  const second = x87.isEmpty(index) ? INDEFINITE : x87.read(index);
  x87.write(0, second);
  x87.write(index, first);
  x87.setEmpty(0, false);
  x87.setEmpty(index, false);
};

const changeSign =
  (change: (signExponent: number) => number): X87Semantics =>
  (x87) => {
    x87.setC1(false);
    if (x87.isEmpty(0)) {
      if (!x87.signalStackFault(false)) return;
      x87.write(0, INDEFINITE);
      x87.setEmpty(0, false);
      return;
    }
    const value = x87.read(0);
    x87.write(0, { ...value, signExponent: change(value.signExponent) });
  };

/** FINCSTP and FDECSTP move TOP only. */
const moveTop =
  (direction: -1 | 1): X87Semantics =>
  (x87) => {
    x87.rotate(direction);
    x87.setC1(false);
  };

const free =
  (pops: boolean): X87Semantics =>
  (x87, _core, instruction) => {
    x87.setEmpty(instruction.register(0), true);
    if (pops) x87.pop();
  };

const EXAMINED = {
  unsupported: 0,
  nan: FSW.C0,
  normal: FSW.C2,
  infinity: FSW.C2 | FSW.C0,
  zero: FSW.C3,
  denormal: FSW.C3 | FSW.C2,
} as const;

const examine: X87Semantics = (x87) => {
  const value = x87.read(0);
  const kind = x87.isEmpty(0) ? FSW.C3 | FSW.C0 : EXAMINED[classify(value)];
  x87.setConditions(kind | ((value.signExponent & 0x8000) !== 0 ? FSW.C1 : 0));
};

/** FCMOVcc tests CF, ZF, their union, or PF. */
const moveIf =
  (flags: number, wanted: boolean): X87Semantics =>
  (x87, core, instruction) => {
    const source = instruction.register(1);
    x87.setC1(false);
    const underflow = x87.isEmpty(0) || x87.isEmpty(source);
    if (underflow && !x87.signalStackFault(false)) return;
    if (((core.state.rflags & flags) !== 0) !== wanted) return;
    x87.write(0, underflow ? INDEFINITE : x87.read(source));
    x87.setEmpty(0, false);
  };

/** By encoding id where a mnemonic has rows with and without rounding, otherwise by mnemonic. */
export const X87_MOVES: ReadonlyMap<string, X87Semantics> = new Map<string, X87Semantics>([
  ['FLD_m32fp', loadBinary(4)],
  ['FLD_m64fp', loadBinary(8)],
  ['FLD_m80fp', loadExtended],
  ['FLD_STi', loadRegister],
  ['FILD_m16int', loadInteger(2)],
  ['FILD_m32int', loadInteger(4)],
  ['FILD_m64int', loadInteger(8)],
  ['FST_STi', storeRegister(false)],
  ['FSTP_STi', storeRegister(true)],
  ['FSTP_STi_D9', storeRegister(true)],
  ['FSTP_STi_DF_D0', storeRegister(true)],
  ['FSTP_STi_DF_D8', storeRegister(true)],
  ['FSTP_m80fp', storeExtended],
  ['FXCH', exchange],
  ['FLD1', (x87) => x87.push(ONE)],
  ['FLDZ', (x87) => x87.push(ZERO)],
  ['FCHS', changeSign((signExponent) => signExponent ^ 0x8000)],
  ['FABS', changeSign((signExponent) => signExponent & 0x7fff)],
  ['FINCSTP', moveTop(1)],
  ['FDECSTP', moveTop(-1)],
  ['FFREE', free(false)],
  ['FFREEP', free(true)],
  ['FNOP', () => undefined],
  ['FXAM', examine],
  ['FCMOVB', moveIf(RFLAGS.CF, true)],
  ['FCMOVE', moveIf(RFLAGS.ZF, true)],
  ['FCMOVBE', moveIf(RFLAGS.CF | RFLAGS.ZF, true)],
  ['FCMOVU', moveIf(RFLAGS.PF, true)],
  ['FCMOVNB', moveIf(RFLAGS.CF, false)],
  ['FCMOVNE', moveIf(RFLAGS.ZF, false)],
  ['FCMOVNBE', moveIf(RFLAGS.CF | RFLAGS.ZF, false)],
  ['FCMOVNU', moveIf(RFLAGS.PF, false)],
]);
