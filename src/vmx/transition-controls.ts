/** What the controls say about the course of VM entries and VM exits, read from the VMCS once per change. */

import { EXIT_CONTROL, PIN_BASED, PRIMARY, SECONDARY } from '../architecture/vmx/controls.js';
import { VMCS } from '../architecture/vmx/vmcs-fields.js';
import { hasExitControl, hasPrimary, hasSecondary } from './entry/field-tests.js';
import { checksMemory } from './entry/vm-entry.js';
import type { Vmcs } from './vmcs.js';

export class TransitionControls {
  /** Some checks have to be made at every VM entry. */
  checksMemory = true;
  loadsGuestMsrs = false;
  /** A VM exit may follow VM entry at once, because VTPR is below the threshold (26.7.7). */
  comparesVirtualTprAfterEntry = false;
  savesPreemptionTimer = false;
  acknowledgesInterrupts = false;
  usesVirtualNmis = false;
  storesGuestMsrs = false;
  loadsHostMsrs = false;

  load(vmcs: Vmcs): void {
    const pinBased = vmcs.low(VMCS.PIN_BASED_VM_EXECUTION_CONTROLS);
    this.checksMemory = checksMemory(vmcs);
    this.loadsGuestMsrs = vmcs.low(VMCS.VM_ENTRY_MSR_LOAD_COUNT) !== 0;
    // VTPR is not below a threshold of 0.
    this.comparesVirtualTprAfterEntry =
      (vmcs.low(VMCS.TPR_THRESHOLD) & 15) !== 0 &&
      hasPrimary(vmcs, PRIMARY.USE_TPR_SHADOW) &&
      !hasSecondary(vmcs, SECONDARY.VIRTUAL_INTERRUPT_DELIVERY) &&
      hasSecondary(vmcs, SECONDARY.VIRTUALIZE_APIC_ACCESSES);
    this.savesPreemptionTimer = hasExitControl(vmcs, EXIT_CONTROL.SAVE_VMX_PREEMPTION_TIMER);
    this.acknowledgesInterrupts = hasExitControl(vmcs, EXIT_CONTROL.ACKNOWLEDGE_INTERRUPT_ON_EXIT);
    this.usesVirtualNmis = (pinBased & PIN_BASED.VIRTUAL_NMIS) !== 0;
    this.storesGuestMsrs = vmcs.low(VMCS.VM_EXIT_MSR_STORE_COUNT) !== 0;
    this.loadsHostMsrs = vmcs.low(VMCS.VM_EXIT_MSR_LOAD_COUNT) !== 0;
  }
}
