/** The table of exit handlers by basic exit reason (kvm_vmx_exit_handlers). */

import { ENTRY_FAILURE, EXIT_REASON } from '../../architecture/vmx/exit-reasons.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import type { KvmExit } from '../kvm-exit.js';
import type { Vcpu } from '../vcpu.js';
import { handleApicWrite, handleEndOfInterrupt } from './apic.js';
import { handleControlRegister } from './control-register.js';
import { handleCpuid } from './cpuid.js';
import { handleDebugRegister } from './debug-register.js';
import { handleException } from './exception.js';
import type { ExitHandler } from './exit-handler.js';
import { handleApicAccess, handleEptMisconfiguration, handleEptViolation } from './memory-access.js';
import {
  handleAbsentFeature,
  handleCacheInstruction,
  handleExternalInterrupt,
  handleHalt,
  handleInterruptWindow,
  handleInvlpg,
  handleNmiWindow,
  handlePreemptionTimer,
  handleRdpmc,
  handleTprBelowThreshold,
  handleTripleFault,
  handleVmcall,
  handleVmxInstruction,
} from './miscellaneous.js';
import { handleReadMsr, handleWriteMsr } from './model-specific-register.js';
import { handlePortIo } from './port-io.js';

const HANDLERS: (ExitHandler | undefined)[] = [];
for (const [reason, handler] of [
  [EXIT_REASON.EXCEPTION_NMI, handleException],
  [EXIT_REASON.EXTERNAL_INTERRUPT, handleExternalInterrupt],
  [EXIT_REASON.TRIPLE_FAULT, handleTripleFault],
  [EXIT_REASON.INTERRUPT_WINDOW, handleInterruptWindow],
  [EXIT_REASON.NMI_WINDOW, handleNmiWindow],
  [EXIT_REASON.CPUID, handleCpuid],
  [EXIT_REASON.HLT, handleHalt],
  [EXIT_REASON.INVD, handleCacheInstruction],
  [EXIT_REASON.INVLPG, handleInvlpg],
  [EXIT_REASON.RDPMC, handleRdpmc],
  [EXIT_REASON.VMCALL, handleVmcall],
  [EXIT_REASON.VMCLEAR, handleVmxInstruction],
  [EXIT_REASON.VMLAUNCH, handleVmxInstruction],
  [EXIT_REASON.VMPTRLD, handleVmxInstruction],
  [EXIT_REASON.VMPTRST, handleVmxInstruction],
  [EXIT_REASON.VMREAD, handleVmxInstruction],
  [EXIT_REASON.VMRESUME, handleVmxInstruction],
  [EXIT_REASON.VMWRITE, handleVmxInstruction],
  [EXIT_REASON.VMOFF, handleVmxInstruction],
  [EXIT_REASON.VMON, handleVmxInstruction],
  [EXIT_REASON.INVEPT, handleVmxInstruction],
  [EXIT_REASON.INVVPID, handleVmxInstruction],
  [EXIT_REASON.CR_ACCESS, handleControlRegister],
  [EXIT_REASON.DR_ACCESS, handleDebugRegister],
  [EXIT_REASON.IO_INSTRUCTION, handlePortIo],
  [EXIT_REASON.MSR_READ, handleReadMsr],
  [EXIT_REASON.MSR_WRITE, handleWriteMsr],
  [EXIT_REASON.MWAIT_INSTRUCTION, handleAbsentFeature],
  [EXIT_REASON.MONITOR_INSTRUCTION, handleAbsentFeature],
  [EXIT_REASON.TPR_BELOW_THRESHOLD, handleTprBelowThreshold],
  [EXIT_REASON.EOI_INDUCED, handleEndOfInterrupt],
  [EXIT_REASON.APIC_WRITE, handleApicWrite],
  [EXIT_REASON.APIC_ACCESS, handleApicAccess],
  [EXIT_REASON.EPT_VIOLATION, handleEptViolation],
  [EXIT_REASON.EPT_MISCONFIG, handleEptMisconfiguration],
  [EXIT_REASON.PREEMPTION_TIMER, handlePreemptionTimer],
  [EXIT_REASON.WBINVD, handleCacheInstruction],
  [EXIT_REASON.XSETBV, handleAbsentFeature],
] as const satisfies readonly (readonly [number, ExitHandler])[])
  HANDLERS[reason] = handler;

/** The end of vmx_handle_exit: calls the reason's handler. */
export function dispatchExit(vcpu: Vcpu): KvmExit | undefined {
  const { exitReason } = vcpu.vmx;
  if ((exitReason & ENTRY_FAILURE) !== 0)
    return {
      reason: 'fail-entry',
      hardwareReason: exitReason,
      qualification: vcpu.cpu.peekVmcs(VMCS.EXIT_QUALIFICATION),
    };
  const handler = HANDLERS[exitReason & 0xffff];
  if (handler === undefined) return { reason: 'unknown', hardwareReason: exitReason };
  return handler(vcpu);
}
