/** One operand of a row, in the manual's notation, turned into an `OperandForm`. */

import type { RegisterClass } from '../architecture/registers.js';
import type { OperandAccess, OperandForm, OperandSlot } from './encoding.js';

/** What the pattern of the row says about where operands may be encoded. */
export interface OperandContext {
  /** Operand size of the row in bits, 0 when it has none. */
  readonly operandSize: number;
  /** The pattern ends its opcode with `+r`. */
  readonly opcodeRegister: boolean;
  /** The pattern has `/r`; false for `/0` … `/7`. */
  readonly modrmHasRegister: boolean;
  /** Another operand of the row already takes ModRM.reg or ModRM.rm. */
  readonly regTaken: boolean;
  readonly rmTaken: boolean;
}

const IMPLICIT_REGISTERS: Readonly<Record<string, readonly [RegisterClass, number, number]>> = {
  AL: ['gpr8', 0, 8],
  CL: ['gpr8', 1, 8],
  AX: ['gpr16', 0, 16],
  DX: ['gpr16', 2, 16],
  EAX: ['gpr32', 0, 32],
  RAX: ['gpr64', 0, 64],
  ES: ['segment', 0, 16],
  CS: ['segment', 1, 16],
  SS: ['segment', 2, 16],
  DS: ['segment', 3, 16],
  FS: ['segment', 4, 16],
  GS: ['segment', 5, 16],
  ST0: ['st', 0, 80],
};

const GENERAL_REGISTERS: Readonly<Record<string, RegisterClass>> = {
  '8': 'gpr8',
  '16': 'gpr16',
  '32': 'gpr32',
  '64': 'gpr64',
};

/** Memory operands whose width is not simply the number behind the `m`. */
const MEMORY_WIDTHS: Readonly<Record<string, number>> = {
  m: 0,
  'm16&16': 32,
  'm32&32': 64,
  'm16&32': 48,
  'm16&64': 80,
  'm16:16': 32,
  'm16:32': 48,
  'm16:64': 80,
};

const MEMORY = /^m(\d+)(fp|int|bcd)?$/;
const MEMORY_IN_BYTES = /^m(\d+)byte$/;
const REGISTER = /^r(8|16|32|64)$/;
const REGISTER_OR_MEMORY = /^r\/m(8|16|32|64)$/;
const IMMEDIATE = /^(s?)imm(8|16|32|64)$/;

function form(
  text: string,
  slot: OperandSlot,
  access: OperandAccess,
  rest: Partial<Omit<OperandForm, 'text' | 'slot' | 'access'>>,
): OperandForm {
  return {
    text,
    slot,
    registerClass: rest.registerClass,
    fixedRegister: rest.fixedRegister ?? -1,
    memory: rest.memory ?? false,
    width: rest.width ?? 0,
    encodedWidth: rest.encodedWidth ?? 0,
    signExtended: rest.signExtended ?? false,
    access,
  };
}

function memoryWidth(text: string): number | undefined {
  const known = MEMORY_WIDTHS[text];
  if (known !== undefined) return known;
  const inBytes = MEMORY_IN_BYTES.exec(text);
  if (inBytes) return Number(inBytes[1]) * 8;
  const match = MEMORY.exec(text);
  return match ? Number(match[1]) : undefined;
}

/** ModRM.reg for Sreg, CRn, DRn; the free one of reg and rm for a general register. */
function registerSlot(context: OperandContext): OperandSlot {
  if (context.opcodeRegister) return 'opcode';
  if (!context.modrmHasRegister || context.regTaken) return 'rm';
  return 'reg';
}

/** True for operands that can only be encoded in ModRM.rm, or only in ModRM.reg. */
export function fixedModrmSlot(text: string): 'reg' | 'rm' | undefined {
  if (text === 'Sreg' || text === 'CRn' || text === 'DRn') return 'reg';
  if (REGISTER_OR_MEMORY.test(text) || text === 'STi') return 'rm';
  return memoryWidth(text) !== undefined ? 'rm' : undefined;
}

/**
 * @param text one operand with its size already filled in: `r/m32`, `simm8`, `ES:[rDI]`.
 *   `simmN` is an immN that is sign-extended to the operand size.
 * @returns undefined when the notation is unknown.
 */
export function parseOperand(
  text: string,
  access: OperandAccess,
  context: OperandContext,
): OperandForm | undefined {
  const implicit = IMPLICIT_REGISTERS[text];
  if (implicit) {
    const [registerClass, fixedRegister, width] = implicit;
    return form(text, 'implicit', access, { registerClass, fixedRegister, width });
  }
  if (text === '1') return form(text, 'implicit', access, { width: 8 });
  if (/^[ED]S:\[r(SI|DI|BX\+AL)\]$/.test(text))
    return form(text, 'implicit', access, { memory: true, width: context.operandSize || 8 });
  if (text === 'Sreg') return form(text, 'reg', access, { registerClass: 'segment', width: 16 });
  if (text === 'CRn' || text === 'DRn')
    return form(text, 'reg', access, {
      registerClass: text === 'CRn' ? 'control' : 'debug',
      width: context.operandSize,
    });
  if (text === 'STi') return form(text, 'rm', access, { registerClass: 'st', width: 80 });

  const register = REGISTER.exec(text);
  if (register)
    return form(text, registerSlot(context), access, {
      registerClass: GENERAL_REGISTERS[register[1]]!,
      width: Number(register[1]),
    });
  const registerOrMemory = REGISTER_OR_MEMORY.exec(text);
  if (registerOrMemory)
    return form(text, 'rm', access, {
      registerClass: GENERAL_REGISTERS[registerOrMemory[1]]!,
      memory: true,
      width: Number(registerOrMemory[1]),
    });
  const immediate = IMMEDIATE.exec(text);
  if (immediate) {
    const encodedWidth = Number(immediate[2]);
    const signExtended = immediate[1] === 's';
    return form(`imm${immediate[2]}`, 'immediate', access, {
      width: signExtended ? context.operandSize : encodedWidth,
      encodedWidth,
      signExtended,
    });
  }
  const relative = /^rel(8|16|32)$/.exec(text);
  if (relative)
    return form(text, 'relative', access, {
      width: context.operandSize,
      encodedWidth: Number(relative[1]),
      signExtended: true,
    });
  const far = /^ptr16:(16|32)$/.exec(text);
  if (far)
    return form(text, 'far', access, {
      width: 16 + Number(far[1]),
      encodedWidth: 16 + Number(far[1]),
    });
  const offset = /^moffs(8|16|32|64)$/.exec(text);
  if (offset) return form(text, 'offset', access, { memory: true, width: Number(offset[1]) });

  const width = memoryWidth(text);
  return width === undefined ? undefined : form(text, 'rm', access, { memory: true, width });
}
