/**
 * Typed WebAssembly expressions as trees. An expression is evaluated where the statement that uses it is
 * emitted, and once for every use: bind it to a local before using it twice.
 */

export type ValueType = 'i32' | 'i64' | 'v128';

/** One node of an expression tree. */
export type Node =
  | { readonly kind: 'constant'; readonly type: ValueType; readonly value: bigint }
  | { readonly kind: 'local'; readonly type: ValueType; readonly index: number }
  | { readonly kind: 'operation'; readonly opcode: number; readonly operands: readonly Node[] }
  | { readonly kind: 'load'; readonly opcode: number; readonly address: Node; readonly offset: number }
  | { readonly kind: 'call'; readonly functionIndex: number; readonly operands: readonly Node[] }
  | { readonly kind: 'select'; readonly condition: Node; readonly whenTrue: Node; readonly whenFalse: Node };

/** Added to the number of an operation on vectors, which has a prefix byte of its own. */
export const VECTOR_OPERATION = 0xfd00;

const operation = (opcode: number, ...operands: Node[]): Node => ({ kind: 'operation', opcode, operands });

/** A 32-bit integer; conditions are 0 or 1. */
export class I32 {
  readonly node: Node;
  constructor(node: Node) {
    this.node = node;
  }

  add(other: I32 | number): I32 {
    return this.binary(0x6a, other);
  }
  subtract(other: I32 | number): I32 {
    return this.binary(0x6b, other);
  }
  multiply(other: I32 | number): I32 {
    return this.binary(0x6c, other);
  }
  and(other: I32 | number): I32 {
    return this.binary(0x71, other);
  }
  or(other: I32 | number): I32 {
    return this.binary(0x72, other);
  }
  xor(other: I32 | number): I32 {
    return this.binary(0x73, other);
  }
  shiftLeft(count: I32 | number): I32 {
    return this.binary(0x74, count);
  }
  shiftRightSigned(count: I32 | number): I32 {
    return this.binary(0x75, count);
  }
  shiftRightUnsigned(count: I32 | number): I32 {
    return this.binary(0x76, count);
  }
  rotateLeft(count: I32 | number): I32 {
    return this.binary(0x77, count);
  }
  equals(other: I32 | number): I32 {
    return this.binary(0x46, other);
  }
  notEquals(other: I32 | number): I32 {
    return this.binary(0x47, other);
  }
  lessThanSigned(other: I32 | number): I32 {
    return this.binary(0x48, other);
  }
  lessThanUnsigned(other: I32 | number): I32 {
    return this.binary(0x49, other);
  }
  greaterThanUnsigned(other: I32 | number): I32 {
    return this.binary(0x4b, other);
  }
  isZero(): I32 {
    return new I32(operation(0x45, this.node));
  }
  /** Logical not of a condition. */
  not(): I32 {
    return this.isZero();
  }
  populationCount(): I32 {
    return new I32(operation(0x69, this.node));
  }
  extendUnsigned(): I64 {
    return new I64(operation(0xad, this.node));
  }
  extendSigned(): I64 {
    return new I64(operation(0xac, this.node));
  }
  private binary(opcode: number, other: I32 | number): I32 {
    return new I32(operation(opcode, this.node, (typeof other === 'number' ? i32(other) : other).node));
  }
}

/** A 64-bit integer. */
export class I64 {
  readonly node: Node;
  constructor(node: Node) {
    this.node = node;
  }

  add(other: I64 | bigint): I64 {
    return this.binary(0x7c, other);
  }
  subtract(other: I64 | bigint): I64 {
    return this.binary(0x7d, other);
  }
  multiply(other: I64 | bigint): I64 {
    return this.binary(0x7e, other);
  }
  /** Traps in wasm on division by zero and on overflow: test first. */
  divideSigned(other: I64 | bigint): I64 {
    return this.binary(0x7f, other);
  }
  divideUnsigned(other: I64 | bigint): I64 {
    return this.binary(0x80, other);
  }
  remainderSigned(other: I64 | bigint): I64 {
    return this.binary(0x81, other);
  }
  remainderUnsigned(other: I64 | bigint): I64 {
    return this.binary(0x82, other);
  }
  and(other: I64 | bigint): I64 {
    return this.binary(0x83, other);
  }
  or(other: I64 | bigint): I64 {
    return this.binary(0x84, other);
  }
  xor(other: I64 | bigint): I64 {
    return this.binary(0x85, other);
  }
  /** Bitwise complement. */
  complement(): I64 {
    return this.xor(-1n);
  }
  negate(): I64 {
    return i64(0n).subtract(this);
  }
  /** Shift counts are taken modulo 64, as wasm does. */
  shiftLeft(count: I64 | bigint): I64 {
    return this.binary(0x86, count);
  }
  shiftRightSigned(count: I64 | bigint): I64 {
    return this.binary(0x87, count);
  }
  shiftRightUnsigned(count: I64 | bigint): I64 {
    return this.binary(0x88, count);
  }
  rotateLeft(count: I64 | bigint): I64 {
    return this.binary(0x89, count);
  }
  rotateRight(count: I64 | bigint): I64 {
    return this.binary(0x8a, count);
  }
  countLeadingZeros(): I64 {
    return new I64(operation(0x79, this.node));
  }
  countTrailingZeros(): I64 {
    return new I64(operation(0x7a, this.node));
  }
  populationCount(): I64 {
    return new I64(operation(0x7b, this.node));
  }
  isZero(): I32 {
    return new I32(operation(0x50, this.node));
  }
  equals(other: I64 | bigint): I32 {
    return this.compare(0x51, other);
  }
  notEquals(other: I64 | bigint): I32 {
    return this.compare(0x52, other);
  }
  lessThanSigned(other: I64 | bigint): I32 {
    return this.compare(0x53, other);
  }
  lessThanUnsigned(other: I64 | bigint): I32 {
    return this.compare(0x54, other);
  }
  greaterThanSigned(other: I64 | bigint): I32 {
    return this.compare(0x55, other);
  }
  greaterThanUnsigned(other: I64 | bigint): I32 {
    return this.compare(0x56, other);
  }
  /** The low 32 bits. */
  wrap(): I32 {
    return new I32(operation(0xa7, this.node));
  }
  /** Sign-extends the low `width` bits to 64. */
  signExtendFrom(width: number): I64 {
    switch (width) {
      case 8:
        return new I64(operation(0xc2, this.node));
      case 16:
        return new I64(operation(0xc3, this.node));
      case 32:
        return new I64(operation(0xc4, this.node));
      default:
        return this;
    }
  }
  /** Keeps the low `width` bits, clearing the others. */
  zeroExtendFrom(width: number): I64 {
    if (width === 64) return this;
    if (width === 32) return this.wrap().extendUnsigned();
    return this.and((1n << BigInt(width)) - 1n);
  }
  private binary(opcode: number, other: I64 | bigint): I64 {
    return new I64(operation(opcode, this.node, (typeof other === 'bigint' ? i64(other) : other).node));
  }
  private compare(opcode: number, other: I64 | bigint): I32 {
    return new I32(operation(opcode, this.node, (typeof other === 'bigint' ? i64(other) : other).node));
  }
}

/** 128 bits. */
export class V128 {
  readonly node: Node;
  constructor(node: Node) {
    this.node = node;
  }

  or(other: V128): V128 {
    return new V128(operation(VECTOR_OPERATION | 0x50, this.node, other.node));
  }
  xor(other: V128): V128 {
    return new V128(operation(VECTOR_OPERATION | 0x51, this.node, other.node));
  }
  /** Whether any bit is 1. */
  isAnyTrue(): I32 {
    return new I32(operation(VECTOR_OPERATION | 0x53, this.node));
  }
}

export const i32 = (value: number): I32 =>
  new I32({ kind: 'constant', type: 'i32', value: BigInt(value | 0) });

export const i64 = (value: bigint): I64 =>
  new I64({ kind: 'constant', type: 'i64', value: BigInt.asIntN(64, value) });

/** `condition ? whenTrue : whenFalse`; both sides are evaluated. */
export function select(condition: I32, whenTrue: I64, whenFalse: I64): I64 {
  return new I64({
    kind: 'select',
    condition: condition.node,
    whenTrue: whenTrue.node,
    whenFalse: whenFalse.node,
  });
}
