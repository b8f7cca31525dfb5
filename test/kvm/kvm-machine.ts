/** A host with one CPU, KVM on it and a 64-bit guest, for tests: real processor, real VT-x, monitor made of functions. */

import { CR0, CR4, EFER } from '../../src/architecture/control-registers.js';
import { assemble } from '../../src/assembler/index.js';
import { TALK_I7 } from '../../src/host/cost/talk-i7.js';
import { Host } from '../../src/host/host.js';
import type { HostThread } from '../../src/host/host-thread.js';
import { Kvm, type KvmVm } from '../../src/kvm/kvm.js';
import type { KvmExit } from '../../src/kvm/kvm-exit.js';
import { type Era, type Policies, selectPolicies } from '../../src/kvm/policies.js';
import type { UserSpaceMonitor } from '../../src/kvm/user-space-monitor.js';
import type { Vcpu } from '../../src/kvm/vcpu.js';
import type { VcpuSegment } from '../../src/kvm/vcpu-registers.js';
import { BOOT_REGISTERS, writeBootTables } from '../../src/machine/boot-state.js';
import { guestPhysical, hostPhysical } from '../../src/memory/addresses.js';
import { PhysicalMemory } from '../../src/memory/physical-memory.js';
import { planAddresses } from '../../src/processor/engine/address-plan.js';
import { Engine } from '../../src/processor/engine/engine.js';
import { Processor } from '../../src/processor/processor.js';
import { HypervisorDoor } from '../../src/vmx/hypervisor-door.js';
import { VirtualMachineExtensions } from '../../src/vmx/virtual-machine-extensions.js';
import { RootInstructions } from '../../src/vmx/vmx-instructions.js';

const MIB = 2 ** 20;
const GUEST_RAM = 4 * MIB;
const HOST_RAM = 8 * MIB;
export const CODE = 0x100000;

export interface KvmMachine {
  readonly host: Host;
  readonly kvm: KvmVm;
  readonly vcpu: Vcpu;
  readonly thread: HostThread;
  readonly processor: Processor;
  /** Port accesses that reached user space. */
  readonly ports: { port: number; sizeInBytes: number; value: number; write: boolean }[];
  readonly exits: KvmExit[];
  /** Runs until the guest stops for good, or about `instructions` more have retired. */
  run(instructions?: number): void;
}

export interface KvmMachineOptions {
  /** Assembly text, 64-bit, entered at its first instruction. */
  readonly code: string;
  readonly era?: Era;
  readonly policies?: Partial<Policies>;
  readonly cr0?: number;
  readonly efer?: number;
  readonly rflags?: number;
  readonly gpr?: readonly bigint[];
  readonly readPort?: (port: number, sizeInBytes: number) => number;
  readonly readMmio?: UserSpaceMonitor['readMmio'];
  readonly writeMmio?: UserSpaceMonitor['writeMmio'];
  readonly takeMemoryRegions?: UserSpaceMonitor['takeMemoryRegions'];
  /** Called for every port write in user space. */
  readonly writePort?: (machine: KvmMachine, port: number, value: number) => void;
}

function assembleGuest(code: string): Uint8Array {
  const result = assemble(`bits 64\ndefault rel\norg 0x${CODE.toString(16)}\n${code}\n`, {
    fileName: 'guest.asm',
  });
  if (!result.ok) throw new Error(result.diagnostics.map((d) => `${d.line}: ${d.message}`).join('\n'));
  return result.image;
}

export function createKvmMachine(options: KvmMachineOptions): KvmMachine {
  const plan = planAddresses(1, HOST_RAM, MIB);
  const linearMemory = new WebAssembly.Memory({ initial: plan.wasmPages });
  const memory = new PhysicalMemory(linearMemory, plan.ram, HOST_RAM);
  const engine = new Engine(linearMemory, plan, memory, { cyclesOf: () => 1, eventDelivery: 1 });
  const processor = new Processor({
    engine,
    number: 0,
    ports: { read: () => 0, write: () => {} },
    mmio: { read: () => 0n, write: () => {} },
    cpuid: (leaf) => ({ eax: leaf === 0 ? 1 : 0, ebx: 0, ecx: 0x28, edx: 0x1bf }),
    interrupts: { pending: () => false, acknowledge: () => 0 },
  });
  const extensions = new VirtualMachineExtensions(processor);
  processor.vmx = new RootInstructions(extensions);
  const vmx = new HypervisorDoor(processor, extensions);
  const host = new Host({
    memory,
    hardware: [{ processor, vmx }],
    costModel: TALK_I7,
    kernelPages: { start: GUEST_RAM, end: HOST_RAM },
  });
  const kvm = new Kvm(host).createVm(selectPolicies(options.era, options.policies));
  kvm.setUserMemoryRegion({
    slot: 0,
    guestPhysicalAddress: guestPhysical(0),
    sizeInBytes: GUEST_RAM,
    userspaceAddress: host.hostPhysicalToUser(0),
  });
  writeBootTables((address, value) => memory.write64(hostPhysical(address), value));
  memory.load(hostPhysical(CODE), assembleGuest(options.code));

  const vcpu = kvm.createVcpu();
  const data: VcpuSegment = { selector: 0x10, base: 0n, limit: 0xffffffff, accessRights: 0xc093 };
  const gpr = Array.from({ length: 16 }, (_, number) => options.gpr?.[number] ?? 0n);
  gpr[4] ||= BOOT_REGISTERS.rsp;
  kvm.setRegisters(
    vcpu,
    { gpr, rip: BigInt(CODE), rflags: options.rflags ?? 2 },
    {
      segments: {
        cs: { ...data, selector: 8, accessRights: 0xa09b },
        ds: data,
        es: data,
        ss: data,
        fs: data,
        gs: data,
        ldt: { selector: 0, base: 0n, limit: 0, accessRights: 0x10000 },
        tr: { selector: 0, base: 0n, limit: 0x67, accessRights: 0x8b },
      },
      gdt: { base: BOOT_REGISTERS.gdtBase, limit: BOOT_REGISTERS.gdtLimit },
      idt: { base: 0n, limit: 0 },
      cr0: options.cr0 ?? CR0.PE | CR0.ET | CR0.NE | CR0.WP | CR0.PG,
      cr2: 0n,
      cr3: BOOT_REGISTERS.cr3,
      cr4: CR4.PAE,
      cr8: 0,
      efer: options.efer ?? EFER.LME | EFER.LMA | EFER.SCE | EFER.NXE,
      apicBase: 0xfee00900n,
    },
  );

  const ports: KvmMachine['ports'] = [];
  const exits: KvmExit[] = [];
  const monitor: UserSpaceMonitor = {
    readPort: (port, sizeInBytes) => {
      const value = options.readPort?.(port, sizeInBytes) ?? 0xff;
      ports.push({ port, sizeInBytes, value, write: false });
      return value;
    },
    writePort: (port, sizeInBytes, value) => {
      ports.push({ port, sizeInBytes, value, write: true });
      options.writePort?.(machine, port, value);
    },
    readMmio: options.readMmio ?? (() => 0n),
    writeMmio: options.writeMmio ?? (() => {}),
    takeMemoryRegions: () => options.takeMemoryRegions?.(),
    handleExit: (_vcpu, exit) => {
      exits.push(exit);
      return false;
    },
    stopped: false,
  };
  const thread = kvm.startVcpu(vcpu, monitor);
  const machine: KvmMachine = {
    host,
    kvm,
    vcpu,
    thread,
    processor,
    ports,
    exits,
    run: (instructions = 100_000) => {
      host.scheduler.run({ instructions, stopRequested: () => kvm.halted });
      kvm.finish();
      host.verifyLedger();
    },
  };
  return machine;
}
