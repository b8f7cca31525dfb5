/** The hardware of the simulated host: linear memory, engine, processors with VT-x. */

import { vmxCapabilities } from '../architecture/vmx/vmx-capabilities.js';
import { PhysicalMemory } from '../memory/physical-memory.js';
import type { InterruptSource, MmioBus, PortBus } from '../processor/core.js';
import { planAddresses } from '../processor/engine/address-plan.js';
import { Engine } from '../processor/engine/engine.js';
import { Processor } from '../processor/processor.js';
import { createCpuid } from '../processor/system/cpuid-model.js';
import { HypervisorDoor } from '../vmx/hypervisor-door.js';
import { VirtualMachineExtensions } from '../vmx/virtual-machine-extensions.js';
import { RootInstructions } from '../vmx/vmx-instructions.js';
import { GUEST_EVENT_DELIVERY_CYCLES, guestInstructionCycles } from './guest-instruction-costs.js';
import { DEFAULT_PROCESSOR, type ProcessorModel, VMX_FEATURES } from './processor-models.js';

export type { ProcessorModel } from './processor-models.js';

/** Room for decoded guest code. When it is full, decoding starts afresh. */
const DECODED_CODE_BYTES = 8 * 2 ** 20;

/** Ports that VT-x passes through to hardware that isn't there: writes vanish, reads are all ones. */
const NO_PORTS: PortBus = { read: (_port, size) => 2 ** (8 * size) - 1, write: () => {} };
const NO_MMIO: MmioBus = { read: (_address, size) => (1n << BigInt(8 * size)) - 1n, write: () => {} };
/** The simulated CPU puts its own in place. */
const NO_INTERRUPTS: InterruptSource = { pending: () => false, acknowledge: () => 0 };

export interface PhysicalProcessor {
  readonly processor: Processor;
  readonly extensions: VirtualMachineExtensions;
  readonly vmx: HypervisorDoor;
}

export interface PhysicalMachine {
  readonly memory: PhysicalMemory;
  readonly processors: readonly PhysicalProcessor[];
}

/** @param ramBytes host-physical RAM, a multiple of 4096 */
export function createPhysicalMachine(
  ramBytes: number,
  processorCount = 1,
  model: ProcessorModel = DEFAULT_PROCESSOR,
): PhysicalMachine {
  const plan = planAddresses(processorCount, ramBytes, DECODED_CODE_BYTES);
  const linearMemory = new WebAssembly.Memory({ initial: plan.wasmPages, maximum: plan.wasmPages });
  const memory = new PhysicalMemory(linearMemory, plan.ram, ramBytes);
  const engine = new Engine(linearMemory, plan, memory, {
    cyclesOf: guestInstructionCycles,
    eventDelivery: GUEST_EVENT_DELIVERY_CYCLES,
  });
  const capabilities = vmxCapabilities(VMX_FEATURES[model]);
  const processors = Array.from({ length: processorCount }, (_, number): PhysicalProcessor => {
    const processor = new Processor({
      engine,
      number,
      ports: NO_PORTS,
      mmio: NO_MMIO,
      cpuid: createCpuid(),
      interrupts: NO_INTERRUPTS,
    });
    const extensions = new VirtualMachineExtensions(processor, capabilities);
    processor.vmx = new RootInstructions(extensions);
    return { processor, extensions, vmx: new HypervisorDoor(processor, extensions) };
  });
  return { memory, processors };
}
