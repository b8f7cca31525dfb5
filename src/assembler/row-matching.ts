/** Which rows of the table of encodings an instruction as written can mean. */

import type { Encoding, OperandForm } from '../instruction-set/index.js';
import type { CodeSize } from './instruction-statement.js';
import type { ImmediateOperand, MemoryOperand, Operand, RegisterOperand } from './operand.js';

/** `size`: only the size of an operand stands against the row. */
export type MatchResult = 'match' | 'size' | 'none';

const FAR_MEMORY = /^m16:/;

function isFarBranchThroughMemory(row: Encoding): boolean {
  return row.family === 'control-transfer' && FAR_MEMORY.test(row.operands[0]?.text ?? '');
}

/** Operand size that is meant where nothing written says one: mostly the processor's default. */
export function defaultOperandSize(row: Encoding, codeSize: CodeSize): number {
  if (codeSize !== 64) return codeSize;
  // Without a size, NASM means the far pointer with a 64-bit offset.
  if (isFarBranchThroughMemory(row)) return 64;
  return row.default64 || row.forced64 ? 64 : 32;
}

/** Operands that assembly text writes: where a memory operand is implied (strings, XLAT), it writes none at all. */
export function writtenForms(row: Encoding): readonly OperandForm[] {
  return row.operands.some((form) => form.slot === 'implicit' && form.memory) ? [] : row.operands;
}

export function isValidIn(row: Encoding, codeSize: CodeSize): boolean {
  return codeSize === 64 ? row.valid64 : codeSize === 32 ? row.valid32 : row.valid16;
}

function matchRegister(form: OperandForm, operand: RegisterOperand, row: Encoding): MatchResult {
  const { registerClass, number } = operand.register;
  if (form.registerClass === undefined) return 'none';
  if (form.registerClass !== registerClass) {
    const general = (name: string): boolean => name.startsWith('gpr');
    if (!general(form.registerClass) || !general(registerClass)) return 'none';
    return takesWiderSelector(form, operand, row) ? 'match' : 'none';
  }
  if (form.fixedRegister >= 0 && form.fixedRegister !== number) return 'none';
  if (form.slot !== 'implicit' && row.modrmMode === 'memory' && form.slot === 'rm') return 'none';
  return 'match';
}

/** A selector may come from a register of any width: only its low 16 bits count. */
function takesWiderSelector(form: OperandForm, operand: RegisterOperand, row: Encoding): boolean {
  const loadsSelector =
    row.operands[0].registerClass === 'segment' || row.mnemonic === 'LAR' || row.mnemonic === 'LSL';
  return loadsSelector && form.text === 'r/m16' && operand.register.width >= 32;
}

function matchMemory(form: OperandForm, operand: MemoryOperand, row: Encoding): MatchResult {
  if (!form.memory || form.slot === 'implicit') return 'none';
  const far = FAR_MEMORY.test(form.text);
  if (row.mnemonic === 'JMP' || row.mnemonic === 'CALL') {
    if (far !== (operand.distance === 'far')) return 'none';
    if (far && operand.size !== 0 && operand.size !== form.width - 16) return 'size';
    if (far) return 'match';
  }
  if (form.slot === 'offset' && operand.address.value.registers.length > 0) return 'none';
  const anySize = form.width === 0 || form.width > 128 || (form.access === 'n' && row.operandSize === 0);
  return operand.size === 0 || anySize || operand.size === form.width ? 'match' : 'size';
}

interface ImmediateSituation {
  readonly row: Encoding;
  readonly codeSize: CodeSize;
  /** A memory operand without a size takes the size of the immediate. */
  readonly memoryWithoutSize: boolean;
  /** Accept sign-extended forms that can't hold the value. */
  readonly relaxed: boolean;
}

/** PUSH of a doubleword in 64-bit code is the push of a quadword whose immediate is sign-extended. */
function isLongPush({ row, codeSize }: ImmediateSituation, size: number): boolean {
  return row.mnemonic === 'PUSH' && codeSize === 64 && row.operandSize === 64 && size === 32;
}

function matchImmediate(
  form: OperandForm,
  operand: ImmediateOperand,
  situation: ImmediateSituation,
): MatchResult {
  if (operand.distance === 'far') return 'none';
  const { size, strict } = operand;
  if (size !== 0) {
    const right = situation.memoryWithoutSize
      ? size === form.width
      : strict
        ? size === form.encodedWidth
        : size === form.width || size === form.encodedWidth || isLongPush(situation, size);
    if (!right) return 'size';
  } else if (strict && form.signExtended && (form.encodedWidth === 8 || !situation.relaxed)) {
    return 'none';
  }
  return situation.relaxed || immediateFits(form, operand) ? 'match' : 'none';
}

/** Does the sign-extended form give the value back? Values that no pass knows yet are taken for small. */
function immediateFits(form: OperandForm, operand: ImmediateOperand): boolean {
  if (!form.signExtended || operand.value.unknown) return true;
  if (operand.size === form.encodedWidth && (operand.strict || operand.size === 8)) return true;
  if (operand.value.bases.length > 0) return false;
  const { constant } = operand.value;
  if (form.encodedWidth === 32) return BigInt.asIntN(32, constant) === constant;
  // NASM looks at 32 bits for 64-bit operands too; the value is then reported as out of range.
  const width = form.width === 16 ? 16 : 32;
  return BigInt.asUintN(width, constant + 128n) <= 255n;
}

function matchRelative(form: OperandForm, operand: ImmediateOperand, row: Encoding): MatchResult {
  if (operand.distance === 'far') return 'none';
  if (form.encodedWidth === 8) return operand.distance === 'near' || operand.size > 8 ? 'none' : 'match';
  if (operand.distance === 'short') return 'none';
  return operand.size === 0 || operand.size === row.operandSize ? 'match' : 'size';
}

function matchImplicitOne(operand: Operand): MatchResult {
  if (operand.kind !== 'immediate' || operand.strict) return 'none';
  const { constant, bases, unknown } = operand.value;
  return unknown || (constant === 1n && bases.length === 0) ? 'match' : 'none';
}

function matchOperand(form: OperandForm, operand: Operand, situation: ImmediateSituation): MatchResult {
  const { row } = situation;
  if (operand.kind === 'register') return matchRegister(form, operand, row);
  if (operand.kind === 'memory') return matchMemory(form, operand, row);
  if (operand.kind === 'far-pointer') {
    if (form.slot !== 'far') return 'none';
    return operand.size === 0 || operand.size === form.encodedWidth - 16 ? 'match' : 'size';
  }
  if (form.text === '1') return matchImplicitOne(operand);
  if (form.slot === 'relative') return matchRelative(form, operand, row);
  return form.slot === 'immediate' ? matchImmediate(form, operand, situation) : 'none';
}

/** In 64-bit code 90 is NOP, while XCHG EAX, EAX clears the upper half of RAX. */
function isTruncatingNop(row: Encoding, operands: readonly Operand[], codeSize: CodeSize): boolean {
  if (row.mnemonic !== 'XCHG' || !row.opcodeRegister || codeSize !== 64 || row.operandSize !== 32)
    return false;
  return operands.every((operand) => operand.kind === 'register' && operand.register.number === 0);
}

/** Compares operands with a row; `relaxed` accepts immediates that the row can only hold cut off. */
export function matchRow(
  row: Encoding,
  operands: readonly Operand[],
  codeSize: CodeSize,
  relaxed: boolean,
): MatchResult {
  const forms = writtenForms(row);
  if (forms.length !== operands.length || isTruncatingNop(row, operands, codeSize)) return 'none';
  const memoryWithoutSize = operands.some((operand) => operand.kind === 'memory' && operand.size === 0);
  const situation = { row, codeSize, memoryWithoutSize, relaxed };
  let result: MatchResult = 'match';
  for (const [position, form] of forms.entries()) {
    const one = matchOperand(form, operands[position], situation);
    if (one === 'none') return 'none';
    if (one === 'size') result = 'size';
  }
  return result;
}

/** An operand as written says by itself that the row's operand size is meant. */
export function isSizePinned(row: Encoding, operands: readonly Operand[]): boolean {
  const size = row.operandSize;
  return writtenForms(row).some((form, position) => {
    const operand = operands[position];
    if (operand.kind === 'register') return form.width === size;
    if (operand.size === 0) return false;
    if (form.slot === 'far' || FAR_MEMORY.test(form.text)) return form.width - 16 === size;
    return form.slot === 'relative' || form.width === size || form.encodedWidth === size;
  });
}

/** Without a size the memory operand could be meant with several widths, and the processor has no default for it. */
export function isMemorySizeAmbiguous(rows: readonly Encoding[], operands: readonly Operand[]): boolean {
  const position = operands.findIndex((operand) => operand.kind === 'memory' && operand.size === 0);
  if (position < 0 || rows.length < 2) return false;
  if (rows.some((row) => row.family === 'control-transfer')) return false;
  const forms = rows.map((row) => writtenForms(row)[position]);
  if (forms.some((form) => form.text.endsWith('byte'))) return false;
  return new Set(forms.map((form) => form.width)).size > 1;
}
