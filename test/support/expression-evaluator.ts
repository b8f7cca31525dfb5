/** Works out expression trees: what the WebAssembly made of them would give. */

import type { Node } from '../../src/wasm/expression.js';

export const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const s64 = (value: bigint): bigint => BigInt.asIntN(64, value);

/** Operations on 64-bit operands by opcode; comparisons give 0 or 1. */
function evaluate64(opcode: number, a: bigint, b: bigint): bigint {
  const count = b & 63n;
  const truth = (condition: boolean): bigint => (condition ? 1n : 0n);
  switch (opcode) {
    case 0x7c:
      return a + b;
    case 0x7d:
      return a - b;
    case 0x7e:
      return a * b;
    case 0x7f:
      if (b === 0n || (s64(b) === -1n && s64(a) === -(1n << 63n))) throw new Error('wasm would trap');
      return s64(a) / s64(b);
    case 0x80:
      if (b === 0n) throw new Error('wasm would trap');
      return a / b;
    case 0x81:
      if (b === 0n) throw new Error('wasm would trap');
      return s64(a) % s64(b);
    case 0x82:
      if (b === 0n) throw new Error('wasm would trap');
      return a % b;
    case 0x83:
      return a & b;
    case 0x84:
      return a | b;
    case 0x85:
      return a ^ b;
    case 0x86:
      return a << count;
    case 0x87:
      return s64(a) >> count;
    case 0x88:
      return a >> count;
    case 0x89:
      return (a << count) | (a >> (64n - count));
    case 0x8a:
      return (a >> count) | (a << (64n - count));
    case 0x51:
      return truth(a === b);
    case 0x52:
      return truth(a !== b);
    case 0x53:
      return truth(s64(a) < s64(b));
    case 0x54:
      return truth(a < b);
    case 0x55:
      return truth(s64(a) > s64(b));
    case 0x56:
      return truth(a > b);
    case 0x57:
      return truth(s64(a) <= s64(b));
    case 0x58:
      return truth(a <= b);
    default:
      throw new Error(`unknown opcode ${opcode.toString(16)}`);
  }
}

export const ones = (value: bigint): number => value.toString(2).replaceAll('0', '').length;

function evaluateUnary(opcode: number, a: bigint): bigint | undefined {
  switch (opcode) {
    case 0x45:
    case 0x50:
      return a === 0n ? 1n : 0n;
    case 0x69:
    case 0x7b:
      return BigInt(ones(a));
    case 0x79:
      return BigInt(64 - (a === 0n ? 0 : a.toString(2).length));
    case 0x7a:
      return a === 0n ? 64n : BigInt((a & -a).toString(2).length - 1);
    case 0xad:
      return BigInt.asUintN(32, a);
    case 0xac:
      return u64(BigInt.asIntN(32, a));
    case 0xa7:
      return BigInt.asUintN(32, a);
    case 0xc2:
      return u64(BigInt.asIntN(8, a));
    case 0xc3:
      return u64(BigInt.asIntN(16, a));
    case 0xc4:
      return u64(BigInt.asIntN(32, a));
    default:
      return undefined;
  }
}

function evaluate32(opcode: number, first: bigint, second: bigint): number {
  const a = Number(first) | 0;
  const b = Number(second) | 0;
  switch (opcode) {
    case 0x6a:
      return a + b;
    case 0x6b:
      return a - b;
    case 0x6c:
      return Math.imul(a, b);
    case 0x71:
      return a & b;
    case 0x72:
      return a | b;
    case 0x73:
      return a ^ b;
    case 0x74:
      return a << b;
    case 0x75:
      return a >> b;
    case 0x76:
      return a >>> b;
    case 0x77:
      return (a << b) | (a >>> (32 - b));
    case 0x46:
      return a === b ? 1 : 0;
    case 0x47:
      return a !== b ? 1 : 0;
    case 0x48:
      return a < b ? 1 : 0;
    case 0x49:
      return a >>> 0 < b >>> 0 ? 1 : 0;
    case 0x4b:
      return a >>> 0 > b >>> 0 ? 1 : 0;
    default:
      throw new Error(`unknown opcode ${opcode.toString(16)}`);
  }
}

/** The values of locals, by index. */
export class Locals {
  readonly #values: bigint[] = [];
  add(value: bigint): Node {
    this.#values.push(value);
    return { kind: 'local', type: 'i64', index: this.#values.length - 1 };
  }
  set(node: Node, value: bigint): void {
    if (node.kind === 'local') this.#values[node.index] = value;
  }
  evaluate(node: Node): bigint {
    switch (node.kind) {
      case 'constant':
        return BigInt.asUintN(node.type === 'i32' ? 32 : 64, node.value);
      case 'local':
        return this.#values[node.index]!;
      case 'select':
        return this.evaluate(node.condition) !== 0n
          ? this.evaluate(node.whenTrue)
          : this.evaluate(node.whenFalse);
      case 'operation': {
        const [a, b] = node.operands.map((operand) => this.evaluate(operand));
        if (b === undefined) {
          const value = evaluateUnary(node.opcode, a!);
          if (value === undefined) throw new Error(`unknown opcode ${node.opcode.toString(16)}`);
          return value;
        }
        const is32 =
          (node.opcode >= 0x46 && node.opcode <= 0x4f) || (node.opcode >= 0x67 && node.opcode <= 0x78);
        if (is32) return BigInt(evaluate32(node.opcode, a!, b) >>> 0);
        return u64(evaluate64(node.opcode, a!, b));
      }
      default:
        throw new Error(`a semantics function made a ${node.kind}`);
    }
  }
}
