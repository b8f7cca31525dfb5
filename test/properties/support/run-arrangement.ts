/** Runs an arrangement and tells whether everybody found what is theirs. */

import { writeInitialFpuState } from '../../../src/host/host-thread.js';
import { createScenario, type Scenario } from '../../../src/machine/scenario/scenario.js';
import type { ScenarioResult } from '../../../src/machine/scenario/scenario-result.js';
import type { TraceSink } from '../../../src/trace/events.js';
import type { Arrangement } from './arrangement.js';
import { RemappingMonitor } from './remapping-monitor.js';
import { VERIFIER_MEMORY, verifierGuest } from './verifier.js';

/** More than any arrangement needs: a guest that gets there hangs. */
const LONG_ENOUGH = 60_000_000;
/** With grace periods of many milliseconds. */
const LONG_ENOUGH_FOR_SRCU = 3_000_000_000;
const MOST_ROUNDS_FOR_SRCU = 8;
const FIRST_XMM_BYTE = 160;

export interface ArrangementRun {
  readonly scenario: Scenario;
  readonly result: ScenarioResult;
}

export interface RunOptions {
  readonly trace?: TraceSink;
  /** Called before the run: the place to break something. */
  readonly prepare?: (scenario: Scenario) => void;
  /** Runs in slices: cycles and instructions of the next one. */
  readonly slice?: () => { readonly cycles: number; readonly instructions: number };
}

/** @throws HostInvariantError, LedgerError and whatever else the host does wrong */
export function runArrangement(arrangement: Arrangement, options: RunOptions = {}): ArrangementRun {
  const { sockets, coresPerSocket, vms } = arrangement;
  const cpus = sockets * coresPerSocket;
  const slow = vms.some(({ policies }) => policies.slotsProtection === 'srcu');
  const monitors: RemappingMonitor[] = [];
  const scenario = createScenario({
    processor: 'ivy-bridge-ep',
    topology: { sockets, coresPerSocket },
    timeSliceInCycles: arrangement.timeSlice,
    vms: vms.map((vm, vmNumber) => {
      const policies = { ...vm.policies, hostFpu: arrangement.hostFpu };
      return {
        image: verifierGuest({
          ...vm,
          rounds: slow ? Math.min(vm.rounds, MOST_ROUNDS_FOR_SRCU) : vm.rounds,
          vmNumber,
          vcpus: vm.cpus.length,
          pvEoi: policies.pvEoi === 'on',
        }),
        memoryBytes: VERIFIER_MEMORY,
        vcpus: vm.cpus.length,
        placement: vm.cpus.map((cpu) => cpu % cpus),
        policies,
        monitor: (devices) => {
          monitors[vmNumber] = new RemappingMonitor(devices, vmNumber);
          return monitors[vmNumber];
        },
        ...(options.trace === undefined ? {} : { trace: options.trace }),
      };
    }),
    kernelThreads: arrangement.kernelThreads.map((work, index) => ({
      ...work,
      name: `vhost-${index}`,
      cpu: work.cpu % cpus,
    })),
    processes: arrangement.processes.map((work, index) => ({
      ...work,
      name: `process ${index}`,
      cpu: work.cpu % cpus,
    })),
    migrations: arrangement.migrations.map(({ vm, vcpu, at, toCpu }) => ({
      vm: vm % vms.length,
      vcpu: vcpu % vms[vm % vms.length]!.cpus.length,
      at,
      toCpu: toCpu % cpus,
    })),
  });
  const { host } = scenario;
  for (const [index, { kvmVm, threads }] of scenario.vms.entries()) {
    monitors[index]!.vm = { host, userspaceAddress: kvmVm.vm.memorySlots.slots[0]!.userspaceAddress };
    for (const [vcpu, thread] of threads.entries()) thread.setFpuState(fpuPattern(1 + index * 16 + vcpu));
  }
  for (const { vm, at } of arrangement.signals)
    host.cpus[0]!.cpu.events.schedule(at, () => scenario.vms[vm % vms.length]!.kvmVm.signalThreads());
  options.prepare?.(scenario);
  return { scenario, result: run(scenario, slow ? LONG_ENOUGH_FOR_SRCU : LONG_ENOUGH, options.slice) };
}

function run(scenario: Scenario, end: number, slice: RunOptions['slice']): ScenarioResult {
  if (slice === undefined) return scenario.run({ untilCycles: end });
  for (;;) {
    const { cycles, instructions } = slice();
    const untilCycles = Math.min(end, scenario.host.now + cycles);
    const result = scenario.run({ untilCycles, instructions });
    if (result.stop !== 'limit' || scenario.host.now >= end) return result;
  }
}

/** An FPU state unlike that of any other thread. */
function fpuPattern(pattern: number): Uint8Array {
  const image = new Uint8Array(512);
  writeInitialFpuState(image);
  image.fill(pattern, FIRST_XMM_BYTE, FIRST_XMM_BYTE + 256);
  return image;
}

/** Throws unless every guest came to its end and found all of its values. */
export function expectAllRight({ result }: ArrangementRun): void {
  for (const { name, end } of result.vms)
    if (end.reason !== 'guest-exit' || end.exitCode !== 1)
      throw new Error(
        `${name} ended with ${end.reason}${end.reason === 'guest-exit' ? `, failure ${end.exitCode >> 1}` : ''}`,
      );
}
