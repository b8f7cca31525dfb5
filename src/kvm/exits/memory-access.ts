/** EPT violations and misconfigurations (exits 48, 49) and accesses to the APIC's page (exit 44). */

import {
  APIC_ACCESS_TYPE,
  decodeApicAccessQualification,
} from '../../architecture/vmx/exit-qualifications.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import { APIC_REGISTER } from '../../devices/local-apic-registers.js';
import { operation } from '../../host/cost/operations.js';
import { type GuestPhysicalAddress, guestPhysical } from '../../memory/addresses.js';
import { emulateInstruction } from '../emulated-instruction.js';
import type { KvmExit } from '../kvm-exit.js';
import { handleEptViolation as mapPage } from '../mmu/page-fault.js';
import { REQUEST, type Vcpu } from '../vcpu.js';

const EPT_HANDLER = operation('EPT violation handler');
const MISCONFIGURATION_HANDLER = operation('EPT misconfiguration handler');
const APIC_HANDLER = operation('APIC access handler');

/** A page that is not mapped yet, or MMIO (handle_ept_violation). */
export function handleEptViolation(vcpu: Vcpu): KvmExit | undefined {
  const { cpu } = vcpu;
  cpu.vmread(VMCS.EXIT_QUALIFICATION);
  return handlePageFault(vcpu, guestPhysical(cpu.vmreadNumber(VMCS.GUEST_PHYSICAL_ADDRESS)));
}

/** tdp_page_fault. */
function handlePageFault(vcpu: Vcpu, address: GuestPhysicalAddress): KvmExit | undefined {
  const { cpu, vm } = vcpu;
  cpu.charge(EPT_HANDLER);
  const outcome = mapPage(address, vm.memorySlots, vm.extendedPageTables, cpu);
  if (outcome === 'mapped') {
    if (vcpu.tracker.listening) vcpu.tracker.note('page mapped');
    return undefined;
  }
  if (vm.policies.mmioExit !== 'violation')
    vm.extendedPageTables.markMmio(address, vm.memorySlots.generation, cpu);
  return emulateMmio(vcpu);
}

/**
 * An access to a page that is known to be MMIO (handle_ept_misconfig). An ioeventfd of any length needs nothing but the
 * address; like the original, this does not see whether the access is a write.
 */
export function handleEptMisconfiguration(vcpu: Vcpu): KvmExit | undefined {
  const { cpu, vm } = vcpu;
  cpu.charge(MISCONFIGURATION_HANDLER);
  const address = guestPhysical(cpu.vmreadNumber(VMCS.GUEST_PHYSICAL_ADDRESS));
  if (vm.fastMmioBus?.write(address, 0, 0, cpu) === true) {
    if (vcpu.tracker.listening) vcpu.tracker.note('handled in the kernel');
    vcpu.skipInstruction();
    return undefined;
  }
  const generation = vm.extendedPageTables.mmioGeneration(address, cpu);
  // Another CPU has taken the mark away since, because slots changed: the guest tries again (RET_MMIO_PF_RETRY).
  if (generation === undefined) return undefined;
  return generation === vm.memorySlots.generation ? emulateMmio(vcpu) : handlePageFault(vcpu, address);
}

function emulateMmio(vcpu: Vcpu): KvmExit | undefined {
  if (vcpu.tracker.listening) vcpu.tracker.note('no memory slot: emulated as MMIO');
  return emulateInstruction(vcpu);
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
    vcpu.makeRequest(REQUEST.EVENT);
    vcpu.skipInstruction();
    return undefined;
  }
  if (vcpu.tracker.listening) vcpu.tracker.note('instruction emulated');
  return emulateInstruction(vcpu);
}
