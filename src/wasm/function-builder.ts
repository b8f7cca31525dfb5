/** Builds the body of one WebAssembly function out of expressions and statements, in order of the calls. */

import { I32, I64, type Node, V128, type ValueType, VECTOR_OPERATION } from './expression.js';
import { type FunctionBody, writeSigned, writeUnsigned } from './module-writer.js';

export type LoadWidth = 8 | 16 | 32 | 64;

const LOAD_I64 = { 8: 0x31, 16: 0x33, 32: 0x35, 64: 0x29 } as const;
const STORE_I64 = { 8: 0x3c, 16: 0x3d, 32: 0x3e, 64: 0x37 } as const;

/** Zero-extended load of `width` bits at `address + offset`. */
export function load64(address: I32, offset: number, width: LoadWidth = 64): I64 {
  return new I64({ kind: 'load', opcode: LOAD_I64[width], address: address.node, offset });
}

export function load32(address: I32, offset: number): I32 {
  return new I32({ kind: 'load', opcode: 0x28, address: address.node, offset });
}

export function load16Unsigned(address: I32, offset: number): I32 {
  return new I32({ kind: 'load', opcode: 0x2f, address: address.node, offset });
}

export function load8Unsigned(address: I32, offset: number): I32 {
  return new I32({ kind: 'load', opcode: 0x2d, address: address.node, offset });
}

export function load128(address: I32, offset: number): V128 {
  return new V128({ kind: 'load', opcode: VECTOR_OPERATION | 0x00, address: address.node, offset });
}

/** Result of a function with one i32 result. */
export function call32(functionIndex: number, operands: readonly (I32 | I64)[]): I32 {
  return new I32({ kind: 'call', functionIndex, operands: operands.map((o) => o.node) });
}

export function call64(functionIndex: number, operands: readonly (I32 | I64)[]): I64 {
  return new I64({ kind: 'call', functionIndex, operands: operands.map((o) => o.node) });
}

export class FunctionBuilder {
  private readonly parameterCount: number;
  private readonly locals: ValueType[] = [];
  private readonly code: number[] = [];

  constructor(parameterCount: number) {
    this.parameterCount = parameterCount;
  }

  /** Parameter or local `index` as an expression. */
  local32(index: number): I32 {
    return new I32({ kind: 'local', type: 'i32', index });
  }
  local64(index: number): I64 {
    return new I64({ kind: 'local', type: 'i64', index });
  }
  newLocal(type: ValueType): number {
    this.locals.push(type);
    return this.parameterCount + this.locals.length - 1;
  }

  setLocal(index: number, value: I32 | I64): void {
    this.emitNode(value.node);
    this.code.push(0x21);
    writeUnsigned(this.code, index);
  }
  /** Binds a value to a new local. */
  bind64(value: I64): I64 {
    const index = this.newLocal('i64');
    this.setLocal(index, value);
    return this.local64(index);
  }
  bind32(value: I32): I32 {
    const index = this.newLocal('i32');
    this.setLocal(index, value);
    return this.local32(index);
  }

  store64(address: I32, offset: number, value: I64, width: LoadWidth = 64): void {
    this.emitNode(address.node);
    this.emitNode(value.node);
    this.code.push(STORE_I64[width], 0);
    writeUnsigned(this.code, offset);
  }
  store32(address: I32, offset: number, value: I32): void {
    this.emitNode(address.node);
    this.emitNode(value.node);
    this.code.push(0x36, 0);
    writeUnsigned(this.code, offset);
  }

  store128(address: I32, offset: number, value: V128): void {
    this.emitNode(address.node);
    this.emitNode(value.node);
    this.emitOpcode(VECTOR_OPERATION | 0x0b);
    this.code.push(0);
    writeUnsigned(this.code, offset);
  }

  if(condition: I32, whenTrue: () => void, otherwise?: () => void): void {
    this.emitNode(condition.node);
    this.code.push(0x04, 0x40);
    whenTrue();
    if (otherwise !== undefined) {
      this.code.push(0x05);
      otherwise();
    }
    this.code.push(0x0b);
  }

  /** Leaves the function, with a value if it has a result. */
  return(value?: I32 | I64): void {
    if (value !== undefined) this.emitNode(value.node);
    this.code.push(0x0f);
  }

  /** Tail call through the table. */
  returnCallIndirect(type: number, operands: readonly (I32 | I64)[], index: I32): void {
    for (const operand of operands) this.emitNode(operand.node);
    this.emitNode(index.node);
    this.code.push(0x13);
    writeUnsigned(this.code, type);
    writeUnsigned(this.code, 0);
  }

  finish(type: number): FunctionBody {
    return { type, locals: this.locals, code: this.code };
  }

  private emitOpcode(opcode: number): void {
    if (opcode > 0xff) this.code.push(opcode >> 8);
    this.code.push(opcode & 0xff);
  }

  private emitNode(node: Node): void {
    const code = this.code;
    switch (node.kind) {
      case 'constant':
        code.push(node.type === 'i32' ? 0x41 : 0x42);
        writeSigned(code, node.value);
        return;
      case 'local':
        code.push(0x20);
        writeUnsigned(code, node.index);
        return;
      case 'operation':
        for (const operand of node.operands) this.emitNode(operand);
        this.emitOpcode(node.opcode);
        return;
      case 'load':
        this.emitNode(node.address);
        this.emitOpcode(node.opcode);
        code.push(0);
        writeUnsigned(code, node.offset);
        return;
      case 'call':
        for (const operand of node.operands) this.emitNode(operand);
        code.push(0x10);
        writeUnsigned(code, node.functionIndex);
        return;
      case 'select':
        this.emitNode(node.whenTrue);
        this.emitNode(node.whenFalse);
        this.emitNode(node.condition);
        code.push(0x1b);
        return;
    }
  }
}
