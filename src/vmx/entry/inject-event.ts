/** The event that VM entry injects (SDM Vol. 3C, 26.6 Event Injection). */

import {
  INTERRUPTION_INFORMATION,
  INTERRUPTION_TYPE,
  interruptionType,
  interruptionVector,
} from '../../architecture/vmx/interruption-information.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import type { EventType, ProcessorEvent } from '../../processor/core.js';
import type { Vmcs } from '../vmcs.js';

const EVENT_TYPES: ReadonlyMap<number, EventType> = new Map([
  [INTERRUPTION_TYPE.EXTERNAL_INTERRUPT, 'external-interrupt'],
  [INTERRUPTION_TYPE.NMI, 'nmi'],
  [INTERRUPTION_TYPE.HARDWARE_EXCEPTION, 'hardware-exception'],
  [INTERRUPTION_TYPE.SOFTWARE_INTERRUPT, 'software-interrupt'],
  [INTERRUPTION_TYPE.PRIVILEGED_SOFTWARE_EXCEPTION, 'privileged-software-exception'],
  [INTERRUPTION_TYPE.SOFTWARE_EXCEPTION, 'software-exception'],
]);

const SOFTWARE_EVENTS: ReadonlySet<EventType> = new Set<EventType>([
  'software-interrupt',
  'privileged-software-exception',
  'software-exception',
]);

/** The event that the VM-entry interruption-information field describes; its valid bit is 1. */
export function eventToInject(vmcs: Vmcs): ProcessorEvent {
  const information = vmcs.low(VMCS.VM_ENTRY_INTERRUPTION_INFORMATION);
  const type = EVENT_TYPES.get(interruptionType(information))!;
  return {
    type,
    vector: interruptionVector(information),
    errorCode:
      (information & INTERRUPTION_INFORMATION.ERROR_CODE) !== 0
        ? vmcs.unsigned(VMCS.VM_ENTRY_EXCEPTION_ERROR_CODE)
        : undefined,
    instructionLength: SOFTWARE_EVENTS.has(type) ? vmcs.low(VMCS.VM_ENTRY_INSTRUCTION_LENGTH) : 0,
    payload: undefined,
  };
}
