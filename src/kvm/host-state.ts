/**
 * The switch between host and guest state that VM entry and exit do not do themselves: vmx_save_host_state on the way
 * to the guest, __vmx_load_host_state on the way back, once per heavy period.
 */

import { MSR } from '../architecture/msrs.js';
import { SEGMENT } from '../architecture/registers.js';
import { VMCS } from '../architecture/vmx/vmcs-fields.js';
import { MSR_SWITCHING } from './msr-switching.js';
import type { Policies } from './policies.js';
import type { Vcpu } from './vcpu.js';

/** VM exit demands host selectors with RPL 0 and TI 0; others are loaded by hand (SDM Vol. 3C, 26.2.3). */
const RPL_AND_TI = 7;

/**
 * CR0.TS in a HOST_CR0 that is written once: set in 2.6.37. That hides registers that are the thread's own, which made
 * the use of unlazy_fpu in between wrong, so later kernels clear it.
 */
export const TASK_SWITCHED_AFTER_EXIT: Readonly<Record<Policies['hostFpu'], boolean>> = {
  unconditional: true,
  'unlazy-as-shipped': true,
  'unlazy-as-intended': false,
  eager: false,
};

/** vmx_save_host_state: nothing to do while guest values are still in place. */
export function saveHostState(vcpu: Vcpu): void {
  const { vmx, cpu } = vcpu;
  if (vmx.hostStateSaved) return;
  vmx.hostStateSaved = true;
  vmx.hostLdtSelector = cpu.sldt();
  vmx.gsOrLdtReloadNeeded = vmx.hostLdtSelector !== 0;
  if (vcpu.vm.policies.userSegments === 'host-switch') {
    vmx.hostDsSelector = cpu.readSegment(SEGMENT.DS);
    vmx.hostEsSelector = cpu.readSegment(SEGMENT.ES);
  }
  vmx.hostFsSelector = cpu.readSegment(SEGMENT.FS);
  vmx.fsReloadNeeded = (vmx.hostFsSelector & RPL_AND_TI) !== 0;
  cpu.vmwriteNumber(VMCS.HOST_FS_SELECTOR, vmx.fsReloadNeeded ? 0 : vmx.hostFsSelector);
  vmx.hostGsSelector = cpu.readSegment(SEGMENT.GS);
  const gsReloadNeeded = (vmx.hostGsSelector & RPL_AND_TI) !== 0;
  cpu.vmwriteNumber(VMCS.HOST_GS_SELECTOR, gsReloadNeeded ? 0 : vmx.hostGsSelector);
  if (gsReloadNeeded) vmx.gsOrLdtReloadNeeded = true;
  copyMsrToVmcs(vcpu, MSR.FS_BASE, VMCS.HOST_FS_BASE);
  copyMsrToVmcs(vcpu, MSR.GS_BASE, VMCS.HOST_GS_BASE);
  MSR_SWITCHING[vcpu.vm.policies.syscallMsrs].toGuest(vcpu);
}

function copyMsrToVmcs({ cpu, vmx }: Vcpu, index: number, field: number): void {
  cpu.rdmsrWords(index, vmx.scratch);
  cpu.vmwriteWords(field, vmx.scratch);
}

/** __vmx_load_host_state: gives back what user space and other threads of the host need. */
export function loadHostState(vcpu: Vcpu): void {
  const { vmx, cpu } = vcpu;
  if (!vmx.hostStateSaved) return;
  vcpu.vm.statistics.hostStateReload++;
  vcpu.tracker.hostStateReloaded();
  vmx.hostStateSaved = false;
  const switching = MSR_SWITCHING[vcpu.vm.policies.syscallMsrs];
  switching.saveGuestFirst(vcpu);
  if (vmx.gsOrLdtReloadNeeded) reloadLdtAndGs(vcpu);
  if (vmx.fsReloadNeeded) reloadFs(vcpu);
  if (vcpu.vm.policies.userSegments === 'host-switch' && (vmx.hostDsSelector | vmx.hostEsSelector) !== 0) {
    cpu.loadSegment(SEGMENT.DS, vmx.hostDsSelector);
    cpu.loadSegment(SEGMENT.ES, vmx.hostEsSelector);
  }
  cpu.ltr();
  switching.toHost(vcpu);
  if (vcpu.vm.policies.hostCr0 === 'once') correctTaskSwitched(vcpu);
  cpu.lgdt();
}

/** Makes CR0.TS, as the last exit left it, say whether the FPU registers are the thread's. */
function correctTaskSwitched(vcpu: Vcpu): void {
  const { hostFpu } = vcpu.vm.policies;
  if (hostFpu === 'eager') return;
  const { usesFpu } = vcpu.hostCpu.current;
  if (!TASK_SWITCHED_AFTER_EXIT[hostFpu]) {
    if (!usesFpu && !vcpu.guestFpuLoaded) vcpu.cpu.stts();
  } else if (usesFpu) vcpu.cpu.clts();
}

/** LLDT, then GS with its base kept (load_gs_index works on the user's GS, between two SWAPGS). */
function reloadLdtAndGs(vcpu: Vcpu): void {
  const { vmx, cpu } = vcpu;
  cpu.lldt(vmx.hostLdtSelector);
  cpu.swapgs();
  cpu.loadSegment(SEGMENT.GS, vmx.hostGsSelector);
  cpu.swapgs();
}

/** Loading the selector takes the base from a descriptor; the thread's own base has to be written again. */
function reloadFs(vcpu: Vcpu): void {
  const { vmx, cpu } = vcpu;
  const base = cpu.peekMsr(MSR.FS_BASE);
  cpu.loadSegment(SEGMENT.FS, vmx.hostFsSelector);
  if (base !== 0n) cpu.wrmsr(MSR.FS_BASE, base);
}
