/** Wires everything into one virtual machine: hardware, host, hypervisor layer, user space, guest. */

import { GPR } from '../architecture/registers.js';
import { TALK_I7 } from '../host/cost/talk-i7.js';
import { Host } from '../host/host.js';
import { STAGE_NAMES } from '../host/stages.js';
import { Kvm, type KvmVm } from '../kvm/kvm.js';
import { selectPolicies } from '../kvm/policies.js';
import type { SpecialRegisters } from '../kvm/special-registers.js';
import type { Vcpu, VcpuSegment } from '../kvm/vcpu.js';
import { guestPhysical, hostPhysical, PAGE_SIZE } from '../memory/addresses.js';
import type { PhysicalMemory } from '../memory/physical-memory.js';
import { BOOT_CODE_SELECTOR, BOOT_DATA_SELECTOR, BOOT_REGISTERS, writeBootTables } from './boot-state.js';
import type { GuestImage } from './guest-image.js';
import { InstructionTracer } from './instruction-tracer.js';
import { checkImageFits } from './load-image.js';
import { MachineError } from './machine-error.js';
import { DEFAULT_MEMORY_BYTES, MAXIMUM_MEMORY_BYTES, MINIMUM_MEMORY_BYTES } from './memory-map.js';
import { createPhysicalMachine, type PhysicalMachine } from './physical-machine.js';
import { UserSpaceDevices } from './user-space-devices.js';
import type {
  RunEnd,
  RunResult,
  StageCycles,
  VirtualMachine,
  VmOptions,
  VmRunLimits,
} from './virtual-machine.js';

const MEGABYTE = 2 ** 20;
/** Host-physical memory below is left alone, as on a PC. */
const KERNEL_PAGES_START = MEGABYTE;
/** VMCSs, bitmaps, APIC pages, and page tables that do not grow with the guest. */
const FIXED_KERNEL_BYTES = 2 * MEGABYTE;
/** EPT tables need 8 bytes per guest page; twice that leaves room for their upper levels. */
const TABLE_BYTES_PER_GUEST_PAGE = 16;

/** Slot 0 holds all of the guest's RAM. */
const RAM_SLOT = 0;
const SERIAL_INTERRUPT = 4;

/**
 * Creates a machine, ready to run, with one virtual CPU at the entry of its guest.
 * @throws MachineError 'image' or 'option'; PolicyError
 */
export function createVm(options: VmOptions): VirtualMachine {
  const { image, memoryBytes = DEFAULT_MEMORY_BYTES } = options;
  checkMemorySize(memoryBytes);
  checkImageFits(image, memoryBytes);
  const policies = selectPolicies(options.era, options.policies);

  const kernelEnd =
    KERNEL_PAGES_START + FIXED_KERNEL_BYTES + (memoryBytes / PAGE_SIZE) * TABLE_BYTES_PER_GUEST_PAGE;
  const guestRam = Math.ceil(kernelEnd / MEGABYTE) * MEGABYTE;
  const machine = createPhysicalMachine(guestRam + memoryBytes);
  const host = new Host({
    memory: machine.memory,
    hardware: [machine],
    costModel: TALK_I7,
    kernelPages: { start: KERNEL_PAGES_START, end: guestRam },
  });
  const kvmVm = new Kvm(host).createVm(policies);
  if (options.trace !== undefined) kvmVm.trace = options.trace;
  kvmVm.setUserMemoryRegion({
    slot: RAM_SLOT,
    guestPhysicalAddress: guestPhysical(0),
    sizeInBytes: memoryBytes,
    userspaceAddress: host.hostPhysicalToUser(guestRam),
  });
  loadGuest(image, machine.memory, guestRam);
  const vcpu = kvmVm.createVcpu();
  enterBootState(kvmVm, vcpu, image.entry);
  const devices = new UserSpaceDevices({
    output: options.serialOutput ?? (() => {}),
    serialInterrupt: { set: (level) => kvmVm.setIrqLine('serial port', SERIAL_INTERRUPT, level) },
    describeEntryFailure: () => machine.extensions.describeEntryFailure(),
  });
  const listener = options.trace?.instruction?.bind(options.trace);
  if (listener !== undefined) {
    const { processor } = machine;
    processor.observer = new InstructionTracer({
      processor,
      vcpu: vcpu.id,
      startTime: processor.timeStampCounter,
      listener,
    });
  }
  kvmVm.startVcpu(vcpu, devices);
  return new KvmMachine(machine, host, kvmVm, vcpu, devices);
}

function checkMemorySize(memoryBytes: number): void {
  const megabytes = (bytes: number): string => `${bytes / MEGABYTE}M`;
  if (memoryBytes < MINIMUM_MEMORY_BYTES)
    throw new MachineError(
      'option',
      `guest RAM of ${memoryBytes} bytes is too small: at least ${megabytes(MINIMUM_MEMORY_BYTES)}`,
    );
  if (memoryBytes > MAXIMUM_MEMORY_BYTES)
    throw new MachineError(
      'option',
      `guest RAM of ${memoryBytes} bytes is too large: at most ${megabytes(MAXIMUM_MEMORY_BYTES)}`,
    );
  if (memoryBytes % PAGE_SIZE !== 0)
    throw new MachineError('option', `guest RAM of ${memoryBytes} bytes is no multiple of ${PAGE_SIZE}`);
}

/** Boot tables and image, by their guest-physical addresses. */
function loadGuest(image: GuestImage, memory: PhysicalMemory, guestRam: number): void {
  writeBootTables((address, value) => memory.write64(hostPhysical(guestRam + address), value));
  for (const { physicalAddress, data } of image.segments)
    memory.load(hostPhysical(guestRam + physicalAddress), data);
}

const UNUSABLE_LDT: VcpuSegment = { selector: 0, base: 0n, limit: 0, accessRights: 0x10000 };
/** VM entry wants a busy TSS in 64-bit mode; the guest loads its own before it needs one. */
const EMPTY_TSS: VcpuSegment = { selector: 0, base: 0n, limit: 0x67, accessRights: 0x8b };
const CODE_64: VcpuSegment = {
  selector: BOOT_CODE_SELECTOR,
  base: 0n,
  limit: 0xffffffff,
  accessRights: 0xa09b,
};
const DATA: VcpuSegment = { selector: BOOT_DATA_SELECTOR, base: 0n, limit: 0xffffffff, accessRights: 0xc093 };

/** Enabled, for the boot processor, at its default address (SDM Vol. 3A, 10.4.4 Local APIC Status and Location). */
const APIC_BASE_AT_RESET = 0xfee00900n;

function enterBootState(kvmVm: KvmVm, vcpu: Vcpu, entry: number): void {
  const { cr0, cr3, cr4, efer, rflags, rsp, gdtBase, gdtLimit } = BOOT_REGISTERS;
  const gpr = new Array<bigint>(16).fill(0n);
  gpr[GPR.RSP] = rsp;
  const special: SpecialRegisters = {
    segments: {
      es: DATA,
      cs: CODE_64,
      ss: DATA,
      ds: DATA,
      fs: DATA,
      gs: DATA,
      ldt: UNUSABLE_LDT,
      tr: EMPTY_TSS,
    },
    gdt: { base: gdtBase, limit: gdtLimit },
    idt: { base: 0n, limit: 0 },
    cr0: Number(cr0),
    cr2: 0n,
    cr3,
    cr4: Number(cr4),
    cr8: 0,
    efer: Number(efer),
    apicBase: APIC_BASE_AT_RESET,
  };
  kvmVm.setRegisters(vcpu, { gpr, rip: BigInt(entry), rflags: Number(rflags) }, special);
}

class KvmMachine implements VirtualMachine {
  private readonly machine: PhysicalMachine;
  private readonly host: Host;
  private readonly kvmVm: KvmVm;
  private readonly vcpu: Vcpu;
  private readonly devices: UserSpaceDevices;

  constructor(machine: PhysicalMachine, host: Host, kvmVm: KvmVm, vcpu: Vcpu, devices: UserSpaceDevices) {
    this.machine = machine;
    this.host = host;
    this.kvmVm = kvmVm;
    this.vcpu = vcpu;
    this.devices = devices;
  }

  run({ instructions, cycles }: VmRunLimits = {}): RunResult {
    const { devices, host, kvmVm } = this;
    if (devices.end === undefined) {
      const stop = host.scheduler.run({
        ...(instructions === undefined ? {} : { instructions }),
        ...(cycles === undefined ? {} : { untilCycles: host.elapsed + cycles }),
        stopRequested: () => devices.stopped || kvmVm.halted,
      });
      if (stop !== 'limit') {
        devices.end ??= { reason: 'halted' };
        kvmVm.finish();
      }
      host.verifyLedger();
    }
    return this.result(devices.end ?? { reason: 'limit' });
  }

  private result(end: RunEnd): RunResult {
    const { host, kvmVm, machine, vcpu } = this;
    return {
      end,
      instructions: machine.processor.instructionsRetired,
      cycles: host.elapsed,
      clockInHertz: host.costModel.clockInHertz,
      rip: kvmVm.getRegisters(vcpu).general.rip,
      stages: this.stages(),
      statistics: { ...kvmVm.vm.statistics },
    };
  }

  private stages(): StageCycles[] {
    const cycles = new Float64Array(STAGE_NAMES.length);
    for (const account of this.host.ledger.accounts)
      for (const entry of account.entries()) cycles[entry.stage]! += entry.cycles;
    return STAGE_NAMES.map((name, stage) => ({ name, cycles: cycles[stage]! })).filter(
      (stage) => stage.cycles > 0,
    );
  }
}
