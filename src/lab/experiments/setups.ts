/** The usual machine of an experiment: one guest with one virtual CPU, on a host of its own. */

import { EFER } from '../../architecture/control-registers.js';
import { MSR } from '../../architecture/msrs.js';
import { COST_MODELS, type CostModelName } from '../../host/cost/cost-models.js';
import type { Era, Policies } from '../../kvm/policies.js';
import type { ProcessorModel } from '../../machine/physical-machine.js';
import type { Scenario, ScenarioMachine } from '../../machine/scenario/scenario.js';
import type { Setup } from '../experiment.js';
import type { TakeNote } from '../observation.js';

export interface Machine {
  readonly era?: Era;
  readonly policies?: Partial<Policies>;
  readonly costModel?: CostModelName;
  /** What the processor can do; default: what the talk's can. */
  readonly processor?: ProcessorModel;
  readonly defines?: Readonly<Record<string, string>>;
}

export function oneGuest(
  label: string,
  program: string,
  { era, policies, costModel, processor, defines }: Machine = {},
): Setup {
  return {
    label,
    scenario: (guest) => ({
      ...(era === undefined ? {} : { era }),
      ...(policies === undefined ? {} : { policies }),
      ...(processor === undefined ? {} : { processor }),
      ...(costModel === undefined ? {} : { costModel: COST_MODELS[costModel] }),
      vms: [{ image: guest(program, defines), memoryBytes: GUEST_MEMORY_BYTES }],
    }),
  };
}

/** The programs use little; machines with less memory are made faster. */
export const GUEST_MEMORY_BYTES = 16 * 2 ** 20;

/** A guest under each of some eras, by name of the era. */
export function eras(program: string, names: readonly Era[]): Record<string, Setup> {
  return Object.fromEntries(names.map((era) => [era, oneGuest(era, program, { era })]));
}

/** Values of a guest's syscall MSRs: as after reset, as the host's (the same kernel runs there), or of another kernel. */
export type SyscallMsrs = 'zero' | 'host' | 'other';

const ANOTHER_KERNEL: readonly (readonly [index: number, value: bigint])[] = [
  [MSR.STAR, 0x0013_0008_0000_0000n],
  [MSR.LSTAR, 0xffff_ffff_8200_0000n],
  [MSR.CSTAR, 0xffff_ffff_8200_1000n],
  [MSR.SYSCALL_MASK, 0x4_7700n],
];

export interface LinuxOptions {
  /** Default `zero`. */
  readonly msrs?: SyscallMsrs;
  /** Number of the virtual machine that is meant; by default all of them. */
  readonly only?: number;
}

/** The guest's registers as those of a 64-bit Linux: SYSCALL enabled, its MSRs set. */
export function likeLinux(setup: Setup, { msrs = 'zero', only }: LinuxOptions = {}): Setup {
  return {
    ...setup,
    prepare: (scenario: Scenario, note: TakeNote) => {
      setup.prepare?.(scenario, note);
      for (const [number, vm] of scenario.vms.entries())
        if (only === undefined || only === number) enableSyscall(vm, msrs);
    },
  };
}

/** KVM_SET_SREGS and KVM_SET_MSRS, before the guest runs. */
function enableSyscall({ kvmVm, vcpus }: ScenarioMachine, msrs: SyscallMsrs): void {
  for (const vcpu of vcpus) {
    const { general, special } = kvmVm.getRegisters(vcpu);
    kvmVm.setRegisters(vcpu, general, { ...special, efer: special.efer | EFER.SCE });
    if (msrs === 'zero') continue;
    for (const [index, value] of ANOTHER_KERNEL) {
      const msr = vcpu.vmx.switchedMsr(index);
      if (msr !== undefined) msr.guestValue = msrs === 'host' ? msr.hostValue : value;
    }
  }
}
