/** EPT violations and misconfigurations (exits 48, 49) and accesses to the APIC's page (exit 44). */

import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
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

/** handle_apic_access of 2.6.32: the qualification says what the guest does, but the emulator finds it out again. */
export function handleApicAccess(vcpu: Vcpu): KvmExit | undefined {
  const { cpu } = vcpu;
  cpu.charge(APIC_HANDLER);
  cpu.vmread(VMCS.EXIT_QUALIFICATION);
  return emulateInstruction(vcpu);
}
