/** One virtual machine on a host of its own: the simple case of a scenario. */

import { createScenario, type Scenario } from './scenario/scenario.js';
import { stagesOf } from './scenario/scenario-result.js';
import type { RunResult, VirtualMachine, VmOptions, VmRunLimits } from './virtual-machine.js';

/**
 * Creates a machine, ready to run, with its boot processor at the entry of its guest.
 * @throws MachineError 'image' or 'option'; PolicyError
 */
export function createVm(options: VmOptions): VirtualMachine {
  const { costModel, processor, topology, vcpus = 1 } = options;
  return new KvmMachine(
    createScenario({
      topology: topology ?? { sockets: 1, coresPerSocket: vcpus },
      ...(costModel === undefined ? {} : { costModel }),
      ...(processor === undefined ? {} : { processor }),
      vms: [options],
    }),
  );
}

class KvmMachine implements VirtualMachine {
  private readonly scenario: Scenario;

  constructor(scenario: Scenario) {
    this.scenario = scenario;
  }

  run({ instructions, cycles }: VmRunLimits = {}): RunResult {
    const { scenario } = this;
    const { host } = scenario;
    const { devices, kvmVm, vcpus } = scenario.vms[0]!;
    if (devices.end === undefined)
      scenario.run({
        ...(instructions === undefined ? {} : { instructions }),
        ...(cycles === undefined ? {} : { untilCycles: host.now + cycles }),
      });
    return {
      end: devices.end ?? { reason: 'limit' },
      instructions: scenario.instructionsRetired,
      cycles: host.now,
      clockInHertz: host.costModel.clockInHertz,
      rip: kvmVm.getRegisters(vcpus[0]!).general.rip,
      stages: stagesOf(host.ledger.accounts),
      statistics: { ...kvmVm.vm.statistics },
    };
  }
}
