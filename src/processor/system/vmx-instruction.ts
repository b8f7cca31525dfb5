/** VMX instructions before they reach VMX itself (SDM Vol. 3C, Chapter 30 VMX Instruction Reference: operation sections). */

import { CR0, CR4 } from '../../architecture/control-registers.js';
import { OUTCOME, type ProcessorCore, type SystemInstruction } from '../core.js';
import { raiseInvalidOpcode } from '../events/faults.js';
import { is64BitMode, isLongMode, isVirtual8086Mode } from '../segmentation/mode.js';
import { qualificationDisplacement } from './displacement.js';
import { requireSupervisor } from './operands.js';

function isModeUnsuitable(core: ProcessorCore): boolean {
  const { state } = core;
  return (state.cr0 & CR0.PE) === 0 || isVirtual8086Mode(state) || (isLongMode(state) && !is64BitMode(state));
}

/** #UD outside of VMX operation, a VM exit in non-root operation whatever the CPL is, the VMX semantics in root operation. */
export const vmxInstruction: SystemInstruction = (core, instruction) => {
  const { mnemonic } = instruction.encoding;
  const { vmx, intercepts } = core;
  const isVmxon = mnemonic === 'VMXON';
  if (vmx === null || (core.state.cr4 & CR4.VMXE) === 0) raiseInvalidOpcode();
  if (!isVmxon && !vmx.active) raiseInvalidOpcode();
  if (mnemonic !== 'VMCALL' && isModeUnsuitable(core)) raiseInvalidOpcode();
  if (intercepts !== null) {
    // "Enable VM functions" is not among the supported controls.
    if (mnemonic === 'VMFUNC') raiseInvalidOpcode();
    return intercepts.vmxInstruction(instruction, qualificationDisplacement(core, instruction))
      ? OUTCOME.EXITED
      : OUTCOME.NEXT;
  }
  if (isModeUnsuitable(core) || mnemonic === 'VMFUNC') raiseInvalidOpcode();
  requireSupervisor(core);
  return vmx.execute(core, instruction);
};
