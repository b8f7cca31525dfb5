/** Emulation of the guest's current instruction, and its way through user space when that has to help. */

import type { EmulationResult } from './emulator/emulation-result.js';
import type { KvmExit } from './kvm-exit.js';
import type { Vcpu } from './vcpu.js';

/** emulate_instruction: undefined when the guest can go on. */
export function emulateInstruction(vcpu: Vcpu): KvmExit | undefined {
  vcpu.vm.statistics.instructionEmulations++;
  return settle(vcpu, vcpu.emulator.emulate());
}

function settle(vcpu: Vcpu, result: EmulationResult): KvmExit | undefined {
  switch (result.kind) {
    case 'done':
    case 'fault':
      return undefined;
    case 'user-space port':
      vcpu.vm.statistics.ioExits++;
      vcpu.completeAccess = (answer) =>
        settle(vcpu, vcpu.emulator.completePort(answer.kind === 'io' ? answer.data : NO_DATA));
      return { reason: 'io', access: result.access };
    case 'user-space MMIO':
      vcpu.vm.statistics.mmioExits++;
      vcpu.completeAccess = (answer) =>
        settle(vcpu, vcpu.emulator.completeMmio(answer.kind === 'mmio' ? answer.value : 0n));
      return { reason: 'mmio', access: result.access };
    case 'failed':
      return { reason: 'internal-error', failure: result };
  }
}

const NO_DATA = new Uint8Array(0);
