/** Exits with little to do: interrupts, windows, HLT, triple fault, VMCALL, cache and TLB instructions. */

import { GPR } from '../../architecture/registers.js';
import { VECTOR } from '../../architecture/vectors.js';
import { PRIMARY } from '../../architecture/vmx/controls.js';
import { INVVPID_TYPE } from '../../architecture/vmx/ept.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import { operation } from '../../host/cost/operations.js';
import { closeWindow } from '../event-injection.js';
import type { KvmExit } from '../kvm-exit.js';
import { REQUEST, type Vcpu } from '../vcpu.js';

const INTERRUPT_HANDLER = operation('interrupt exit handler');
const HLT_HANDLER = operation('HLT exit handler');
const OTHER_HANDLER = operation('other exit handler');
/** -KVM_ENOSYS: no hypercall of this era is of use to a guest with EPT. */
const UNKNOWN_HYPERCALL = BigInt.asUintN(64, -1000n);

/** The interrupt itself was taken when the host enabled interrupts again (handle_external_interrupt). */
export function handleExternalInterrupt(vcpu: Vcpu): undefined {
  vcpu.charge(INTERRUPT_HANDLER);
  vcpu.vm.statistics.irqExits++;
}

/** The guest can take an interrupt now; it is injected on the way back (handle_interrupt_window). */
export function handleInterruptWindow(vcpu: Vcpu): KvmExit | undefined {
  vcpu.charge(INTERRUPT_HANDLER);
  closeWindow(vcpu, PRIMARY.INTERRUPT_WINDOW_EXITING);
  vcpu.vm.statistics.irqWindowExits++;
  if (vcpu.requestInterruptWindow && !vcpu.interrupts.hasInterrupt()) return { reason: 'irq-window-open' };
  return undefined;
}

/** The VMX-preemption timer has reached the deadline of the guest's timer (handle_preemption_timer). */
export function handlePreemptionTimer(vcpu: Vcpu): undefined {
  vcpu.charge(INTERRUPT_HANDLER);
  vcpu.interrupts.deadlineTimer?.expire();
}

export function handleNmiWindow(vcpu: Vcpu): undefined {
  vcpu.charge(INTERRUPT_HANDLER);
  closeWindow(vcpu, PRIMARY.NMI_WINDOW_EXITING);
}

/** With an in-kernel local APIC the vCPU's thread sleeps in the kernel (kvm_emulate_halt). */
export function handleHalt(vcpu: Vcpu): undefined {
  vcpu.charge(HLT_HANDLER);
  vcpu.skipInstruction();
  vcpu.vm.statistics.haltExits++;
  vcpu.mpState = 'halted';
  if (vcpu.tracker.listening) vcpu.tracker.note('vCPU halted');
}

export function handleTripleFault(vcpu: Vcpu): KvmExit {
  vcpu.charge(OTHER_HANDLER);
  return { reason: 'shutdown' };
}

/** kvm_emulate_hypercall: only CPL 0 may call. */
export function handleVmcall(vcpu: Vcpu): undefined {
  vcpu.charge(OTHER_HANDLER);
  vcpu.vm.statistics.hypercalls++;
  const privileged = vcpu.readPrivilegeLevel() === 0;
  if (vcpu.tracker.listening)
    vcpu.tracker.note(
      `hypercall ${vcpu.readRegister(GPR.RAX)} ${privileged ? 'is unknown' : 'refused: not at CPL 0'}`,
    );
  vcpu.writeRegister(GPR.RAX, privileged ? UNKNOWN_HYPERCALL : BigInt.asUintN(64, -1n));
  vcpu.skipInstruction();
}

/** VMX is not offered to guests: its instructions are undefined (handle_vmx_insn). */
export function handleVmxInstruction(vcpu: Vcpu): undefined {
  vcpu.charge(OTHER_HANDLER);
  vcpu.injectException(VECTOR.UD);
}

export function handleInvlpg(vcpu: Vcpu): undefined {
  const { cpu } = vcpu;
  cpu.charge(OTHER_HANDLER);
  const address = cpu.vmread(VMCS.EXIT_QUALIFICATION);
  cpu.invvpid(INVVPID_TYPE.INDIVIDUAL_ADDRESS, vcpu.vpid, address);
  vcpu.skipInstruction();
}

/** INVD, WBINVD: guest memory is cached coherently, nothing has to be written back. */
export function handleCacheInstruction(vcpu: Vcpu): undefined {
  vcpu.charge(OTHER_HANDLER);
  vcpu.skipInstruction();
}

/** The guest lowered its task priority below a pending interrupt, which is injected on the way back. */
export function handleTprBelowThreshold(vcpu: Vcpu): undefined {
  vcpu.charge(OTHER_HANDLER);
  vcpu.makeRequest(REQUEST.EVENT);
}

/** RDPMC, MONITOR, MWAIT, XSETBV: features that guests are not given. */
export function handleAbsentFeature(vcpu: Vcpu): undefined {
  vcpu.charge(OTHER_HANDLER);
  vcpu.injectException(VECTOR.UD);
}

export function handleRdpmc(vcpu: Vcpu): undefined {
  vcpu.charge(OTHER_HANDLER);
  vcpu.injectException(VECTOR.GP, 0);
}
