/** Loading host state (SDM Vol. 3C, 27.5), as generated code. */

import { CR4, EFER } from '../../architecture/control-registers.js';
import { SEGMENT } from '../../architecture/registers.js';
import { RFLAGS } from '../../architecture/rflags.js';
import { EXIT_CONTROL } from '../../architecture/vmx/controls.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import { SEGMENT_FIELD, SEGMENT_STRIDE, STATE } from '../../processor/state/layout.js';
import { type I32, i64 } from '../../wasm/expression.js';
import { DR7_RESET, loadedCr0 } from '../control-register-fixes.js';
import { ALL_FLAGS, RSP_OFFSET, type TransferBuilder } from '../transfer/transfer-builder.js';

/** Access rights and limits that every VM exit gives (27.5.2 Loading Host Segment and Descriptor-Table Registers). */
const CODE_64 = 0xa09b;
const CODE_32 = 0xc09b;
const DATA = 0xc093;
const BUSY_TSS = 0x8b;
const UNUSABLE = 0x10000;
const FLAT_LIMIT = -1;
const TSS_LIMIT = 0x67;
const TABLE_LIMIT = 0xffff;

const segmentOffset = (number: number): number => STATE.SEGMENTS + number * SEGMENT_STRIDE;

function loadSegment(
  t: TransferBuilder,
  number: number,
  selector: I32 | number,
  limit: number,
  accessRights: I32 | number,
  baseField?: number,
): void {
  const offset = segmentOffset(number);
  t.setRegister(offset + SEGMENT_FIELD.SELECTOR, selector);
  t.setRegister(offset + SEGMENT_FIELD.LIMIT, limit);
  t.setRegister(offset + SEGMENT_FIELD.ACCESS_RIGHTS, accessRights);
  if (baseField === undefined) t.setRegisterWide(offset + SEGMENT_FIELD.BASE, 0n);
  else t.loadRegister(offset + SEGMENT_FIELD.BASE, baseField);
}

/** A data segment is unusable with a null selector. */
function loadData(t: TransferBuilder, number: number, selectorField: number, baseField?: number): void {
  const selector = t.builder.bind32(t.field(selectorField));
  const accessRights = selector.isZero().multiply(UNUSABLE).or(DATA);
  loadSegment(t, number, selector, FLAT_LIMIT, accessRights, baseField);
}

function loadSegments(t: TransferBuilder, longMode: I32): void {
  const code = longMode.multiply(CODE_64 ^ CODE_32).xor(CODE_32);
  loadSegment(t, SEGMENT.CS, t.field(VMCS.HOST_CS_SELECTOR), FLAT_LIMIT, code);
  loadData(t, SEGMENT.ES, VMCS.HOST_ES_SELECTOR);
  loadData(t, SEGMENT.SS, VMCS.HOST_SS_SELECTOR);
  loadData(t, SEGMENT.DS, VMCS.HOST_DS_SELECTOR);
  loadData(t, SEGMENT.FS, VMCS.HOST_FS_SELECTOR, VMCS.HOST_FS_BASE);
  loadData(t, SEGMENT.GS, VMCS.HOST_GS_SELECTOR, VMCS.HOST_GS_BASE);
  loadSegment(t, SEGMENT.TR, t.field(VMCS.HOST_TR_SELECTOR), TSS_LIMIT, BUSY_TSS, VMCS.HOST_TR_BASE);
  loadSegment(t, SEGMENT.LDTR, 0, 0, UNUSABLE);
  t.loadRegister(STATE.GDTR_BASE, VMCS.HOST_GDTR_BASE);
  t.setRegister(STATE.GDTR_LIMIT, TABLE_LIMIT);
  t.loadRegister(STATE.IDTR_BASE, VMCS.HOST_IDTR_BASE);
  t.setRegister(STATE.IDTR_LIMIT, TABLE_LIMIT);
}

/** Model-specific registers (27.5.1 Loading Host Control Registers, Debug Registers, MSRs). */
function loadModelSpecific(t: TransferBuilder, controls: I32, longMode: I32): void {
  t.setRegister(STATE.DEBUGCTL, 0);
  t.loadRegister(STATE.SYSENTER_CS, VMCS.HOST_IA32_SYSENTER_CS);
  t.loadRegister(STATE.SYSENTER_ESP, VMCS.HOST_IA32_SYSENTER_ESP);
  t.loadRegister(STATE.SYSENTER_EIP, VMCS.HOST_IA32_SYSENTER_EIP);
  const longModeBits = EFER.LMA | EFER.LME;
  t.builder.if(
    controls.and(EXIT_CONTROL.LOAD_IA32_EFER),
    () => t.setRegister(STATE.EFER, t.field(VMCS.HOST_IA32_EFER)),
    () =>
      t.setRegister(
        STATE.EFER,
        t.register(STATE.EFER).and(~longModeBits).or(longMode.multiply(longModeBits)),
      ),
  );
  t.builder.if(controls.and(EXIT_CONTROL.LOAD_IA32_PAT), () => t.loadRegister(STATE.PAT, VMCS.HOST_IA32_PAT));
}

export function loadHostState(t: TransferBuilder): void {
  const controls = t.builder.bind32(t.field(VMCS.VM_EXIT_CONTROLS));
  const longMode = t.builder.bind32(controls.and(EXIT_CONTROL.HOST_ADDRESS_SPACE_SIZE).notEquals(0));
  t.setRegister(STATE.CR0, loadedCr0(t.field(VMCS.HOST_CR0), t.register(STATE.CR0)));
  t.loadRegister(STATE.CR3, VMCS.HOST_CR3);
  t.setRegisterWide(STATE.CR4, t.fieldWide(VMCS.HOST_CR4).or(longMode.multiply(CR4.PAE).extendUnsigned()));
  const dr7 = STATE.DEBUG + 7 * 8;
  t.setRegisterWide(dr7, BigInt(DR7_RESET));
  loadModelSpecific(t, controls, longMode);
  loadSegments(t, longMode);
  t.loadRegister(RSP_OFFSET, VMCS.HOST_RSP);
  t.loadRegister(STATE.RIP, VMCS.HOST_RIP);
  t.flags.load(i64(BigInt(RFLAGS.FIXED)), ALL_FLAGS);
}
