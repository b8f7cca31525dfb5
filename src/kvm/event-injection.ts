/** Events on their way into the guest (inject_pending_event, enable_irq_window, vmx_complete_interrupts). */

import { CR0 } from '../architecture/control-registers.js';
import { RFLAGS } from '../architecture/rflags.js';
import { VECTOR } from '../architecture/vectors.js';
import { PRIMARY } from '../architecture/vmx/controls.js';
import { INTERRUPTIBILITY } from '../architecture/vmx/guest-state.js';
import {
  encodeInterruption,
  INTERRUPTION_INFORMATION,
  INTERRUPTION_TYPE,
  interruptionType,
  interruptionValid,
  interruptionVector,
} from '../architecture/vmx/interruption-information.js';
import { VMCS } from '../architecture/vmx/vmcs-fields.js';
import { operation } from '../host/cost/operations.js';
import type { InjectionRecord } from '../trace/events.js';
import { REQUEST, type Vcpu } from './vcpu.js';

const INJECTION_CHECK = operation('event injection check');
const STI_OR_MOV_SS = INTERRUPTIBILITY.BLOCKING_BY_STI | INTERRUPTIBILITY.BLOCKING_BY_MOV_SS;

/** The part of vcpu_enter_guest that looks for events: on every entry in 2.6.32, on request later (KVM_REQ_EVENT). */
export function injectPendingEvent(vcpu: Vcpu): void {
  const { cpu, interrupts } = vcpu;
  cpu.charge(INJECTION_CHECK);
  let interruptWaits = interrupts.hasInjectableInterrupt();
  if (vcpu.exception !== undefined) queueException(vcpu);
  else if (vcpu.nmiInjected) writeInterruption(vcpu, VECTOR.NMI, INTERRUPTION_TYPE.NMI);
  else if (vcpu.injectedInterrupt !== undefined) queueInterrupt(vcpu);
  else if (vcpu.nmiPending) {
    if (nmiAllowed(vcpu)) {
      vcpu.nmiPending = false;
      vcpu.nmiInjected = true;
      writeInterruption(vcpu, VECTOR.NMI, INTERRUPTION_TYPE.NMI);
    }
  } else if (interruptWaits && interruptAllowed(vcpu)) {
    vcpu.injectedInterrupt = { vector: interrupts.acknowledge(), software: false, instructionLength: 0 };
    queueInterrupt(vcpu);
    interruptWaits = interrupts.hasInjectableInterrupt();
  }
  if (vcpu.nmiPending) openWindow(vcpu, PRIMARY.NMI_WINDOW_EXITING);
  else if (interruptWaits || vcpu.requestInterruptWindow) openWindow(vcpu, PRIMARY.INTERRUPT_WINDOW_EXITING);
  if (interrupts.enabled && vcpu.vmx.tprShadow && interrupts.virtualisation?.delivers !== true)
    updateTprThreshold(vcpu);
  interrupts.syncToGuest();
}

/**
 * vmx_cancel_injection: the entry that was to deliver an event is called off. The event is still the vCPU's, and will be
 * injected before the next entry.
 */
export function cancelInjection(vcpu: Vcpu): void {
  const { cpu, interrupts } = vcpu;
  if (interrupts.hasOffer) interrupts.syncFromGuest();
  vcpu.makeRequest(REQUEST.EVENT);
  if (interruptionValid(cpu.vmreadNumber(VMCS.VM_ENTRY_INTERRUPTION_INFORMATION)))
    cpu.vmwriteNumber(VMCS.VM_ENTRY_INTERRUPTION_INFORMATION, 0);
}

/** RFLAGS.IF is set and nothing blocks interrupts (vmx_interrupt_allowed): two VMREADs. */
export function interruptAllowed(vcpu: Vcpu): boolean {
  return (
    (vcpu.readRflags() & RFLAGS.IF) !== 0 &&
    (vcpu.cpu.vmreadNumber(VMCS.GUEST_INTERRUPTIBILITY_STATE) & STI_OR_MOV_SS) === 0
  );
}

function nmiAllowed(vcpu: Vcpu): boolean {
  const blocking = STI_OR_MOV_SS | INTERRUPTIBILITY.BLOCKING_BY_NMI;
  return (vcpu.cpu.vmreadNumber(VMCS.GUEST_INTERRUPTIBILITY_STATE) & blocking) === 0;
}

/** vmx_queue_exception. */
function queueException(vcpu: Vcpu): void {
  const { cpu } = vcpu;
  const { vector, instructionLength } = vcpu.exception!;
  // Real mode has no error codes (SDM Vol. 3C, 26.2.1.3 VM-Entry Control Fields).
  const errorCode = (vcpu.cr0 & CR0.PE) === 0 ? undefined : vcpu.exception!.errorCode;
  if (errorCode !== undefined) cpu.vmwriteNumber(VMCS.VM_ENTRY_EXCEPTION_ERROR_CODE, errorCode);
  let type: number = INTERRUPTION_TYPE.HARDWARE_EXCEPTION;
  if (instructionLength !== undefined) {
    cpu.vmwriteNumber(VMCS.VM_ENTRY_INSTRUCTION_LENGTH, instructionLength);
    type = INTERRUPTION_TYPE.SOFTWARE_EXCEPTION;
  }
  writeInterruption(vcpu, vector, type, errorCode);
}

/** vmx_inject_irq. */
function queueInterrupt(vcpu: Vcpu): void {
  const { vector, software, instructionLength } = vcpu.injectedInterrupt!;
  vcpu.vm.statistics.irqInjections++;
  if (software) vcpu.cpu.vmwriteNumber(VMCS.VM_ENTRY_INSTRUCTION_LENGTH, instructionLength);
  const type = software ? INTERRUPTION_TYPE.SOFTWARE_INTERRUPT : INTERRUPTION_TYPE.EXTERNAL_INTERRUPT;
  writeInterruption(vcpu, vector, type);
}

function writeInterruption(vcpu: Vcpu, vector: number, type: number, errorCode?: number): void {
  vcpu.cpu.vmwriteNumber(
    VMCS.VM_ENTRY_INTERRUPTION_INFORMATION,
    encodeInterruption(vector, type, errorCode !== undefined),
  );
  const { trace } = vcpu.vm;
  if (trace.injection === undefined) return;
  let kind: InjectionRecord['kind'] = 'exception';
  if (type === INTERRUPTION_TYPE.NMI) kind = 'nmi';
  else if (type === INTERRUPTION_TYPE.EXTERNAL_INTERRUPT || type === INTERRUPTION_TYPE.SOFTWARE_INTERRUPT)
    kind = 'interrupt';
  trace.injection({ vcpu: vcpu.id, time: vcpu.cpu.now, kind, vector, errorCode });
}

function openWindow(vcpu: Vcpu, control: number): void {
  const { cpu } = vcpu;
  const controls = cpu.vmreadNumber(VMCS.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS);
  cpu.vmwriteNumber(VMCS.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS, (controls | control) >>> 0);
}

/** Ends interrupt-window or NMI-window exiting. */
export function closeWindow(vcpu: Vcpu, control: number): void {
  const { cpu } = vcpu;
  const controls = cpu.vmreadNumber(VMCS.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS);
  cpu.vmwriteNumber(VMCS.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS, (controls & ~control) >>> 0);
  vcpu.makeRequest(REQUEST.EVENT);
}

/** update_cr8_intercept: an exit only when the guest lowers its priority below what waits. */
function updateTprThreshold(vcpu: Vcpu): void {
  const request = vcpu.interrupts.highestRequest();
  const requestClass = request < 0 ? -1 : request >> 4;
  const threshold = requestClass < 0 || vcpu.interrupts.readCr8() < requestClass ? 0 : requestClass;
  vcpu.cpu.vmwriteNumber(VMCS.TPR_THRESHOLD, threshold);
}

/** vmx_complete_interrupts: an event whose delivery the exit interrupted is queued again. */
export function requeueInterruptedEvent(vcpu: Vcpu): void {
  const information = vcpu.vmx.idtVectoringInformation;
  vcpu.nmiInjected = false;
  vcpu.exception = undefined;
  vcpu.injectedInterrupt = undefined;
  if (!interruptionValid(information)) return;
  vcpu.makeRequest(REQUEST.EVENT);
  if (vcpu.tracker.listening) vcpu.tracker.note('event delivery starts again');
  const { cpu } = vcpu;
  const vector = interruptionVector(information);
  const hasErrorCode = (information & INTERRUPTION_INFORMATION.ERROR_CODE) !== 0;
  switch (interruptionType(information)) {
    case INTERRUPTION_TYPE.NMI: {
      // Delivery blocked further NMIs; it starts again, so they must not be blocked.
      vcpu.nmiInjected = true;
      const state = cpu.vmreadNumber(VMCS.GUEST_INTERRUPTIBILITY_STATE);
      cpu.vmwriteNumber(VMCS.GUEST_INTERRUPTIBILITY_STATE, state & ~INTERRUPTIBILITY.BLOCKING_BY_NMI);
      break;
    }
    case INTERRUPTION_TYPE.SOFTWARE_EXCEPTION:
      vcpu.exception = {
        vector,
        errorCode: undefined,
        instructionLength: cpu.vmreadNumber(VMCS.VM_EXIT_INSTRUCTION_LENGTH),
      };
      break;
    case INTERRUPTION_TYPE.HARDWARE_EXCEPTION:
      vcpu.exception = {
        vector,
        errorCode: hasErrorCode ? cpu.vmreadNumber(VMCS.IDT_VECTORING_ERROR_CODE) : undefined,
      };
      break;
    case INTERRUPTION_TYPE.SOFTWARE_INTERRUPT:
      vcpu.injectedInterrupt = {
        vector,
        software: true,
        instructionLength: cpu.vmreadNumber(VMCS.VM_EXIT_INSTRUCTION_LENGTH),
      };
      break;
    case INTERRUPTION_TYPE.EXTERNAL_INTERRUPT:
      vcpu.injectedInterrupt = { vector, software: false, instructionLength: 0 };
      break;
    default:
      break;
  }
}
