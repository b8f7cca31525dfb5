/**
 * Where the fields lie in a VMCS region, and to which group of checks each belongs. The manual leaves the format of VMCS
 * data to the implementation (SDM Vol. 3C, 24.2 Format of the VMCS Region).
 */

import {
  FIELD_TYPE,
  fieldType,
  OPTIONAL_FIELDS,
  UNSUPPORTED_FIELDS,
  VMCS,
} from '../architecture/vmx/vmcs-fields.js';
import { SEGMENT_FIELD, SEGMENT_STRIDE, STATE } from '../processor/state/layout.js';
import { GUEST_SEGMENTS } from './segment-fields.js';

/** Header of the region, in 32-bit words. */
export const REGION_WORD = {
  REVISION_IDENTIFIER: 0,
  ABORT_INDICATOR: 1,
  LAUNCH_STATE: 2,
} as const;
const HEADER_WORDS = 4;

export const LAUNCH_STATE = { CLEAR: 0, LAUNCHED: 1 } as const;

/**
 * Groups of fields that one set of VM-entry checks looks at. A VMWRITE that changes a field marks its group; VM entry
 * repeats only checks of which some group is marked.
 */
export const GROUP = {
  EXECUTION_CONTROLS: 1 << 0,
  /** Execution controls that no check looks at: masks, shadows, exception bitmap, TSC offset. */
  EXECUTION_VALUES: 1 << 1,
  EXIT_CONTROLS: 1 << 2,
  ENTRY_CONTROLS: 1 << 3,
  ENTRY_EVENT: 1 << 4,
  HOST: 1 << 5,
  GUEST_REGISTERS: 1 << 6,
  GUEST_SEGMENTS: 1 << 7,
  GUEST_DESCRIPTOR_TABLES: 1 << 8,
  GUEST_FLAGS: 1 << 9,
  GUEST_NON_REGISTER: 1 << 10,
  GUEST_PDPTES: 1 << 11,
} as const;
export const ALL_GROUPS = (1 << 12) - 1;

const EXECUTION_VALUES: ReadonlySet<number> = new Set<number>([
  VMCS.TSC_OFFSET,
  VMCS.EXECUTIVE_VMCS_POINTER,
  VMCS.EXCEPTION_BITMAP,
  VMCS.PAGE_FAULT_ERROR_CODE_MASK,
  VMCS.PAGE_FAULT_ERROR_CODE_MATCH,
  VMCS.CR0_GUEST_HOST_MASK,
  VMCS.CR4_GUEST_HOST_MASK,
  VMCS.CR0_READ_SHADOW,
  VMCS.CR4_READ_SHADOW,
  VMCS.CR3_TARGET_VALUE_0,
  VMCS.CR3_TARGET_VALUE_1,
  VMCS.CR3_TARGET_VALUE_2,
  VMCS.CR3_TARGET_VALUE_3,
  VMCS.EOI_EXIT_BITMAP_0,
  VMCS.EOI_EXIT_BITMAP_1,
  VMCS.EOI_EXIT_BITMAP_2,
  VMCS.EOI_EXIT_BITMAP_3,
]);

const EXIT_CONTROLS: ReadonlySet<number> = new Set<number>([
  VMCS.VM_EXIT_CONTROLS,
  VMCS.VM_EXIT_MSR_STORE_ADDRESS,
  VMCS.VM_EXIT_MSR_STORE_COUNT,
  VMCS.VM_EXIT_MSR_LOAD_ADDRESS,
  VMCS.VM_EXIT_MSR_LOAD_COUNT,
]);

const ENTRY_CONTROLS: ReadonlySet<number> = new Set<number>([
  VMCS.VM_ENTRY_CONTROLS,
  VMCS.VM_ENTRY_MSR_LOAD_ADDRESS,
  VMCS.VM_ENTRY_MSR_LOAD_COUNT,
]);

const ENTRY_EVENT: ReadonlySet<number> = new Set<number>([
  VMCS.VM_ENTRY_INTERRUPTION_INFORMATION,
  VMCS.VM_ENTRY_EXCEPTION_ERROR_CODE,
  VMCS.VM_ENTRY_INSTRUCTION_LENGTH,
]);

function controlGroup(encoding: number): number {
  if (EXECUTION_VALUES.has(encoding)) return GROUP.EXECUTION_VALUES;
  if (EXIT_CONTROLS.has(encoding)) return GROUP.EXIT_CONTROLS;
  if (ENTRY_CONTROLS.has(encoding)) return GROUP.ENTRY_CONTROLS;
  return ENTRY_EVENT.has(encoding) ? GROUP.ENTRY_EVENT : GROUP.EXECUTION_CONTROLS;
}

function guestGroup(encoding: number, name: string): number {
  if (/^GUEST_(ES|CS|SS|DS|FS|GS|LDTR|TR)_/.test(name)) return GROUP.GUEST_SEGMENTS;
  if (/^GUEST_(GDTR|IDTR)_/.test(name)) return GROUP.GUEST_DESCRIPTOR_TABLES;
  if (/^GUEST_PDPTE/.test(name)) return GROUP.GUEST_PDPTES;
  // Segment checks depend on RFLAGS.VM.
  if (encoding === VMCS.GUEST_RFLAGS) return GROUP.GUEST_FLAGS | GROUP.GUEST_SEGMENTS;
  if (encoding === VMCS.GUEST_RIP || encoding === VMCS.GUEST_RSP) return GROUP.GUEST_FLAGS;
  if (
    encoding === VMCS.VMCS_LINK_POINTER ||
    encoding === VMCS.GUEST_ACTIVITY_STATE ||
    encoding === VMCS.GUEST_INTERRUPTIBILITY_STATE ||
    encoding === VMCS.GUEST_PENDING_DEBUG_EXCEPTIONS ||
    encoding === VMCS.GUEST_SMBASE
  )
    return GROUP.GUEST_NON_REGISTER;
  // No check looks at these.
  if (encoding === VMCS.VMX_PREEMPTION_TIMER_VALUE || encoding === VMCS.GUEST_INTERRUPT_STATUS) return 0;
  return GROUP.GUEST_REGISTERS;
}

function groupOf(encoding: number, name: string): number {
  switch (fieldType(encoding)) {
    case FIELD_TYPE.CONTROL:
      return controlGroup(encoding);
    case FIELD_TYPE.GUEST_STATE:
      return guestGroup(encoding, name);
    case FIELD_TYPE.HOST_STATE:
      return GROUP.HOST;
    default:
      return 0;
  }
}

const ENCODINGS = 0x8000;

/** First 32-bit word of a field within the region by encoding (bit 0 clear); -1 for unsupported fields. */
export const SLOT = new Int16Array(ENCODINGS).fill(-1);
/** `GROUP` bits by encoding. */
export const FIELD_GROUP = new Uint16Array(ENCODINGS);

/** Encodings of the fields that every processor has, in ascending order. */
export const SUPPORTED_FIELDS: readonly number[] = Object.values(VMCS).filter(
  (encoding) => !UNSUPPORTED_FIELDS.has(encoding) && !OPTIONAL_FIELDS.has(encoding),
);

/** Fields with 64 bits take two words; 16- and 32-bit fields one, zero-extended. */
export const has64Bits = (encoding: number): boolean => (encoding & 0x2000) !== 0;

/**
 * Guest segment and descriptor-table registers lie in the region as they lie in the processor's block, so that they
 * are copied in one piece: from `STATE.SEGMENTS` to behind IDTR.
 */
export const MIRROR = {
  REGION_WORD: HEADER_WORDS,
  STATE_WORD: STATE.SEGMENTS >> 2,
  WORDS: (STATE.IDTR_LIMIT + 8 - STATE.SEGMENTS) >> 2,
} as const;

const mirrored = (offset: number): number => MIRROR.REGION_WORD + (offset >> 2) - MIRROR.STATE_WORD;

function placeMirror(): void {
  for (const s of GUEST_SEGMENTS) {
    const offset = STATE.SEGMENTS + s.number * SEGMENT_STRIDE;
    SLOT[s.base] = mirrored(offset + SEGMENT_FIELD.BASE);
    SLOT[s.limit] = mirrored(offset + SEGMENT_FIELD.LIMIT);
    SLOT[s.accessRights] = mirrored(offset + SEGMENT_FIELD.ACCESS_RIGHTS);
    // The 16 bits behind a selector are padding, zero in both places.
    SLOT[s.selector] = mirrored(offset + SEGMENT_FIELD.SELECTOR);
  }
  SLOT[VMCS.GUEST_GDTR_BASE] = mirrored(STATE.GDTR_BASE);
  SLOT[VMCS.GUEST_GDTR_LIMIT] = mirrored(STATE.GDTR_LIMIT);
  SLOT[VMCS.GUEST_IDTR_BASE] = mirrored(STATE.IDTR_BASE);
  SLOT[VMCS.GUEST_IDTR_LIMIT] = mirrored(STATE.IDTR_LIMIT);
}

/** Gives all other fields their place behind the mirrored ones. @returns the number of words in use */
function placeOthers(): number {
  let next = MIRROR.REGION_WORD + MIRROR.WORDS;
  for (const encoding of [...SUPPORTED_FIELDS, ...OPTIONAL_FIELDS.keys()]) {
    if (SLOT[encoding] !== -1) continue;
    SLOT[encoding] = next;
    next += has64Bits(encoding) ? 2 : 1;
  }
  return next;
}

placeMirror();
/** Words of the region in use, header included. */
export const REGION_WORDS_USED: number = placeOthers();
for (const [name, encoding] of Object.entries(VMCS)) FIELD_GROUP[encoding] = groupOf(encoding, name);
