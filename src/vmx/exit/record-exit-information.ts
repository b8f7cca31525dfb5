/** Recording VM-exit information and updating VM-entry control fields (SDM Vol. 3C, 27.2). */

import {
  encodeInterruption,
  INTERRUPTION_INFORMATION,
  INTERRUPTION_TYPE,
} from '../../architecture/vmx/interruption-information.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import type { EventType, ProcessorEvent } from '../../processor/core.js';
import type { Vmcs } from '../vmcs.js';
import { SLOT } from '../vmcs-layout.js';
import type { ExitInformation } from './exit-information.js';

const TYPE_OF_EVENT: Record<EventType, number> = {
  'external-interrupt': INTERRUPTION_TYPE.EXTERNAL_INTERRUPT,
  nmi: INTERRUPTION_TYPE.NMI,
  'hardware-exception': INTERRUPTION_TYPE.HARDWARE_EXCEPTION,
  'software-interrupt': INTERRUPTION_TYPE.SOFTWARE_INTERRUPT,
  'privileged-software-exception': INTERRUPTION_TYPE.PRIVILEGED_SOFTWARE_EXCEPTION,
  'software-exception': INTERRUPTION_TYPE.SOFTWARE_EXCEPTION,
};

/** An event in the format of the interruption-information fields. */
export const interruptionOf = (event: ProcessorEvent): number =>
  encodeInterruption(event.vector, TYPE_OF_EVENT[event.type], event.errorCode !== undefined);

const REASON = SLOT[VMCS.EXIT_REASON]!;
const QUALIFICATION = SLOT[VMCS.EXIT_QUALIFICATION]!;
const LENGTH = SLOT[VMCS.VM_EXIT_INSTRUCTION_LENGTH]!;
const INSTRUCTION = SLOT[VMCS.VM_EXIT_INSTRUCTION_INFORMATION]!;
const INTERRUPTION = SLOT[VMCS.VM_EXIT_INTERRUPTION_INFORMATION]!;
const INTERRUPTION_ERROR_CODE = SLOT[VMCS.VM_EXIT_INTERRUPTION_ERROR_CODE]!;
const VECTORING = SLOT[VMCS.IDT_VECTORING_INFORMATION]!;
const VECTORING_ERROR_CODE = SLOT[VMCS.IDT_VECTORING_ERROR_CODE]!;
const LINEAR = SLOT[VMCS.GUEST_LINEAR_ADDRESS]!;
const PHYSICAL = SLOT[VMCS.GUEST_PHYSICAL_ADDRESS]!;
const ENTRY_EVENT = SLOT[VMCS.VM_ENTRY_INTERRUPTION_INFORMATION]!;

function write64(words: Int32Array, word: number, value: number | bigint): void {
  if (typeof value === 'number') {
    words[word] = value;
    words[word + 1] = value / 0x100000000;
  } else {
    words[word] = Number(value & 0xffffffffn);
    words[word + 1] = Number((value >> 32n) & 0xffffffffn);
  }
}

/** @param delivering the event whose delivery the exit interrupts */
export function recordExitInformation(
  vmcs: Vmcs,
  exit: ExitInformation,
  delivering: ProcessorEvent | undefined,
): void {
  const { words, base } = vmcs;
  words[base + REASON] = exit.reason;
  write64(words, base + QUALIFICATION, exit.qualification ?? 0);
  words[base + INTERRUPTION] = exit.interruptionInformation ?? 0;
  if (exit.interruptionErrorCode !== undefined)
    words[base + INTERRUPTION_ERROR_CODE] = exit.interruptionErrorCode;
  words[base + VECTORING] = 0;
  if (delivering !== undefined) {
    words[base + VECTORING] = interruptionOf(delivering);
    if (delivering.errorCode !== undefined) words[base + VECTORING_ERROR_CODE] = delivering.errorCode;
  }
  const length = exit.instructionLength ?? delivering?.instructionLength;
  if (length !== undefined) words[base + LENGTH] = length;
  if (exit.instructionInformation !== undefined) words[base + INSTRUCTION] = exit.instructionInformation;
  if (exit.guestLinearAddress !== undefined) write64(words, base + LINEAR, exit.guestLinearAddress);
  if (exit.guestPhysicalAddress !== undefined) write64(words, base + PHYSICAL, exit.guestPhysicalAddress);
  words[base + ENTRY_EVENT] = words[base + ENTRY_EVENT]! & ~INTERRUPTION_INFORMATION.VALID;
}
