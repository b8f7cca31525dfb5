/** What the VMCS says about the guest's local APIC, by the APIC's mode and the vCPU's APIC virtualisation. */

import { EFER } from '../architecture/control-registers.js';
import { SECONDARY } from '../architecture/vmx/controls.js';
import { VMCS } from '../architecture/vmx/vmcs-fields.js';
import type { HostPhysicalAddress } from '../memory/addresses.js';
import type { Vcpu } from './vcpu.js';

/** vmx_set_msr_bitmap. */
export function msrBitmapOf(vcpu: Vcpu): HostPhysicalAddress {
  const { vmx } = vcpu.vm;
  const longMode = (vcpu.efer & EFER.LMA) !== 0;
  const { virtualisation } = vcpu.interrupts;
  if (virtualisation !== undefined && vcpu.vmx.virtualX2apic)
    return vmx.x2apicBitmap(longMode, virtualisation.delivers);
  return longMode ? vmx.msrBitmapLongMode : vmx.msrBitmapLegacy;
}

/** The guest has changed its APIC's mode (vmx_set_virtual_apic_mode). */
export function apicModeChanged(vcpu: Vcpu): void {
  const { cpu, interrupts, vmx } = vcpu;
  if (interrupts.virtualisation === undefined) return;
  const isX2apic = (interrupts.readApicBase() & (1n << 10n)) !== 0n;
  if (isX2apic === vmx.virtualX2apic) return;
  vmx.virtualX2apic = isX2apic;
  const controls = cpu.vmreadNumber(VMCS.SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS);
  const [on, off] = isX2apic
    ? [SECONDARY.VIRTUALIZE_X2APIC_MODE, SECONDARY.VIRTUALIZE_APIC_ACCESSES]
    : [SECONDARY.VIRTUALIZE_APIC_ACCESSES, SECONDARY.VIRTUALIZE_X2APIC_MODE];
  cpu.vmwriteNumber(VMCS.SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS, ((controls | on) & ~off) >>> 0);
  cpu.vmwriteNumber(VMCS.ADDRESS_OF_MSR_BITMAPS, msrBitmapOf(vcpu));
}

/** Before an entry: what is requested goes to the processor (vmx_hwapic_irr_update, vmx_load_eoi_exitmap). */
export function syncVirtualInterrupts(vcpu: Vcpu): void {
  const { cpu, interrupts } = vcpu;
  const { eoiExits } = interrupts.virtualisation!;
  const request = Math.max(0, interrupts.highestRequest());
  const status = cpu.vmreadNumber(VMCS.GUEST_INTERRUPT_STATUS);
  if ((status & 0xff) !== request)
    cpu.vmwriteNumber(VMCS.GUEST_INTERRUPT_STATUS, (status & 0xff00) | request);
  const levels = interrupts.levelTriggered();
  for (let word = 0; word < 8; word += 2) {
    if (levels[word] === eoiExits[word] && levels[word + 1] === eoiExits[word + 1]) continue;
    eoiExits[word] = levels[word]!;
    eoiExits[word + 1] = levels[word + 1]!;
    cpu.vmwrite(VMCS.EOI_EXIT_BITMAP_0 + word, (BigInt(levels[word + 1]!) << 32n) | BigInt(levels[word]!));
  }
}
