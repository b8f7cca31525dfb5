/**
 * The arithmetic flags as generated code keeps them: a result and a vector of carries (see `STATE.FLAG_RESULT`).
 * Two stores per instruction; each flag is worked out only when it is asked for.
 */

import { ARITHMETIC_FLAGS, RFLAGS } from '../../architecture/rflags.js';
import { type I32, type I64, i64 } from '../../wasm/expression.js';
import { type FunctionBuilder, load32, load64 } from '../../wasm/function-builder.js';
import type { FlagsContext, Width } from '../semantics/context.js';
import { STATE } from '../state/layout.js';

const SIGN = 1n << 63n;
const ADJUST_CARRY = 8n;

export class LazyFlags implements FlagsContext {
  private readonly builder: FunctionBuilder;
  private readonly processor: I32;

  constructor(builder: FunctionBuilder, processor: I32) {
    this.builder = builder;
    this.processor = processor;
  }

  afterAdd(width: Width, a: I64, b: I64, sum: I64): void {
    const total = this.builder.bind64(sum);
    const carries = a.and(b).or(a.or(b).and(total.complement()));
    this.store(total.signExtendFrom(width), this.normalise(width, carries));
  }

  afterSubtract(width: Width, a: I64, b: I64, difference: I64): void {
    const total = this.builder.bind64(difference);
    this.store(total.signExtendFrom(width), this.normalise(width, this.borrows(a, b, total)));
  }

  afterIncrement(width: Width, a: I64, sum: I64): void {
    const total = this.builder.bind64(sum);
    const carries = a.and(1n).or(a.or(1n).and(total.complement()));
    this.storeKeepingCarry(total.signExtendFrom(width), this.normalise(width, carries));
  }

  afterDecrement(width: Width, a: I64, difference: I64): void {
    const total = this.builder.bind64(difference);
    this.storeKeepingCarry(
      total.signExtendFrom(width),
      this.normalise(width, this.borrows(a, i64(1n), total)),
    );
  }

  afterLogic(width: Width, result: I64): void {
    this.store(result.signExtendFrom(width), i64(0n));
  }

  set(flags: Parameters<FlagsContext['set']>[0]): void {
    const { builder } = this;
    const carry = builder.bind32(flags.carry ?? this.carry());
    const overflow = builder.bind32(flags.overflow ?? this.overflow());
    const adjust = builder.bind32(flags.adjust ?? this.adjust());
    let result: I64;
    let corrections: I64;
    if (flags.zero !== undefined || flags.sign !== undefined || flags.parity !== undefined) {
      const base = flags.result;
      const value = base && builder.bind64(base.value.signExtendFrom(base.width));
      const zero = flags.zero ?? (value ? value.isZero() : this.zero());
      const sign = flags.sign ?? (value ? value.lessThanSigned(0n) : this.sign());
      const parity = flags.parity ?? (value ? evenParity(value) : this.parity());
      corrections = builder.bind64(zero.or(sign.shiftLeft(1)).or(parity.shiftLeft(2)).extendUnsigned());
      result = i64(1n);
    } else if (flags.result !== undefined) {
      corrections = i64(0n);
      result = builder.bind64(flags.result.value.signExtendFrom(flags.result.width));
    } else {
      corrections = builder.bind64(this.carries().and(7n));
      result = builder.bind64(this.result());
    }
    const carries = corrections
      .or(adjust.extendUnsigned().shiftLeft(3n))
      .or(carry.extendUnsigned().shiftLeft(63n))
      .or(carry.xor(overflow).extendUnsigned().shiftLeft(62n));
    this.store(result, carries);
  }

  carry(): I32 {
    return this.carries().lessThanSigned(0n);
  }
  overflow(): I32 {
    const carries = this.builder.bind64(this.carries());
    return carries.xor(carries.shiftLeft(1n)).lessThanSigned(0n);
  }
  zero(): I32 {
    return this.result().isZero().xor(this.correction(0));
  }
  sign(): I32 {
    return this.result().lessThanSigned(0n).xor(this.correction(1));
  }
  parity(): I32 {
    return evenParity(this.result()).xor(this.correction(2));
  }
  adjust(): I32 {
    return this.correction(3);
  }
  direction(): I32 {
    return load32(this.processor, STATE.RFLAGS_OTHER).shiftRightUnsigned(10).and(1);
  }

  condition(code: number): I32 {
    const base = this.baseCondition(code >> 1);
    return (code & 1) === 0 ? base : base.not();
  }

  image(): I64 {
    return load32(this.processor, STATE.RFLAGS_OTHER)
      .or(this.carry())
      .or(this.parity().shiftLeft(2))
      .or(this.adjust().shiftLeft(4))
      .or(this.zero().shiftLeft(6))
      .or(this.sign().shiftLeft(7))
      .or(this.overflow().shiftLeft(11))
      .extendUnsigned();
  }

  load(image: I64, mask: number): void {
    const bits = this.builder.bind32(image.wrap());
    const flag = (bit: number, position: number): I32 | undefined =>
      (mask & bit) === 0 ? undefined : bits.shiftRightUnsigned(position).and(1);
    if ((mask & ARITHMETIC_FLAGS) !== 0) {
      const chosen: Record<string, I32> = {};
      for (const [name, bit, position] of FLAG_POSITIONS) {
        const value = flag(bit, position);
        if (value !== undefined) chosen[name] = value;
      }
      this.set(chosen);
    }
    const others = mask & ~ARITHMETIC_FLAGS;
    if (others !== 0)
      this.builder.store32(
        this.processor,
        STATE.RFLAGS_OTHER,
        load32(this.processor, STATE.RFLAGS_OTHER).and(~others).or(bits.and(others)),
      );
  }

  private baseCondition(pair: number): I32 {
    switch (pair) {
      case 0:
        return this.overflow();
      case 1:
        return this.carry();
      case 2:
        return this.zero();
      case 3:
        return this.carry().or(this.zero());
      case 4:
        return this.sign();
      case 5:
        return this.parity();
      case 6:
        return this.sign().xor(this.overflow());
      default:
        return this.sign().xor(this.overflow()).or(this.zero());
    }
  }

  private result(): I64 {
    return load64(this.processor, STATE.FLAG_RESULT);
  }
  private carries(): I64 {
    return load64(this.processor, STATE.FLAG_CARRIES);
  }
  private correction(bit: number): I32 {
    return load32(this.processor, STATE.FLAG_CARRIES).shiftRightUnsigned(bit).and(1);
  }

  private borrows(a: I64, b: I64, difference: I64): I64 {
    return a.complement().and(b).or(a.xor(b).complement().and(difference));
  }

  /** Moves the carry out of the top bit to bit 63, keeping the carry out of bit 3 where it is. */
  private normalise(width: Width, carries: I64): I64 {
    if (width === 64) return carries.and(-8n);
    const bound = this.builder.bind64(carries);
    return bound.shiftLeft(BigInt(64 - width)).or(bound.and(ADJUST_CARRY));
  }

  private store(result: I64, carries: I64): void {
    this.builder.store64(this.processor, STATE.FLAG_RESULT, result);
    this.builder.store64(this.processor, STATE.FLAG_CARRIES, carries);
  }

  private storeKeepingCarry(result: I64, carries: I64): void {
    const old = this.builder.bind64(this.carries());
    const fresh = this.builder.bind64(carries);
    const overflowXorCarry = fresh.xor(fresh.shiftLeft(1n)).xor(old).and(SIGN).shiftRightUnsigned(1n);
    this.store(result, old.and(SIGN).or(overflowXorCarry).or(fresh.and(ADJUST_CARRY)));
  }
}

const FLAG_POSITIONS = [
  ['carry', RFLAGS.CF, 0],
  ['parity', RFLAGS.PF, 2],
  ['adjust', RFLAGS.AF, 4],
  ['zero', RFLAGS.ZF, 6],
  ['sign', RFLAGS.SF, 7],
  ['overflow', RFLAGS.OF, 11],
] as const;

function evenParity(value: I64): I32 {
  return value.wrap().and(0xff).populationCount().and(1).xor(1);
}
