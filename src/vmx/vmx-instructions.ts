/** The VMX instructions as code of the processor itself executes them in root operation (SDM Vol. 3C, 30.3 VMX Instructions). */

import { ARITHMETIC_FLAGS, RFLAGS } from '../architecture/rflags.js';
import { INSTRUCTION_ERROR } from '../architecture/vmx/instruction-errors.js';
import { CR0_FIXED0, CR4_FIXED0, CR4_FIXED1 } from '../architecture/vmx/vmx-capabilities.js';
import type { Instruction } from '../instruction-set/instruction.js';
import { OUTCOME, type Outcome, type ProcessorCore, type VmxInstructions } from '../processor/core.js';
import { UnimplementedInstructionError } from '../processor/errors.js';
import { raiseGeneralProtection } from '../processor/events/faults.js';
import { STATE } from '../processor/state/layout.js';
import { readOperand, readRegister, writeOperand } from '../processor/system/operands.js';
import type { VirtualMachineExtensions } from './virtual-machine-extensions.js';
import { VM_SUCCEED, type VmxResult } from './vmx-result.js';

/** IA32_FEATURE_CONTROL: lock, and VMXON enabled outside SMX operation (23.7). */
const VMXON_ALLOWED = 5;

/** VMsucceed, VMfailInvalid and VMfailValid in RFLAGS (30.2 Conventions). */
function report(core: ProcessorCore, result: VmxResult): void {
  const cleared = core.state.rflags & ~ARITHMETIC_FLAGS;
  core.state.rflags = result.ok ? cleared : cleared | (result.kind === 'invalid' ? RFLAGS.CF : RFLAGS.ZF);
}

/** A 64-bit memory operand that holds a physical address, as a number; too large ones stay invalid. */
const pointerOperand = (core: ProcessorCore, instruction: Instruction): number =>
  Number(core.linear.read(core.operandAddress(instruction, 'read', 8), 8));

export class RootInstructions implements VmxInstructions {
  private readonly vmx: VirtualMachineExtensions;

  constructor(vmx: VirtualMachineExtensions) {
    this.vmx = vmx;
  }

  get active(): boolean {
    return this.vmx.active;
  }

  capability(index: number): bigint | undefined {
    return this.vmx.capabilities.msr(index);
  }

  /** Operand size, mode and privilege checks that all VMX instructions share have been made. */
  execute(core: ProcessorCore, instruction: Instruction): Outcome {
    const { vmx } = this;
    switch (instruction.encoding.mnemonic) {
      case 'VMXON':
        return this.vmxon(core, instruction);
      case 'VMXOFF':
        return this.done(core, vmx.vmxoff());
      case 'VMCLEAR':
        return this.done(core, vmx.vmclear(pointerOperand(core, instruction)));
      case 'VMPTRLD':
        return this.done(core, vmx.vmptrld(pointerOperand(core, instruction)));
      case 'VMPTRST':
        writeOperand(core, instruction, 0, vmx.vmptrst());
        return this.done(core, VM_SUCCEED);
      case 'VMREAD':
        return this.vmread(core, instruction);
      case 'VMWRITE':
        return this.vmwrite(core, instruction);
      case 'VMCALL':
        return this.done(core, vmx.fail(INSTRUCTION_ERROR.VMCALL_IN_ROOT_OPERATION));
      case 'VMLAUNCH':
      case 'VMRESUME':
        return this.enter(core, instruction);
      case 'INVEPT':
      case 'INVVPID':
        return this.invalidate(core, instruction);
      default:
        throw new UnimplementedInstructionError(
          instruction.encoding.mnemonic,
          new Uint8Array(),
          core.state.rip,
        );
    }
  }

  private done(core: ProcessorCore, result: VmxResult): Outcome {
    report(core, result);
    return OUTCOME.NEXT;
  }

  private vmxon(core: ProcessorCore, instruction: Instruction): Outcome {
    const { vmx } = this;
    if (vmx.active) return this.done(core, vmx.fail(INSTRUCTION_ERROR.VMXON_IN_ROOT_OPERATION));
    const { cr0, cr4 } = core.state;
    const control = core.state.read32(STATE.FEATURE_CONTROL);
    if (
      (CR0_FIXED0 & ~cr0) !== 0 ||
      (CR4_FIXED0 & ~cr4) !== 0 ||
      (cr4 & ~CR4_FIXED1) !== 0 ||
      (control & VMXON_ALLOWED) !== VMXON_ALLOWED
    )
      raiseGeneralProtection();
    vmx.hostRunsOnProcessor();
    return this.done(core, vmx.vmxon(pointerOperand(core, instruction)));
  }

  private vmread(core: ProcessorCore, instruction: Instruction): Outcome {
    const { width } = instruction.encoding.operands[1]!;
    const result = this.vmx.readField(this.encodingOperand(core, instruction, 1));
    if (result.ok) writeOperand(core, instruction, 0, BigInt.asUintN(width, result.value!));
    return this.done(core, result);
  }

  private vmwrite(core: ProcessorCore, instruction: Instruction): Outcome {
    const value = readOperand(core, instruction, 1);
    return this.done(core, this.vmx.writeField(this.encodingOperand(core, instruction, 0), value));
  }

  /** The register operand that holds a field's encoding. Values beyond 32 bits name no field. */
  private encodingOperand(core: ProcessorCore, instruction: Instruction, index: number): number {
    const { width } = instruction.encoding.operands[index]!;
    return Number(readRegister(core, instruction.register(index), width));
  }

  private enter(core: ProcessorCore, instruction: Instruction): Outcome {
    const { vmx } = this;
    const result = instruction.encoding.mnemonic === 'VMLAUNCH' ? vmx.vmlaunch() : vmx.vmresume();
    if (!result.ok) return this.done(core, result);
    // RIP is the guest's, or the host's again when the VM entry led straight to a VM exit.
    return core.intercepts === null ? OUTCOME.EXITED : OUTCOME.JUMPED;
  }

  /** INVEPT and INVVPID: register operand with the type, 128-bit descriptor in memory. */
  private invalidate(core: ProcessorCore, instruction: Instruction): Outcome {
    const { width } = instruction.encoding.operands[0]!;
    const type = Number(readRegister(core, instruction.register0, width));
    const address = core.operandAddress(instruction, 'read', 16);
    const low = core.linear.read(address, 8);
    const high = core.linear.read(address + 8n, 8);
    return this.done(
      core,
      instruction.encoding.mnemonic === 'INVEPT'
        ? this.vmx.invept(type, low)
        : this.vmx.invvpid(type, Number(low & 0xffffn), high),
    );
  }
}
