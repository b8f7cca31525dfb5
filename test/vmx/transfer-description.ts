/** What VM entries and VM exits load and save, register by register in the manual's words (SDM Vol. 3C, 26.3.2, 27.3, 27.5). */

import { SEGMENT } from '../../src/architecture/registers.js';
import { VMCS } from '../../src/architecture/vmx/vmcs-fields.js';
import { STATE } from '../../src/processor/state/layout.js';
import type { ProcessorState } from '../../src/processor/state/processor-state.js';
import type { Vmcs } from '../../src/vmx/vmcs.js';
import { FIELD_GROUP, GROUP, has64Bits } from '../../src/vmx/vmcs-layout.js';

const DR7 = STATE.DEBUG + 7 * 8;
const RSP = 4;
/** The name of a segment in the names of its fields. */
const SEGMENT_NAMES = Object.keys(SEGMENT) as (keyof typeof SEGMENT)[];
const fieldOf = (name: string): number => VMCS[name as keyof typeof VMCS];
const low32 = (value: bigint): number => Number(value & 0xffffffffn);
const has = (controls: bigint, bit: number): boolean => ((controls >> BigInt(bit)) & 1n) !== 0n;

/** ET, NW, CD and the reserved bits of CR0 are not loaded (26.3.2.1, 27.5.1); ET is always 1. */
function loadCr0(state: ProcessorState, value: bigint): void {
  let result = 0;
  for (let bit = 0; bit < 32; bit++) {
    const kept = (bit >= 6 && bit <= 15) || bit === 17 || (bit >= 19 && bit <= 30);
    const source = kept ? BigInt(state.cr0) : value;
    if (bit === 4 || has(source, bit)) result |= 1 << bit;
  }
  state.cr0 = result;
}

function setLongMode(state: ProcessorState, lma: boolean, lme: boolean): void {
  state.efer = (state.efer & ~0x500) | (lma ? 0x400 : 0) | (lme ? 0x100 : 0);
}

/** 26.3.2 Loading Guest State. */
export function loadGuest(state: ProcessorState, vmcs: Vmcs): void {
  const controls = vmcs.value(VMCS.VM_ENTRY_CONTROLS);
  loadCr0(state, vmcs.value(VMCS.GUEST_CR0));
  state.cr3 = vmcs.value(VMCS.GUEST_CR3);
  state.write64(STATE.CR4, vmcs.value(VMCS.GUEST_CR4));
  if (has(controls, 2)) {
    const dr7 = low32(vmcs.value(VMCS.GUEST_DR7));
    // Bits 12 and 14 to 15 are reserved as 0, bit 10 as 1.
    state.write32(DR7, (dr7 & ~((1 << 12) | (1 << 14) | (1 << 15))) | (1 << 10));
    state.write32(STATE.DEBUGCTL, low32(vmcs.value(VMCS.GUEST_IA32_DEBUGCTL)));
  }
  state.write32(STATE.SYSENTER_CS, low32(vmcs.value(VMCS.GUEST_IA32_SYSENTER_CS)));
  state.write64(STATE.SYSENTER_ESP, vmcs.value(VMCS.GUEST_IA32_SYSENTER_ESP));
  state.write64(STATE.SYSENTER_EIP, vmcs.value(VMCS.GUEST_IA32_SYSENTER_EIP));
  if (has(controls, 15)) state.efer = low32(vmcs.value(VMCS.GUEST_IA32_EFER));
  else {
    const longMode = has(controls, 9);
    // Without paging, LME keeps its value unless the guest is in IA-32e mode.
    const paging = has(vmcs.value(VMCS.GUEST_CR0), 31);
    setLongMode(state, longMode, longMode || (!paging && (state.efer & 0x100) !== 0));
  }
  if (has(controls, 14)) state.write64(STATE.PAT, vmcs.value(VMCS.GUEST_IA32_PAT));
  for (const name of SEGMENT_NAMES) {
    const register = state.segment(SEGMENT[name]);
    register.selector = low32(vmcs.value(fieldOf(`GUEST_${name}_SELECTOR`)));
    register.base = vmcs.value(fieldOf(`GUEST_${name}_BASE`));
    register.limit = low32(vmcs.value(fieldOf(`GUEST_${name}_LIMIT`)));
    register.accessRights = low32(vmcs.value(fieldOf(`GUEST_${name}_ACCESS_RIGHTS`)));
  }
  state.write64(STATE.GDTR_BASE, vmcs.value(VMCS.GUEST_GDTR_BASE));
  state.write32(STATE.GDTR_LIMIT, low32(vmcs.value(VMCS.GUEST_GDTR_LIMIT)));
  state.write64(STATE.IDTR_BASE, vmcs.value(VMCS.GUEST_IDTR_BASE));
  state.write32(STATE.IDTR_LIMIT, low32(vmcs.value(VMCS.GUEST_IDTR_LIMIT)));
  state.rip = vmcs.value(VMCS.GUEST_RIP);
  state.writeGpr(RSP, vmcs.value(VMCS.GUEST_RSP));
  state.rflags = low32(vmcs.value(VMCS.GUEST_RFLAGS));
}

export interface SavedState {
  readonly interruptibility: number;
  readonly activity: number;
  readonly resumeFlag: 'keep' | 'clear' | 'set';
}

/** 27.3 Saving Guest State. @returns `GROUP` bits of fields that changed, as far as checks look at them */
export function saveGuest(state: ProcessorState, vmcs: Vmcs, saved: SavedState): number {
  let changed = 0;
  const put = (field: number, value: bigint, group = FIELD_GROUP[field]!): void => {
    if (vmcs.value(field) === value) return;
    changed |= group;
    if (has64Bits(field)) vmcs.store64(field, low32(value), low32(value >> 32n));
    else vmcs.store32(field, low32(value));
  };
  const controls = vmcs.value(VMCS.VM_EXIT_CONTROLS);
  put(VMCS.GUEST_CR0, BigInt(state.cr0));
  put(VMCS.GUEST_CR3, state.cr3);
  put(VMCS.GUEST_CR4, state.read64(STATE.CR4));
  put(VMCS.GUEST_IA32_SYSENTER_CS, BigInt(state.read32(STATE.SYSENTER_CS)));
  put(VMCS.GUEST_IA32_SYSENTER_ESP, state.read64(STATE.SYSENTER_ESP));
  put(VMCS.GUEST_IA32_SYSENTER_EIP, state.read64(STATE.SYSENTER_EIP));
  if (has(controls, 2)) {
    put(VMCS.GUEST_DR7, BigInt(state.read32(DR7)));
    put(VMCS.GUEST_IA32_DEBUGCTL, BigInt(state.read32(STATE.DEBUGCTL)));
  }
  if (has(controls, 18)) put(VMCS.GUEST_IA32_PAT, state.read64(STATE.PAT));
  if (has(controls, 20)) put(VMCS.GUEST_IA32_EFER, BigInt(state.efer));
  const entry = vmcs.value(VMCS.VM_ENTRY_CONTROLS);
  put(VMCS.VM_ENTRY_CONTROLS, (entry & ~0x200n) | ((state.efer & 0x400) !== 0 ? 0x200n : 0n));
  for (const name of SEGMENT_NAMES) {
    const register = state.segment(SEGMENT[name]);
    put(fieldOf(`GUEST_${name}_SELECTOR`), BigInt(register.selector));
    put(fieldOf(`GUEST_${name}_BASE`), register.base);
    put(fieldOf(`GUEST_${name}_LIMIT`), BigInt(register.limit));
    put(fieldOf(`GUEST_${name}_ACCESS_RIGHTS`), BigInt(register.accessRights));
  }
  put(VMCS.GUEST_GDTR_BASE, state.read64(STATE.GDTR_BASE));
  put(VMCS.GUEST_GDTR_LIMIT, BigInt(state.read32(STATE.GDTR_LIMIT)));
  put(VMCS.GUEST_IDTR_BASE, state.read64(STATE.IDTR_BASE));
  put(VMCS.GUEST_IDTR_LIMIT, BigInt(state.read32(STATE.IDTR_LIMIT)));
  put(VMCS.GUEST_RIP, state.rip);
  put(VMCS.GUEST_RSP, state.readGpr(RSP));
  const { rflags } = state;
  const flags =
    saved.resumeFlag === 'keep'
      ? BigInt(rflags)
      : (BigInt(rflags) & ~0x10000n) | (saved.resumeFlag === 'set' ? 0x10000n : 0n);
  // Checks of RFLAGS are always made; those of segments look at VM.
  const switched = has(vmcs.value(VMCS.GUEST_RFLAGS) ^ flags, 17);
  put(VMCS.GUEST_RFLAGS, flags, switched ? GROUP.GUEST_SEGMENTS : 0);
  put(VMCS.GUEST_INTERRUPTIBILITY_STATE, BigInt(saved.interruptibility));
  put(VMCS.GUEST_ACTIVITY_STATE, BigInt(saved.activity));
  const held = saved.activity !== 0 || (saved.interruptibility & 3) !== 0;
  const singleSteps = (rflags & 0x100) !== 0 && (state.read32(STATE.DEBUGCTL) & 2) === 0;
  put(VMCS.GUEST_PENDING_DEBUG_EXCEPTIONS, held && singleSteps ? 0x4000n : 0n);
  return changed;
}

/** 27.5 Loading Host State. */
export function loadHost(state: ProcessorState, vmcs: Vmcs): void {
  const controls = vmcs.value(VMCS.VM_EXIT_CONTROLS);
  const longMode = has(controls, 9);
  loadCr0(state, vmcs.value(VMCS.HOST_CR0));
  state.cr3 = vmcs.value(VMCS.HOST_CR3);
  state.write64(STATE.CR4, vmcs.value(VMCS.HOST_CR4) | (longMode ? 0x20n : 0n));
  state.write64(DR7, 0x400n);
  state.write32(STATE.DEBUGCTL, 0);
  state.write32(STATE.SYSENTER_CS, low32(vmcs.value(VMCS.HOST_IA32_SYSENTER_CS)));
  state.write64(STATE.SYSENTER_ESP, vmcs.value(VMCS.HOST_IA32_SYSENTER_ESP));
  state.write64(STATE.SYSENTER_EIP, vmcs.value(VMCS.HOST_IA32_SYSENTER_EIP));
  if (has(controls, 21)) state.efer = low32(vmcs.value(VMCS.HOST_IA32_EFER));
  else setLongMode(state, longMode, longMode);
  if (has(controls, 19)) state.write64(STATE.PAT, vmcs.value(VMCS.HOST_IA32_PAT));
  for (const name of ['CS', 'SS', 'DS', 'ES', 'FS', 'GS'] as const) {
    const register = state.segment(SEGMENT[name]);
    register.selector = low32(vmcs.value(fieldOf(`HOST_${name}_SELECTOR`)));
    const hasBase = name === 'FS' || name === 'GS';
    register.base = hasBase ? vmcs.value(fieldOf(`HOST_${name}_BASE`)) : 0n;
    register.limit = 0xffffffff;
    if (name === 'CS') register.accessRights = longMode ? 0xa09b : 0xc09b;
    else register.accessRights = register.selector === 0 ? 0x1c093 : 0xc093;
  }
  const tr = state.segment(SEGMENT.TR);
  tr.selector = low32(vmcs.value(VMCS.HOST_TR_SELECTOR));
  tr.base = vmcs.value(VMCS.HOST_TR_BASE);
  tr.limit = 0x67;
  tr.accessRights = 0x8b;
  const ldtr = state.segment(SEGMENT.LDTR);
  ldtr.selector = 0;
  ldtr.base = 0n;
  ldtr.limit = 0;
  ldtr.accessRights = 0x10000;
  state.write64(STATE.GDTR_BASE, vmcs.value(VMCS.HOST_GDTR_BASE));
  state.write32(STATE.GDTR_LIMIT, 0xffff);
  state.write64(STATE.IDTR_BASE, vmcs.value(VMCS.HOST_IDTR_BASE));
  state.write32(STATE.IDTR_LIMIT, 0xffff);
  state.rip = vmcs.value(VMCS.HOST_RIP);
  state.writeGpr(RSP, vmcs.value(VMCS.HOST_RSP));
  state.rflags = 2;
}
