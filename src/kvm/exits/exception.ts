/** Exceptions and NMIs (exit 0): handle_exception. */

import { VECTOR } from '../../architecture/vectors.js';
import {
  INTERRUPTION_INFORMATION,
  INTERRUPTION_TYPE,
  interruptionType,
  interruptionVector,
} from '../../architecture/vmx/interruption-information.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import { operation } from '../../host/cost/operations.js';
import { activateFpu } from '../fpu.js';
import type { Vcpu } from '../vcpu.js';

const HANDLER = operation('exception exit handler');

export function handleException(vcpu: Vcpu): undefined {
  const { cpu, vmx } = vcpu;
  cpu.charge(HANDLER);
  const information = vmx.exitInterruptionInformation;
  // NMIs and machine checks of the host were handled before interrupts came on.
  if (interruptionType(information) === INTERRUPTION_TYPE.NMI) return;
  const vector = interruptionVector(information);
  if (vector === VECTOR.MC) return;
  if (vector === VECTOR.NM && !vcpu.fpuActive) {
    if (vcpu.tracker.listening) vcpu.tracker.note('guest uses the FPU: its registers are activated');
    activateFpu(vcpu);
    return;
  }
  // #UD is intercepted for instructions of other vendors' processors; none of them is offered here.
  const errorCode =
    (information & INTERRUPTION_INFORMATION.ERROR_CODE) !== 0
      ? cpu.vmreadNumber(VMCS.VM_EXIT_INTERRUPTION_ERROR_CODE)
      : undefined;
  vcpu.injectException(vector, errorCode);
}
