/** The usual machine of an experiment: one guest with one virtual CPU, on a host of its own. */

import { EFER } from '../../architecture/control-registers.js';
import { MSR } from '../../architecture/msrs.js';
import { COST_MODELS, type CostModelName } from '../../host/cost/cost-models.js';
import type { Era, Policies } from '../../kvm/policies.js';
import type { Scenario, ScenarioMachine } from '../../machine/scenario/scenario.js';
import type { Setup } from '../experiment.js';

export interface Machine {
  readonly era?: Era;
  readonly policies?: Partial<Policies>;
  readonly costModel?: CostModelName;
  readonly defines?: Readonly<Record<string, string>>;
}

export function oneGuest(
  label: string,
  program: string,
  { era, policies, costModel, defines }: Machine = {},
): Setup {
  return {
    label,
    scenario: (guest) => ({
      ...(era === undefined ? {} : { era }),
      ...(policies === undefined ? {} : { policies }),
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

/** Syscall MSRs whose values a guest shares with a host that runs the same kernel. */
const SYSCALL_MSRS = [MSR.STAR, MSR.LSTAR, MSR.CSTAR, MSR.SYSCALL_MASK] as const;

/**
 * The guest's registers as those of a 64-bit Linux: SYSCALL enabled. With `sameAsHost` it is the kernel that the host
 * runs, whose MSRs have the same values.
 */
export function likeLinux(setup: Setup, options: { readonly sameAsHost?: boolean } = {}): Setup {
  return {
    ...setup,
    prepare: (scenario: Scenario) => {
      setup.prepare?.(scenario);
      for (const vm of scenario.vms) enableSyscall(vm, options.sameAsHost === true);
    },
  };
}

/** KVM_SET_SREGS and KVM_SET_MSRS, before the guest runs. */
function enableSyscall({ kvmVm, vcpus }: ScenarioMachine, sameAsHost: boolean): void {
  for (const vcpu of vcpus) {
    const { general, special } = kvmVm.getRegisters(vcpu);
    kvmVm.setRegisters(vcpu, general, { ...special, efer: special.efer | EFER.SCE });
    if (!sameAsHost) continue;
    for (const index of SYSCALL_MSRS) {
      const msr = vcpu.vmx.switchedMsr(index);
      if (msr !== undefined) msr.guestValue = msr.hostValue;
    }
  }
}
