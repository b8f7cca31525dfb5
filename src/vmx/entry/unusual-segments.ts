/** Segment registers of protected mode that no rule of 26.3.1.2 objects to, whatever the controls are, as generated code. */

import { CR0 } from '../../architecture/control-registers.js';
import { ACCESS_RIGHTS } from '../../architecture/descriptors.js';
import { SEGMENT } from '../../architecture/registers.js';
import { RFLAGS } from '../../architecture/rflags.js';
import { ACCESS_RIGHTS_RESERVED } from '../../architecture/vmx/guest-state.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import { type I32, i32 } from '../../wasm/expression.js';
import { GUEST_SEGMENTS, type SegmentFields } from '../segment-fields.js';
import { areNotAlike, type TransferBuilder } from '../transfer/transfer-builder.js';

const TYPE = 15;
/** Types that are plain: accessed code; accessed, writable data that expands up or down; busy TSS; LDT. */
const CODE_TYPE = ACCESS_RIGHTS.CODE | ACCESS_RIGHTS.ACCESSED;
const STACK_TYPE = ACCESS_RIGHTS.WRITABLE | ACCESS_RIGHTS.ACCESSED;
const BUSY_TSS = 11;
const LDT = 2;
const TABLE_INDICATOR = 4;

const isUsable = (rights: I32): I32 => rights.and(ACCESS_RIGHTS.UNUSABLE).isZero();
const dplOf = (rights: I32): I32 => rights.shiftRightUnsigned(5).and(3);
const rplOf = (t: TransferBuilder, s: SegmentFields): I32 => t.field(s.selector).and(3);
const differsFrom = (rights: I32, mask: number, expected: number): I32 =>
  rights.and(mask).notEquals(expected);
const isNotCanonical = (t: TransferBuilder, s: SegmentFields): I32 => areNotAlike(t.fieldHigh(s.base), 15);
const isAbove4GiB = (t: TransferBuilder, s: SegmentFields): I32 => t.fieldHigh(s.base).notEquals(0);

/** S, P and reserved bits; G is 0 unless limit bits 11:0 are all 1, and 1 if any of limit bits 31:20 is 1. */
function hasWrongRights(t: TransferBuilder, s: SegmentFields, rights: I32, kind: number): I32 {
  const limit = t.builder.bind32(t.field(s.limit));
  const granular = rights.and(ACCESS_RIGHTS.GRANULARITY).notEquals(0);
  const mask = ACCESS_RIGHTS.NON_SYSTEM | ACCESS_RIGHTS.PRESENT | ACCESS_RIGHTS_RESERVED;
  return differsFrom(rights, mask, kind | ACCESS_RIGHTS.PRESENT)
    .or(granular.and(limit.and(0xfff).notEquals(0xfff)))
    .or(granular.not().and(limit.shiftRightUnsigned(20).notEquals(0)));
}

function bindRights(t: TransferBuilder, s: SegmentFields): I32 {
  return t.builder.bind32(t.field(s.accessRights));
}

/** CS and SS: both have the privilege level that the selector of CS says. */
function codeAndStack(t: TransferBuilder): I32 {
  const cs = GUEST_SEGMENTS[SEGMENT.CS]!;
  const ss = GUEST_SEGMENTS[SEGMENT.SS]!;
  const code = bindRights(t, cs);
  const stack = bindRights(t, ss);
  const rpl = t.builder.bind32(rplOf(t, ss));
  const longAndBig = ACCESS_RIGHTS.LONG | ACCESS_RIGHTS.BIG;
  const wrongStack = differsFrom(stack, TYPE & ~ACCESS_RIGHTS.EXPAND_DOWN, STACK_TYPE)
    .or(hasWrongRights(t, ss, stack, ACCESS_RIGHTS.NON_SYSTEM))
    .or(isAbove4GiB(t, ss));
  return differsFrom(code, CODE_TYPE, CODE_TYPE)
    .or(hasWrongRights(t, cs, code, ACCESS_RIGHTS.NON_SYSTEM))
    .or(code.and(longAndBig).equals(longAndBig))
    .or(isAbove4GiB(t, cs))
    .or(dplOf(code).notEquals(rpl))
    .or(dplOf(stack).notEquals(rpl))
    .or(rplOf(t, cs).notEquals(rpl))
    .or(isUsable(stack).and(wrongStack));
}

function data(t: TransferBuilder, s: SegmentFields, hasWideBase: boolean): I32 {
  const rights = bindRights(t, s);
  const readableOrData = ACCESS_RIGHTS.CODE | ACCESS_RIGHTS.READABLE;
  const wrong = differsFrom(rights, ACCESS_RIGHTS.ACCESSED, ACCESS_RIGHTS.ACCESSED)
    .or(rights.and(readableOrData).equals(ACCESS_RIGHTS.CODE))
    .or(dplOf(rights).lessThanUnsigned(rplOf(t, s)))
    .or(hasWrongRights(t, s, rights, ACCESS_RIGHTS.NON_SYSTEM));
  return hasWideBase
    ? isUsable(rights).and(wrong).or(isNotCanonical(t, s))
    : isUsable(rights).and(wrong.or(isAbove4GiB(t, s)));
}

/** TR, and LDTR if it is usable. */
function system(t: TransferBuilder): I32 {
  const tr = GUEST_SEGMENTS[SEGMENT.TR]!;
  const ldtr = GUEST_SEGMENTS[SEGMENT.LDTR]!;
  const wrong = (s: SegmentFields, rights: I32, type: number): I32 =>
    differsFrom(rights, TYPE, type)
      .or(hasWrongRights(t, s, rights, 0))
      .or(t.field(s.selector).and(TABLE_INDICATOR).notEquals(0))
      .or(isNotCanonical(t, s));
  const task = bindRights(t, tr);
  const table = bindRights(t, ldtr);
  return wrong(tr, task, BUSY_TSS)
    .or(isUsable(task).not())
    .or(isUsable(table).and(wrong(ldtr, table, LDT)));
}

export function hasUnusualSegments(t: TransferBuilder): I32 {
  const outsideProtectedMode = t
    .field(VMCS.GUEST_RFLAGS)
    .and(RFLAGS.VM)
    .or(t.field(VMCS.GUEST_CR0).and(CR0.PE).xor(CR0.PE))
    .notEquals(0);
  let unusual = i32(0);
  for (const number of [SEGMENT.DS, SEGMENT.ES, SEGMENT.FS, SEGMENT.GS])
    unusual = unusual.or(data(t, GUEST_SEGMENTS[number]!, number === SEGMENT.FS || number === SEGMENT.GS));
  return outsideProtectedMode.or(codeAndStack(t)).or(unusual).or(system(t));
}
