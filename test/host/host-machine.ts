/** A host without guests: real processors, no hypervisor on them. */

import { TALK_I7 } from '../../src/host/cost/talk-i7.js';
import { Host } from '../../src/host/host.js';
import type { HostCpu } from '../../src/host/host-cpu.js';
import { PhysicalMemory } from '../../src/memory/physical-memory.js';
import { planAddresses } from '../../src/processor/engine/address-plan.js';
import { Engine } from '../../src/processor/engine/engine.js';
import { Processor } from '../../src/processor/processor.js';
import { HypervisorDoor } from '../../src/vmx/hypervisor-door.js';
import { VirtualMachineExtensions } from '../../src/vmx/virtual-machine-extensions.js';

const MIB = 2 ** 20;

export function createHost(
  options: { cpus?: number; cpusPerSocket?: number; timeSliceInCycles?: number } = {},
): {
  host: Host;
  cpu: HostCpu;
} {
  const count = options.cpus ?? 1;
  const plan = planAddresses(count, MIB, MIB);
  const linearMemory = new WebAssembly.Memory({ initial: plan.wasmPages });
  const memory = new PhysicalMemory(linearMemory, plan.ram, MIB);
  const engine = new Engine(linearMemory, plan, memory, { cyclesOf: () => 1, eventDelivery: 1 });
  const hardware = Array.from({ length: count }, (_, number) => {
    const processor = new Processor({
      engine,
      number,
      ports: { read: () => 0, write: () => {} },
      mmio: { read: () => 0n, write: () => {} },
      cpuid: () => ({ eax: 0, ebx: 0, ecx: 0, edx: 0 }),
      interrupts: { pending: () => false, acknowledge: () => 0 },
    });
    return { processor, vmx: new HypervisorDoor(processor, new VirtualMachineExtensions(processor)) };
  });
  const host = new Host({
    memory,
    hardware,
    costModel: TALK_I7,
    kernelPages: { start: 0, end: MIB },
    ...(options.cpusPerSocket === undefined ? {} : { cpusPerSocket: options.cpusPerSocket }),
    ...(options.timeSliceInCycles === undefined ? {} : { timeSliceInCycles: options.timeSliceInCycles }),
  });
  return { host, cpu: host.cpus[0]! };
}
