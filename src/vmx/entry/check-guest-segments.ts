/** Checks on guest segment registers (SDM Vol. 3C, 26.3.1.2). */

import { CR0 } from '../../architecture/control-registers.js';
import { ACCESS_RIGHTS } from '../../architecture/descriptors.js';
import { SEGMENT } from '../../architecture/registers.js';
import { RFLAGS } from '../../architecture/rflags.js';
import { ACCESS_RIGHTS_RESERVED } from '../../architecture/vmx/guest-state.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import { GUEST_SEGMENTS, type SegmentFields } from '../segment-fields.js';
import type { Vmcs } from '../vmcs.js';
import type { EntryRule, RuleSection } from './entry-rule.js';
import { isLongModeGuest, isNotCanonical, isUnrestrictedGuest } from './field-tests.js';

const CS = GUEST_SEGMENTS[SEGMENT.CS]!;
const SS = GUEST_SEGMENTS[SEGMENT.SS]!;
const LDTR = GUEST_SEGMENTS[SEGMENT.LDTR]!;
const TR = GUEST_SEGMENTS[SEGMENT.TR]!;
const DATA = [SEGMENT.DS, SEGMENT.ES, SEGMENT.FS, SEGMENT.GS].map((number) => GUEST_SEGMENTS[number]!);
const CODE_AND_DATA = [CS, SS, ...DATA];

const isVirtual8086 = (v: Vmcs): boolean => (v.low(VMCS.GUEST_RFLAGS) & RFLAGS.VM) !== 0;
const rights = (v: Vmcs, s: SegmentFields): number => v.low(s.accessRights);
const isUsable = (v: Vmcs, s: SegmentFields): boolean => (rights(v, s) & ACCESS_RIGHTS.UNUSABLE) === 0;
const typeOf = (v: Vmcs, s: SegmentFields): number => rights(v, s) & 15;
const dplOf = (v: Vmcs, s: SegmentFields): number => (rights(v, s) >> 5) & 3;
const rplOf = (v: Vmcs, s: SegmentFields): number => v.low(s.selector) & 3;

/** Access rights of a segment count outside virtual-8086 mode; those of CS and TR always, of the others if usable. */
const isChecked = (v: Vmcs, s: SegmentFields): boolean =>
  s === TR || (s === LDTR ? isUsable(v, s) : !isVirtual8086(v) && (s === CS || isUsable(v, s)));

const READABLE_CODE = ACCESS_RIGHTS.CODE | ACCESS_RIGHTS.READABLE;

/** G must be 0 unless limit bits 11:0 are all 1; G must be 1 if any of limit bits 31:20 is 1. */
function granularityIsWrong(v: Vmcs, s: SegmentFields): boolean {
  const limit = v.unsigned(s.limit);
  const granular = (rights(v, s) & ACCESS_RIGHTS.GRANULARITY) !== 0;
  return ((limit & 0xfff) !== 0xfff && granular) || (limit >>> 20 !== 0 && !granular);
}

/** Access-rights rules that all kinds of segment share, in the manual's order of bits. */
function sharedRightsRules(s: SegmentFields, system: boolean): EntryRule[] {
  const field = s.accessRights;
  return [
    {
      field,
      rule: `S (bit 4) of ${s.name} access rights must be ${system ? 0 : 1}`,
      broken: (v) => isChecked(v, s) && ((rights(v, s) & ACCESS_RIGHTS.NON_SYSTEM) === 0) !== system,
    },
    {
      field,
      rule: `P (bit 7) of ${s.name} access rights must be 1`,
      broken: (v) => isChecked(v, s) && (rights(v, s) & ACCESS_RIGHTS.PRESENT) === 0,
    },
    {
      field,
      rule: `reserved bits 11:8 and 31:17 of ${s.name} access rights must be 0`,
      broken: (v) => isChecked(v, s) && (rights(v, s) & ACCESS_RIGHTS_RESERVED) !== 0,
    },
    {
      field,
      rule: `G (bit 15) of ${s.name} access rights must be 0 if any of limit bits 11:0 is 0, and 1 if any of limit bits 31:20 is 1`,
      broken: (v) => isChecked(v, s) && granularityIsWrong(v, s),
    },
  ];
}

const selectorRules: EntryRule[] = [
  {
    field: TR.selector,
    rule: 'TI (bit 2) of the TR selector must be 0',
    broken: (v) => (v.low(TR.selector) & 4) !== 0,
  },
  {
    field: LDTR.selector,
    rule: 'if LDTR is usable, TI (bit 2) of the LDTR selector must be 0',
    broken: (v) => isUsable(v, LDTR) && (v.low(LDTR.selector) & 4) !== 0,
  },
  {
    field: SS.selector,
    rule: 'outside virtual-8086 mode and without "unrestricted guest", RPL of SS must equal RPL of CS',
    broken: (v) => !isVirtual8086(v) && !isUnrestrictedGuest(v) && rplOf(v, SS) !== rplOf(v, CS),
  },
];

const baseRules: EntryRule[] = [
  ...CODE_AND_DATA.map((s) => ({
    field: s.base,
    rule: `in virtual-8086 mode, the ${s.name} base must be the selector times 16`,
    broken: (v: Vmcs) =>
      isVirtual8086(v) && (v.high(s.base) !== 0 || v.unsigned(s.base) !== v.low(s.selector) * 16),
  })),
  ...[TR, GUEST_SEGMENTS[SEGMENT.FS]!, GUEST_SEGMENTS[SEGMENT.GS]!].map((s) => ({
    field: s.base,
    rule: `the ${s.name} base must be canonical`,
    broken: (v: Vmcs) => isNotCanonical(v.high(s.base)),
  })),
  {
    field: LDTR.base,
    rule: 'if LDTR is usable, the LDTR base must be canonical',
    broken: (v) => isUsable(v, LDTR) && isNotCanonical(v.high(LDTR.base)),
  },
  {
    field: CS.base,
    rule: 'bits 63:32 of the CS base must be 0',
    broken: (v) => v.high(CS.base) !== 0,
  },
  ...[SS, GUEST_SEGMENTS[SEGMENT.DS]!, GUEST_SEGMENTS[SEGMENT.ES]!].map((s) => ({
    field: s.base,
    rule: `if ${s.name} is usable, bits 63:32 of the ${s.name} base must be 0`,
    broken: (v: Vmcs) => isUsable(v, s) && v.high(s.base) !== 0,
  })),
];

const VIRTUAL_8086_ACCESS_RIGHTS = 0xf3;
const virtual8086Rules: EntryRule[] = CODE_AND_DATA.flatMap((s) => [
  {
    field: s.limit,
    rule: `in virtual-8086 mode, the ${s.name} limit must be 0000FFFFH`,
    broken: (v: Vmcs) => isVirtual8086(v) && v.low(s.limit) !== 0xffff,
  },
  {
    field: s.accessRights,
    rule: `in virtual-8086 mode, ${s.name} access rights must be 000000F3H`,
    broken: (v: Vmcs) => isVirtual8086(v) && rights(v, s) !== VIRTUAL_8086_ACCESS_RIGHTS,
  },
]);

const codeSegmentRules: EntryRule[] = [
  {
    field: CS.accessRights,
    rule: 'the CS type must be 9, 11, 13 or 15 (accessed code), or 3 with "unrestricted guest"',
    broken: (v) =>
      isChecked(v, CS) && (typeOf(v, CS) & 9) !== 9 && !(isUnrestrictedGuest(v) && typeOf(v, CS) === 3),
  },
  {
    field: CS.accessRights,
    rule: 'the DPL of CS must be 0 for type 3, equal to that of SS for types 9 and 11, not above it for 13 and 15',
    broken: (v) => {
      if (!isChecked(v, CS)) return false;
      const type = typeOf(v, CS);
      if (type === 3) return dplOf(v, CS) !== 0;
      return type < 12 ? dplOf(v, CS) !== dplOf(v, SS) : dplOf(v, CS) > dplOf(v, SS);
    },
  },
  ...sharedRightsRules(CS, false),
  {
    field: CS.accessRights,
    rule: 'if "IA-32e mode guest" is 1 and L (bit 13) of CS is 1, D/B (bit 14) must be 0',
    broken: (v) =>
      isChecked(v, CS) &&
      isLongModeGuest(v) &&
      (rights(v, CS) & (ACCESS_RIGHTS.LONG | ACCESS_RIGHTS.BIG)) === (ACCESS_RIGHTS.LONG | ACCESS_RIGHTS.BIG),
  },
];

const stackSegmentRules: EntryRule[] = [
  {
    field: SS.accessRights,
    rule: 'the SS type must be 3 or 7 (read/write, accessed data)',
    broken: (v) => isChecked(v, SS) && typeOf(v, SS) !== 3 && typeOf(v, SS) !== 7,
  },
  {
    field: SS.accessRights,
    rule: 'without "unrestricted guest", the DPL of SS must equal the RPL of its selector',
    broken: (v) => !isVirtual8086(v) && !isUnrestrictedGuest(v) && dplOf(v, SS) !== rplOf(v, SS),
  },
  {
    field: SS.accessRights,
    rule: 'the DPL of SS must be 0 if the CS type is 3 or CR0.PE is 0',
    broken: (v) =>
      !isVirtual8086(v) &&
      (typeOf(v, CS) === 3 || (v.low(VMCS.GUEST_CR0) & CR0.PE) === 0) &&
      dplOf(v, SS) !== 0,
  },
  ...sharedRightsRules(SS, false),
];

const dataSegmentRules: EntryRule[] = DATA.flatMap((s) => [
  {
    field: s.accessRights,
    rule: `the ${s.name} type must be accessed (bit 0), and readable (bit 1) if it is code`,
    broken: (v: Vmcs) =>
      isChecked(v, s) &&
      ((rights(v, s) & ACCESS_RIGHTS.ACCESSED) === 0 ||
        (rights(v, s) & READABLE_CODE) === ACCESS_RIGHTS.CODE),
  },
  {
    field: s.accessRights,
    rule: `without "unrestricted guest", the DPL of ${s.name} must not be below its RPL for data and non-conforming code`,
    broken: (v: Vmcs) =>
      isChecked(v, s) && !isUnrestrictedGuest(v) && typeOf(v, s) <= 11 && dplOf(v, s) < rplOf(v, s),
  },
  ...sharedRightsRules(s, false),
]);

const taskRegisterRules: EntryRule[] = [
  {
    field: TR.accessRights,
    rule: 'the TR type must be 11 (64- or 32-bit busy TSS), or 3 (16-bit busy TSS) if "IA-32e mode guest" is 0',
    broken: (v) => typeOf(v, TR) !== 11 && !(typeOf(v, TR) === 3 && !isLongModeGuest(v)),
  },
  ...sharedRightsRules(TR, true),
  {
    field: TR.accessRights,
    rule: 'TR must not be unusable (bit 16)',
    broken: (v) => !isUsable(v, TR),
  },
];

const ldtrRules: EntryRule[] = [
  {
    field: LDTR.accessRights,
    rule: 'if LDTR is usable, its type must be 2 (LDT)',
    broken: (v) => isChecked(v, LDTR) && typeOf(v, LDTR) !== 2,
  },
  ...sharedRightsRules(LDTR, true),
];

export const GUEST_SEGMENT_RULES: RuleSection = {
  stage: 'guest-state',
  section: '26.3.1.2',
  title: 'Checks on Guest Segment Registers',
  rules: [
    ...selectorRules,
    ...baseRules,
    ...virtual8086Rules,
    ...codeSegmentRules,
    ...stackSegmentRules,
    ...dataSegmentRules,
    ...taskRegisterRules,
    ...ldtrRules,
  ],
};
