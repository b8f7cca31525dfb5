/**
 * Expressions: precedence and meaning of NASM's operators over tokens whose macros are expanded.
 * Arithmetic is 64 bits wide; `/` and `%` are unsigned, `//` and `%%` signed, `>>` logical, `>>>` arithmetic.
 */

import { fail } from './assembly-error.js';
import { isFloatFunction, parseFloatFunction } from './float-literals.js';
import { bytesToInteger } from './literals.js';
import { findRegister, type RegisterReference } from './registers.js';
import { keywordText, operatorText, type Token } from './token.js';
import type { TokenCursor } from './token-cursor.js';
import { addValues, constantValue, isScalar, requireScalar, scaleValue, type Value } from './value.js';

export interface ExpressionEnvironment {
  /** Value of a symbol; unknown ones give an unknown value or fail, as the pass demands. */
  lookUpSymbol(token: Token): Value;
  /** `$`: the start of the current statement. */
  here(): Value;
  /** `$$`: the start of the current section. */
  sectionStart(): Value;
}

/** Which register NASM prefers as base of an effective address, from the way the expression is written. */
export interface BaseHint {
  register: RegisterReference | undefined;
  kind: 'none' | 'base' | 'not-base' | 'summed';
}

const MAXIMUM_DEPTH = 200;
const MASK_64 = (1n << 64n) - 1n;

const unsigned = (value: bigint): bigint => BigInt.asUintN(64, value);
const truth = (condition: boolean): bigint => (condition ? 1n : 0n);

type BinaryOperation = (left: bigint, right: bigint) => bigint;

/** Operators on plain numbers from the loosest to the tightest; sums and products follow in their own functions. */
const LEVELS: readonly Record<string, BinaryOperation>[] = [
  { '||': (a, b) => truth(a !== 0n || b !== 0n) },
  { '^^': (a, b) => truth((a !== 0n) !== (b !== 0n)) },
  { '&&': (a, b) => truth(a !== 0n && b !== 0n) },
  {
    '=': (a, b) => truth(a === b),
    '==': (a, b) => truth(a === b),
    '!=': (a, b) => truth(a !== b),
    '<>': (a, b) => truth(a !== b),
    '<': (a, b) => truth(a < b),
    '<=': (a, b) => truth(a <= b),
    '>': (a, b) => truth(a > b),
    '>=': (a, b) => truth(a >= b),
    '<=>': (a, b) => (a < b ? -1n : a > b ? 1n : 0n),
  },
  { '|': (a, b) => a | b },
  { '^': (a, b) => a ^ b },
  { '&': (a, b) => a & b },
  {
    '<<': (a, b) => a << (b & 63n),
    '<<<': (a, b) => a << (b & 63n),
    '>>': (a, b) => unsigned(a) >> (b & 63n),
    '>>>': (a, b) => a >> (b & 63n),
  },
];

const COMPARISON_LEVEL = 3;

const DIVISIONS: Record<string, BinaryOperation> = {
  '/': (a, b) => unsigned(a) / unsigned(b),
  '//': (a, b) => a / b,
  '%': (a, b) => unsigned(a) % unsigned(b),
  '%%': (a, b) => a % b,
};

export class ExpressionParser {
  readonly hint: BaseHint = { register: undefined, kind: 'none' };
  private readonly cursor: TokenCursor;
  private readonly environment: ExpressionEnvironment;
  private depth = 0;

  constructor(cursor: TokenCursor, environment: ExpressionEnvironment) {
    this.cursor = cursor;
    this.environment = environment;
  }

  /** Reads the longest expression at the cursor. */
  parse(): Value {
    if (++this.depth > MAXIMUM_DEPTH)
      fail('expression-too-deep', 'expression is nested too deeply', this.cursor.peek());
    const value = this.conditional();
    this.depth--;
    return value;
  }

  private conditional(): Value {
    const condition = this.level(0);
    const question = this.cursor.peek();
    if (operatorText(question) !== '?') return condition;
    this.cursor.next();
    const whenTrue = this.parse();
    if (!this.cursor.takeOperator(':'))
      fail('expression', "expected ':' of the conditional operator", this.place());
    const whenFalse = this.parse();
    return requireScalar(condition, 'the condition', question) !== 0n ? whenTrue : whenFalse;
  }

  private level(index: number): Value {
    if (index === LEVELS.length) return this.sum();
    const operations = LEVELS[index];
    let left = this.level(index + 1);
    for (;;) {
      const operator = this.cursor.peek();
      const text = operatorText(operator);
      const operation = Object.hasOwn(operations, text) ? operations[text] : undefined;
      if (operation === undefined) return left;
      this.cursor.next();
      const right = this.level(index + 1);
      if (index === COMPARISON_LEVEL) left = this.compare(left, right, operation, operator);
      else left = this.combine(left, right, operation, operator);
    }
  }

  /** Addresses of one section compare by their distance. */
  private compare(left: Value, right: Value, operation: BinaryOperation, operator: Token | undefined): Value {
    const difference = addValues(left, right, -1n);
    if (!isScalar(difference))
      fail('not-a-number', 'only addresses of the same section can be compared', operator);
    if (left.bases.length === 0 && right.bases.length === 0)
      return this.combine(left, right, operation, operator);
    return { ...constantValue(operation(difference.constant, 0n)), unknown: difference.unknown };
  }

  private combine(left: Value, right: Value, operation: BinaryOperation, operator: Token | undefined): Value {
    const what = `an operand of '${operatorText(operator)}'`;
    const a = requireScalar(left, what, operator);
    const b = requireScalar(right, what, operator);
    return { ...constantValue(operation(a, b)), unknown: left.unknown || right.unknown };
  }

  private sum(): Value {
    let left = this.product();
    for (;;) {
      const text = operatorText(this.cursor.peek());
      if (text !== '+' && text !== '-') return left;
      this.cursor.next();
      const right = this.product();
      if (text === '+') this.noteSummedBase(left, right);
      left = addValues(left, right, text === '+' ? 1n : -1n);
    }
  }

  private noteSummedBase(left: Value, right: Value): void {
    const { register, kind } = this.hint;
    const holds = (value: Value): boolean => value.registers.some((term) => term.of === register);
    if (kind === 'base' && holds(left) && holds(right)) this.hint.kind = 'summed';
  }

  private product(): Value {
    let left = this.unary();
    for (;;) {
      const operator = this.cursor.peek();
      const text = operatorText(operator);
      if (text === '*') {
        this.cursor.next();
        const right = this.unary();
        left = this.multiply(left, right, operator);
      } else if (Object.hasOwn(DIVISIONS, text)) {
        this.cursor.next();
        left = this.divide(left, this.unary(), operator);
      } else {
        return left;
      }
    }
  }

  private multiply(left: Value, right: Value, operator: Token | undefined): Value {
    if (!isScalar(left) && !isScalar(right))
      fail('not-a-number', "one operand of '*' must be a plain number", operator);
    const [vector, factor] = isScalar(left) ? [right, left] : [left, right];
    const { register, kind } = this.hint;
    if (kind === 'base' && vector.registers.some((term) => term.of === register)) this.hint.kind = 'not-base';
    return { ...scaleValue(vector, factor.constant), unknown: left.unknown || right.unknown };
  }

  private divide(left: Value, right: Value, operator: Token | undefined): Value {
    if (right.unknown) {
      this.combine(left, right, (a) => a, operator);
      return { ...constantValue(0n), unknown: true };
    }
    if (isScalar(right) && right.constant === 0n) fail('division-by-zero', 'division by zero', operator);
    return this.combine(left, right, DIVISIONS[operatorText(operator)], operator);
  }

  private unary(): Value {
    if (++this.depth > MAXIMUM_DEPTH)
      fail('expression-too-deep', 'expression is nested too deeply', this.cursor.peek());
    const value = this.unaryOrPrimary();
    this.depth--;
    return value;
  }

  private unaryOrPrimary(): Value {
    const operator = this.cursor.peek();
    switch (operatorText(operator)) {
      case '-':
        this.cursor.next();
        return scaleValue(this.unary(), -1n);
      case '+':
        this.cursor.next();
        return this.unary();
      case '~':
        this.cursor.next();
        return this.combine(this.unary(), constantValue(0n), (a) => a ^ MASK_64, operator);
      case '!':
        this.cursor.next();
        return this.combine(this.unary(), constantValue(0n), (a) => truth(a === 0n), operator);
      default:
        return this.primary();
    }
  }

  private place(): Token | undefined {
    return this.cursor.peek() ?? this.cursor.last();
  }

  private primary(): Value {
    const token = this.cursor.peek();
    if (token === undefined) fail('expression', 'expression ends too early', this.place());
    switch (token.kind) {
      case 'integer':
        this.cursor.next();
        return constantValue(token.value as bigint);
      case 'string':
        this.cursor.next();
        return constantValue(bytesToInteger(token.bytes as Uint8Array));
      case 'identifier':
        return this.name(token);
      case 'invalid':
        return fail('invalid-token', token.message as string, token);
      case 'float':
        return fail('expression', 'a floating-point constant can only stand in DW, DD, DQ, DT and DO', token);
      case 'preprocessor':
        return fail('expression', `'${token.text}' has no meaning here`, token);
      default:
        return this.punctuation(token);
    }
  }

  private punctuation(token: Token): Value {
    this.cursor.next();
    if (token.text === '$') return this.environment.here();
    if (token.text === '$$') return this.environment.sectionStart();
    if (token.text === '(') {
      const value = this.parse();
      if (!this.cursor.takeOperator(')')) fail('expression', "missing ')'", this.place());
      return value;
    }
    return fail('expression', `expression expected before '${token.text}'`, token);
  }

  private name(token: Token): Value {
    this.cursor.next();
    const keyword = keywordText(token);
    const register = keyword === '' ? undefined : findRegister(keyword);
    if (register !== undefined) {
      if (this.hint.kind === 'none') {
        this.hint.kind = 'base';
        this.hint.register = register;
      }
      return { ...constantValue(0n), registers: [{ of: register, factor: 1n }] };
    }
    if (keyword === 'seg')
      fail('unsupported', 'SEG is not supported: no output format here has segments', token);
    if (isFloatFunction(keyword)) return constantValue(parseFloatFunction(this.cursor, token));
    return this.environment.lookUpSymbol(token);
  }
}
