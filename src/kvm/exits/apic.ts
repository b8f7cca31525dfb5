/** Exits of APIC virtualisation: writes to registers (exit 56) and ends of interrupt that others wait for (exit 45). */

import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import { operation } from '../../host/cost/operations.js';
import type { Vcpu } from '../vcpu.js';

const APIC_HANDLER = operation('APIC access handler');

/** handle_apic_write: the instruction is complete, the register has its value in the virtual-APIC page. */
export function handleApicWrite(vcpu: Vcpu): undefined {
  vcpu.charge(APIC_HANDLER);
  vcpu.interrupts.registerWritten(vcpu.cpu.vmreadNumber(VMCS.EXIT_QUALIFICATION) & 0xff0);
}

/** handle_apic_eoi_induced: the processor has ended the interrupt, an I/O APIC waits to hear of it. */
export function handleEndOfInterrupt(vcpu: Vcpu): undefined {
  vcpu.charge(APIC_HANDLER);
  vcpu.interrupts.interruptEnded(vcpu.cpu.vmreadNumber(VMCS.EXIT_QUALIFICATION) & 0xff);
}
