/** One processor: its state, its step loop, and the faces it shows to its parts (`ProcessorCore`) and to the engine. */

import type { Instruction } from '../instruction-set/instruction.js';
import { type HostPhysicalAddress, hostPhysical, type LinearAddress } from '../memory/addresses.js';
import type { PhysicalMemory } from '../memory/physical-memory.js';
import type {
  Access,
  CpuidSource,
  Intercepts,
  InterruptSource,
  LinearMemory,
  MmioBus,
  MsrDevice,
  PortBus,
  ProcessorCore,
  ProcessorEvent,
  SecondLevelTranslation,
  TranslationCaches,
  VmxInstructions,
} from './core.js';
import type { ProcessorAddresses } from './engine/address-plan.js';
import type { Engine, EngineClient } from './engine/engine.js';
import { EXIT } from './engine/records.js';
import { SlowPath } from './engine/slow-path.js';
import { codeSizeOf, executionMode, noteModeInputs, PagingMode } from './execution-mode.js';
import type { LoopOwner } from './loop-owner.js';
import { type LinearAccessContext, PagedLinearMemory } from './paging/linear-memory.js';
import { type Walk, walkPageTables } from './paging/page-walk.js';
import { TranslationBuffer } from './paging/translation-buffer.js';
import type { InstructionObserver, RunLimits, Stop } from './run.js';
import { checkedLinearAddress, effectiveAddress } from './segmentation/segment-address.js';
import { STATE } from './state/layout.js';
import { ProcessorState } from './state/processor-state.js';
import { StepLoop } from './step-loop.js';

/** What the machine gives a processor. */
export interface ProcessorEnvironment {
  readonly engine: Engine;
  /** 0, 1, … in the order of creation. */
  readonly number: number;
  readonly ports: PortBus;
  readonly mmio: MmioBus;
  readonly cpuid: CpuidSource;
  readonly interrupts: InterruptSource;
  readonly msrDevices?: readonly MsrDevice[];
}

export class Processor implements LoopOwner, EngineClient, LinearAccessContext {
  readonly state: ProcessorState;
  readonly memory: PhysicalMemory;
  readonly linear: LinearMemory;
  readonly caches: TranslationCaches;
  readonly ports: PortBus;
  readonly mmio: MmioBus;
  readonly cpuid: CpuidSource;
  readonly msrDevices: readonly MsrDevice[];
  readonly buffer: TranslationBuffer;
  interrupts: InterruptSource;
  timeStampCounter = 0;
  /** Instructions completed since reset. */
  instructionsRetired = 0;

  intercepts: Intercepts | null = null;
  secondLevel: SecondLevelTranslation | null = null;
  vmx: VmxInstructions | null = null;
  nmiBlocked = false;
  halted = false;
  eventInDelivery: ProcessorEvent | undefined;
  observer: InstructionObserver | null = null;
  shadowSettings = 0;

  private readonly engine: Engine;
  private readonly addresses: ProcessorAddresses;
  private readonly loop: StepLoop;
  private readonly slowPath: SlowPath;
  private readonly pagingMode = new PagingMode();
  private readonly walk: Walk = { physical: hostPhysical(0), writeReady: false, cacheable: false };
  private shadow: ProcessorCore['interruptShadow'] = 'none';
  /** Thrown by TypeScript that generated code had called. */
  private signal: unknown;

  constructor(environment: ProcessorEnvironment) {
    const { engine } = environment;
    const addresses = engine.plan.processors[environment.number]!;
    this.engine = engine;
    this.addresses = addresses;
    this.memory = engine.memory;
    this.state = new ProcessorState(engine.linearMemory, addresses.block);
    this.buffer = new TranslationBuffer(engine.linearMemory, addresses, engine.plan.ram);
    this.ports = environment.ports;
    this.mmio = environment.mmio;
    this.cpuid = environment.cpuid;
    this.interrupts = environment.interrupts;
    this.msrDevices = environment.msrDevices ?? [];
    this.linear = new PagedLinearMemory(this);
    this.slowPath = new SlowPath(
      engine.linearMemory,
      addresses.block,
      engine.memory,
      this.mmio,
      this.buffer,
      (linear, access, stack, out) => walkPageTables(this, linear, access, this.userMode, stack, out),
      () => this.userMode,
      () => this.intercepts?.apicWritePending === true,
    );
    this.caches = {
      flushAll: () => this.buffer.flush(),
      flushPage: (address) => this.buffer.flushPage(address),
      modeChanged: () => this.updateMode(),
    };
    this.state.write32(STATE.JUMP_CACHE, addresses.jumpCache);
    engine.attach(this);
    this.loop = new StepLoop(this, engine);
    this.updateMode();
  }

  get interruptShadow(): ProcessorCore['interruptShadow'] {
    return this.shadow;
  }
  set interruptShadow(value: ProcessorCore['interruptShadow']) {
    this.shadow = value;
    this.shadowSettings++;
  }

  /** Whether code runs with user privilege. */
  get userMode(): boolean {
    return this.state.cpl === 3;
  }

  get codeSize(): 16 | 32 | 64 {
    return codeSizeOf(this.state);
  }

  /**
   * Executes until a limit is reached or something needs the caller. Faults of the guest are delivered to it.
   * @throws UnimplementedInstructionError, UnimplementedFeatureError
   */
  run(limits: RunLimits): Stop {
    return this.loop.run(limits);
  }

  /** Executes one instruction (or one iteration of a repeated one), after taking a pending interrupt. */
  step(): Stop {
    return this.loop.run({ cycles: 1, instructions: 1 });
  }

  translate(
    address: LinearAddress,
    access: Access,
    privilege: 'current' | 'system' = 'current',
  ): HostPhysicalAddress {
    walkPageTables(this, address, access, privilege === 'current' && this.userMode, false, this.walk);
    return this.walk.physical;
  }

  operandAddress(instruction: Instruction, access: Access, sizeInBytes: number): LinearAddress {
    return checkedLinearAddress(
      this,
      instruction.segment,
      effectiveAddress(this, instruction),
      sizeInBytes,
      access === 'write' ? 'write' : 'read',
    );
  }

  access(record: number, linear: bigint, kindAndSize: number): number {
    try {
      return this.slowPath.access(record, linear, kindAndSize);
    } catch (problem) {
      this.signal = problem;
      this.state.write32(STATE.EXIT_REASON, EXIT.SIGNAL);
      this.state.write32(STATE.EXIT_RECORD, record);
      return 0;
    }
  }

  commit(_record: number): number {
    const { generation } = this.engine.cache;
    this.slowPath.commit();
    // A write to a virtual-APIC page is acted on behind its instruction.
    return this.engine.cache.generation === generation && !this.intercepts?.apicWritePending ? 0 : 1;
  }

  takeSignal(): unknown {
    const { signal } = this;
    this.signal = undefined;
    return signal;
  }

  abandonWrites(): void {
    this.slowPath.abandon();
    this.intercepts?.abandonApicWrite?.();
  }

  private updateMode(): void {
    const { supervisorTlb, userTlb } = this.addresses;
    this.state.write32(STATE.MODE, executionMode(this.state));
    this.state.write32(STATE.TLB, this.userMode ? userTlb : supervisorTlb);
    if (this.pagingMode.update(this.state)) this.buffer.flush();
    noteModeInputs(this.state);
  }
}
