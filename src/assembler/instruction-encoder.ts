/** An instruction as written to bytes: candidates from the table, the shortest wins. */

import type { Encoding } from '../instruction-set/index.js';
import { AssemblyError, fail } from './assembly-error.js';
import { wantsRipRelative } from './effective-address.js';
import type { CodeSize, EncodingContext, InstructionStatement, Prefixes } from './instruction-statement.js';
import { fallbackMnemonic, type MnemonicRows, operandForms, rowsOfMnemonic } from './mnemonic-forms.js';
import type { ImmediateOperand, MemoryOperand, Operand } from './operand.js';
import { findRegister } from './registers.js';
import { type EncodedInstruction, encodeRow } from './row-encoder.js';
import {
  defaultOperandSize,
  isMemorySizeAmbiguous,
  isSizePinned,
  isValidIn,
  matchRow,
  writtenForms,
} from './row-matching.js';

interface Candidate {
  readonly row: Encoding;
  readonly operands: readonly Operand[];
}

interface Search {
  readonly candidates: Candidate[];
  /** The nearest miss, for the message. */
  sizeMismatch: boolean;
  otherMode: boolean;
}

function search(
  found: MnemonicRows,
  statement: InstructionStatement,
  prefixes: Prefixes,
  codeSize: CodeSize,
  relaxed: boolean,
): Search {
  const result: Search = { candidates: [], sizeMismatch: false, otherMode: false };
  for (const operands of operandForms(statement, found.rows)) {
    for (const row of found.rows) {
      const match = matchRow(row, operands, codeSize, relaxed);
      if (match === 'none') continue;
      if (!isValidIn(row, codeSize)) {
        if (match === 'match') result.otherMode = true;
        continue;
      }
      const sizeWanted = prefixes.operandSize;
      if (match === 'size' || (sizeWanted !== 0 && row.operandSize !== 0 && row.operandSize !== sizeWanted))
        result.sizeMismatch = true;
      else result.candidates.push({ row, operands });
    }
  }
  return result;
}

/** Where nothing written says which operand size is meant, the code's own is. */
function preferDefaultSize(
  candidates: Candidate[],
  prefixes: Prefixes,
  codeSize: CodeSize,
  lastResort: boolean,
): Candidate[] {
  if (prefixes.operandSize !== 0) return candidates;
  const settled = candidates.filter(
    ({ row, operands }) =>
      row.operandSize === 0 ||
      row.operandSize === defaultOperandSize(row, codeSize) ||
      isSizePinned(row, operands),
  );
  return settled.length > 0 || !lastResort ? settled : candidates;
}

/** The memory operand that a row takes as a plain offset (MOV AL, moffs8), or undefined. */
function offsetOperand({ row, operands }: Candidate): MemoryOperand | undefined {
  const operand = operands[writtenForms(row).findIndex((form) => form.slot === 'offset')];
  return operand?.kind === 'memory' ? operand : undefined;
}

/** In 64-bit code the form with an offset must be asked for, by `[qword address]` or A32: it is the longer one. */
function isOffsetWanted(operand: MemoryOperand, prefixes: Prefixes, context: EncodingContext): boolean {
  if (context.codeSize !== 64) return true;
  const { address } = operand;
  if (wantsRipRelative(address, context.codeSize, context.defaultRelative)) return false;
  return address.displacementSize === 64 || prefixes.addressSize === 32;
}

/** Drops offsets that nobody asked for, or everything else when someone did ask. */
function chooseOffset(candidates: Candidate[], prefixes: Prefixes, context: EncodingContext): Candidate[] {
  const wanted = candidates.filter((candidate) => {
    const operand = offsetOperand(candidate);
    return operand !== undefined && isOffsetWanted(operand, prefixes, context);
  });
  return wanted.length > 0
    ? wanted
    : candidates.filter((candidate) => offsetOperand(candidate) === undefined);
}

/** In the relaxed search the widest immediate loses least. */
function keepWidestImmediate(candidates: Candidate[]): Candidate[] {
  const width = ({ row }: Candidate): number =>
    Math.max(0, ...writtenForms(row).map((form) => form.encodedWidth));
  const widest = Math.max(...candidates.map(width));
  return candidates.filter((candidate) => width(candidate) === widest);
}

/** A short branch whose target is known to be out of its reach. */
function isOutOfReach(candidate: Candidate, encoded: EncodedInstruction, context: EncodingContext): boolean {
  const position = writtenForms(candidate.row).findIndex(
    (form) => form.slot === 'relative' && form.encodedWidth === 8,
  );
  if (position < 0) return false;
  const operand = candidate.operands[position] as ImmediateOperand;
  if (operand.strict && operand.distance !== 'short') return true;
  if (context.mustStayLong) return true;
  if (operand.value.unknown) return false;
  const [base] = operand.value.bases;
  if (base === undefined || base.of !== context.base || operand.value.bases.length > 1) return true;
  const distance = operand.value.constant - BigInt(context.offset + encoded.bytes.length);
  return distance < -128n || distance > 127n;
}

/** Shorter is better; of `D8` and `DC` for ST0 with itself NASM takes the one that names ST0 last. */
function isBetter(encoded: EncodedInstruction, candidate: Candidate, best: EncodedInstruction): boolean {
  if (encoded.bytes.length !== best.bytes.length) return encoded.bytes.length < best.bytes.length;
  return candidate.row.operands.map((form) => form.text).join() === 'STi,ST0';
}

/** Encodes every candidate and gives the shortest; a candidate that can't be encoded drops out. */
function shortest(
  candidates: readonly Candidate[],
  prefixes: Prefixes,
  context: EncodingContext,
  relaxed: boolean,
): EncodedInstruction | undefined {
  let best: EncodedInstruction | undefined;
  let failure: unknown;
  for (const candidate of candidates) {
    try {
      const encoded = encodeRow(candidate.row, candidate.operands, prefixes, context);
      if (!relaxed && isOutOfReach(candidate, encoded, context)) continue;
      if (best === undefined || isBetter(encoded, candidate, best)) best = encoded;
    } catch (error) {
      if (!(error instanceof AssemblyError)) throw error;
      failure ??= error;
    }
  }
  if (best === undefined && failure !== undefined) throw failure;
  return best;
}

/** An immediate whose upper half is zero, so that writing a 32-bit register gives it in full. */
function isUpperHalfZero(operand: Operand): boolean {
  if (operand.kind !== 'immediate' || operand.strict || (operand.size !== 0 && operand.size !== 64))
    return false;
  const { constant, bases, unknown } = operand.value;
  return unknown || (bases.length === 0 && BigInt.asUintN(32, constant) === constant);
}

const isSegmentRegister = (operand: Operand): boolean =>
  operand.kind === 'register' && operand.register.registerClass === 'segment';

/** Instructions whose 64-bit result is a zero-extended one: the 32-bit form is shorter and does the same. */
function narrowed(statement: InstructionStatement): InstructionStatement | undefined {
  const { mnemonic, operands } = statement;
  const [target, source] = operands;
  if (target?.kind !== 'register' || target.register.registerClass !== 'gpr64') return undefined;
  const isMove = mnemonic === 'MOV' && operands.length === 2;
  const storesSelector =
    (mnemonic === 'SLDT' && operands.length === 1) || (isMove && isSegmentRegister(source));
  if (!storesSelector && !(isMove && isUpperHalfZero(source))) return undefined;
  const name = target.register.number < 8 ? `e${target.register.name.slice(1)}` : `${target.register.name}d`;
  const register = findRegister(name)!;
  const rest = operands.slice(1).map((operand) => ({ ...operand, size: 0 }));
  return { ...statement, operands: [{ ...target, register }, ...rest] };
}

function failToMatch(
  statement: InstructionStatement,
  sizeMismatch: boolean,
  otherMode: boolean,
  codeSize: number,
): never {
  const { token, mnemonic } = statement;
  if (sizeMismatch) fail('operand-size', 'mismatch in operand sizes', token);
  if (otherMode) fail('mode', `instruction not supported in ${codeSize}-bit mode`, token);
  return fail('operands', `invalid combination of operands for ${mnemonic.toLowerCase()}`, token);
}

function encodeWith(
  found: MnemonicRows,
  statement: InstructionStatement,
  context: EncodingContext,
): EncodedInstruction | Search {
  const prefixes: Prefixes = {
    ...statement.prefixes,
    wait: statement.prefixes.wait || found.wait,
    operandSize: found.operandSize || statement.prefixes.operandSize,
  };
  const { codeSize } = context;
  for (const relaxed of [false, true]) {
    const result = search(found, statement, prefixes, codeSize, relaxed);
    const { candidates } = result;
    if (relaxed && candidates.length === 0) return result;
    const memory = statement.operands.find((operand) => operand.kind === 'memory');
    const rows = candidates.filter(({ operands }) => operands.length === statement.operands.length);
    if (
      memory !== undefined &&
      isMemorySizeAmbiguous(
        rows.map(({ row }) => row),
        rows[0]?.operands ?? [],
      )
    )
      fail('operand-size', 'operation size not specified', memory.token);
    const usable = chooseOffset(relaxed ? keepWidestImmediate(candidates) : candidates, prefixes, context);
    const settled = preferDefaultSize(usable, prefixes, codeSize, relaxed);
    const best = shortest(settled, prefixes, context, relaxed);
    if (best !== undefined) return best;
  }
  return { candidates: [], sizeMismatch: false, otherMode: false };
}

/** LOOP with its counter as second operand: the counter's width is the address size. */
function withLoopCounter(statement: InstructionStatement): InstructionStatement {
  const [target, counter] = statement.operands;
  if (!statement.mnemonic.startsWith('LOOP') || counter?.kind !== 'register' || counter.register.number !== 1)
    return statement;
  const addressSize = counter.register.width;
  return { ...statement, operands: [target], prefixes: { ...statement.prefixes, addressSize } };
}

/** The bytes of an instruction and the fields in it that wait for addresses. */
export function encodeInstruction(
  written: InstructionStatement,
  context: EncodingContext,
): EncodedInstruction {
  const statement = withLoopCounter(written);
  const found = rowsOfMnemonic(statement.mnemonic);
  if (found === undefined)
    fail('unknown-instruction', `unknown instruction '${statement.token.text}'`, statement.token);
  const shorter = context.codeSize === 64 ? narrowed(statement) : undefined;
  if (shorter !== undefined) return encodeInstruction(shorter, context);
  const result = encodeWith(found, statement, context);
  if ('bytes' in result) return result;
  const fallback = fallbackMnemonic(statement);
  if (fallback !== undefined) {
    const other = encodeWith(rowsOfMnemonic(fallback)!, { ...statement, mnemonic: fallback }, context);
    if ('bytes' in other) return other;
  }
  return failToMatch(statement, result.sizeMismatch, result.otherMode, context.codeSize);
}
