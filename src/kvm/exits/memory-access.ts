/** EPT violations and misconfigurations (exits 48, 49) and accesses to the APIC's page (exit 44). */

import {
  APIC_ACCESS_TYPE,
  decodeApicAccessQualification,
} from '../../architecture/vmx/exit-qualifications.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import { APIC_REGISTER } from '../../devices/local-apic-registers.js';
import { operation } from '../../host/cost/operations.js';
import { guestPhysical } from '../../memory/addresses.js';
import { emulateInstruction } from '../emulated-instruction.js';
import type { KvmExit } from '../kvm-exit.js';
import { handleEptViolation as mapPage } from '../mmu/page-fault.js';
import type { Vcpu } from '../vcpu.js';

const EPT_HANDLER = operation('EPT violation handler');
const APIC_HANDLER = operation('APIC access handler');

/** A page that is not mapped yet, or MMIO (handle_ept_violation, tdp_page_fault). */
export function handleEptViolation(vcpu: Vcpu): KvmExit | undefined {
  const { cpu, vm } = vcpu;
  cpu.charge(EPT_HANDLER);
  cpu.vmread(VMCS.EXIT_QUALIFICATION);
  const address = guestPhysical(cpu.vmreadNumber(VMCS.GUEST_PHYSICAL_ADDRESS));
  const outcome = mapPage(address, vm.memorySlots, vm.extendedPageTables, cpu);
  if (outcome === 'mapped') {
    if (vcpu.tracker.listening) vcpu.tracker.note('page mapped');
    return undefined;
  }
  if (vcpu.tracker.listening) vcpu.tracker.note('no memory slot: emulated as MMIO');
  return emulateInstruction(vcpu);
}

/** A table entry that no code of this hypervisor makes: handle_ept_misconfig gives up. */
export function handleEptMisconfiguration(vcpu: Vcpu): KvmExit {
  vcpu.charge(EPT_HANDLER);
  return { reason: 'unknown', hardwareReason: vcpu.vmx.exitReason };
}

/**
 * handle_apic_access. In 2.6.32 the qualification says what the guest does, but the emulator finds it out again. Later
 * ends of interrupt, of which the value does not matter, are recognised by it.
 */
export function handleApicAccess(vcpu: Vcpu): KvmExit | undefined {
  const { cpu } = vcpu;
  cpu.charge(APIC_HANDLER);
  const access = decodeApicAccessQualification(cpu.vmreadNumber(VMCS.EXIT_QUALIFICATION));
  if (
    vcpu.vm.policies.apicAccess === 'fast-eoi' &&
    access.type === APIC_ACCESS_TYPE.LINEAR_WRITE &&
    access.offset === APIC_REGISTER.EOI
  ) {
    if (vcpu.tracker.listening) vcpu.tracker.note('end of interrupt by exit qualification');
    vcpu.interrupts.endOfInterrupt();
    vcpu.skipInstruction();
    return undefined;
  }
  return emulateInstruction(vcpu);
}
