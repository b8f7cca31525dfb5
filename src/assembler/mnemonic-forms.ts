/** What NASM lets one write for a row besides the row itself: shorter operand lists, other orders, other names. */

import { type Encoding, encodingsByMnemonic } from '../instruction-set/index.js';
import type { InstructionStatement } from './instruction-statement.js';
import type { Operand, RegisterOperand } from './operand.js';
import { findRegister, type RegisterReference } from './registers.js';
import { constantValue } from './value.js';

const SYNONYMS: Readonly<Record<string, string>> = { INT03: 'INT3', UD2A: 'UD2', UD2B: 'UD1' };

/** RET, RETN and RETF with the operand size in the name. */
const SIZED_RETURN = /^(RETN?|RETF)([WDQ])$/;
const SIZE_OF_SUFFIX: Readonly<Record<string, number>> = { W: 16, D: 32, Q: 64 };

export interface MnemonicRows {
  readonly rows: readonly Encoding[];
  /** The mnemonic checks for pending x87 exceptions first: WAIT stands before the row's bytes. */
  readonly wait: boolean;
  /** Operand size that the name asks for, 0 when it does not. */
  readonly operandSize: number;
}

function findRows(mnemonic: string): MnemonicRows | undefined {
  const rows = encodingsByMnemonic(SYNONYMS[mnemonic] ?? mnemonic);
  if (rows.length > 0) return { rows, wait: false, operandSize: 0 };
  if (mnemonic.startsWith('F')) {
    const waiting = encodingsByMnemonic(`FN${mnemonic.slice(1)}`);
    if (waiting.length > 0) return { rows: waiting, wait: true, operandSize: 0 };
  }
  const sized = SIZED_RETURN.exec(mnemonic);
  if (sized === null) return undefined;
  return { rows: encodingsByMnemonic(sized[1]), wait: false, operandSize: SIZE_OF_SUFFIX[sized[2]] };
}

const CACHE = new Map<string, MnemonicRows | undefined>();

/** The rows that an upper-case mnemonic names, or undefined for no mnemonic. */
export function rowsOfMnemonic(mnemonic: string): MnemonicRows | undefined {
  if (!CACHE.has(mnemonic)) {
    const found = findRows(mnemonic);
    // Names that are no mnemonics are not remembered: a source can have any number of them.
    if (found === undefined) return undefined;
    CACHE.set(mnemonic, found);
  }
  return CACHE.get(mnemonic);
}

function registerOperand(register: RegisterReference): RegisterOperand {
  return { kind: 'register', register, size: 0, strict: false, distance: '', to: false, token: undefined };
}

const STACK_TOP = registerOperand(findRegister('st0')!);
const STACK_SECOND = registerOperand(findRegister('st1')!);

const isStackRegister = (operand: Operand): operand is RegisterOperand =>
  operand.kind === 'register' && operand.register.registerClass === 'st';

/** FADD and its relatives without operands pop, like FADDP. */
const X87_IMPLICIT_POP = /^F(ADD|MUL|SUBR?|DIVR?)$/;

/** x87 forms that leave the top of the stack out: `fadd st1`, `fadd to st1`, `faddp`. */
function completeX87(mnemonic: string, operands: readonly Operand[], rows: readonly Encoding[]): Operand[][] {
  const pops = mnemonic.endsWith('P') && !mnemonic.endsWith('IP');
  if (operands.length === 0) {
    if (X87_IMPLICIT_POP.test(mnemonic)) return [];
    const one = rows.some((row) => row.operands.length === 1 && row.operands[0].text === 'STi');
    return one ? [[STACK_SECOND]] : pops ? [[STACK_SECOND, STACK_TOP]] : [[STACK_TOP, STACK_SECOND]];
  }
  if (operands.length !== 1 || !isStackRegister(operands[0])) return [];
  const [operand] = operands;
  return operand.to || pops ? [[operand, STACK_TOP]] : [[STACK_TOP, operand]];
}

/** The lists of operands to try, best first. Earlier ones win where the encodings are equally long. */
export function operandForms(
  statement: InstructionStatement,
  rows: readonly Encoding[],
): (readonly Operand[])[] {
  const { mnemonic, operands } = statement;
  const forms: (readonly Operand[])[] = [operands];
  const [first, second] = operands;
  if (operands.length === 2 && (mnemonic === 'XCHG' || mnemonic === 'TEST')) {
    const swapped = [second, first];
    if (mnemonic === 'XCHG') forms.unshift(swapped);
    else forms.push(swapped);
  }
  if (
    mnemonic === 'IMUL' &&
    operands.length === 2 &&
    second.kind === 'immediate' &&
    first.kind === 'register'
  )
    forms.push([first, first, second]);
  if ((mnemonic === 'AAM' || mnemonic === 'AAD') && operands.length === 0)
    forms.push([
      {
        kind: 'immediate',
        value: constantValue(10n),
        size: 0,
        strict: false,
        distance: '',
        to: false,
        token: statement.token,
      },
    ]);
  if (rows[0].family === 'x87') forms.push(...completeX87(mnemonic, operands, rows));
  return forms;
}

/** The mnemonic that is meant when the written one has no row for its operands. */
export function fallbackMnemonic(statement: InstructionStatement): string | undefined {
  const { mnemonic, operands } = statement;
  // MOVSX of a doubleword is encoded as MOVSXD.
  if (mnemonic === 'MOVSX') return 'MOVSXD';
  if (operands.length === 0 && X87_IMPLICIT_POP.test(mnemonic)) return `${mnemonic}P`;
  return undefined;
}
