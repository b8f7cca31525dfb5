/**
 * The step loop: enters generated code, finds out why it was left, runs system instructions, delivers faults and
 * interrupts, and counts instructions and cycles exactly, whatever way they were executed.
 */

import { RFLAGS } from '../architecture/rflags.js';
import { VECTOR } from '../architecture/vectors.js';
import type { Instruction } from '../instruction-set/instruction.js';
import { GuestFault, OUTCOME, type Outcome, type ProcessorCore, VmExitSignal } from './core.js';
import { BlockSource, type CodeOwner } from './engine/block-source.js';
import type { Block } from './engine/code-cache.js';
import type { Engine } from './engine/engine.js';
import { EXIT, RECORD } from './engine/records.js';
import { UnimplementedFeatureError, UnimplementedInstructionError } from './errors.js';
import { DELIVERY, type Delivery, deliverInterrupt, raiseFault } from './events/delivery.js';
import { DR6 } from './events/event.js';
import type { InstructionObserver, RunLimits, Stop, StopKind } from './run.js';
import { STATE } from './state/layout.js';

const STOPS: Readonly<Record<StopKind, Stop>> = {
  budget: { kind: 'budget' },
  'vm-exit': { kind: 'vm-exit' },
  halt: { kind: 'halt' },
  shutdown: { kind: 'shutdown' },
};

/** What the loop needs of its processor beyond `ProcessorCore`. */
export interface LoopOwner extends ProcessorCore {
  readonly buffer: CodeOwner['buffer'];
  readonly codeSize: CodeOwner['codeSize'];
  readonly observer: InstructionObserver | null;
  /** Counts settings of the interrupt shadow, to tell a fresh one from one that has had its instruction. */
  readonly shadowSettings: number;
  instructionsRetired: number;
  /** What TypeScript called from generated code threw, taken once. */
  takeSignal(): unknown;
  /** Forgets writes of an instruction that did not complete. */
  abandonWrites(): void;
}

/** Largest budget that fits into half of STATE.BUDGET. */
const MAXIMUM_SLICE = 0x7fffffff;

export class StepLoop {
  private readonly owner: LoopOwner;
  private readonly engine: Engine;
  private readonly source: BlockSource;
  private readonly view: DataView;
  private cycles = 0;
  private instructions = 0;
  /** A branch whose link is to be set when its target's block is found. */
  private unlinked: { record: number; field: number; rip: bigint; generation: number } | undefined;
  /** The last run ended for lack of budget for a whole block. */
  private stepNext = false;
  private lastCompleted = false;
  /** Mnemonic of the step's instruction if it ran in TypeScript, otherwise empty. */
  private lastSystem = '';

  constructor(owner: LoopOwner, engine: Engine) {
    this.owner = owner;
    this.engine = engine;
    this.source = new BlockSource(engine, owner);
    this.view = owner.state.view;
  }

  /** Executes until a limit is reached or something needs the caller. */
  run(limits: RunLimits): Stop {
    this.cycles = Math.min(limits.cycles, MAXIMUM_SLICE);
    this.instructions = Math.min(limits.instructions, MAXIMUM_SLICE);
    this.stepNext = false;
    return STOPS[this.runUntilStop()];
  }

  private runUntilStop(): StopKind {
    const { owner } = this;
    for (;;) {
      if (this.cycles <= 0 || this.instructions <= 0) return 'budget';
      const interrupted = this.takeInterrupts();
      if (interrupted !== undefined) return interrupted;
      if (owner.halted) return 'halt';
      const single =
        this.stepNext ||
        owner.observer !== null ||
        owner.interruptShadow !== 'none' ||
        (owner.state.read32(STATE.RFLAGS_OTHER) & (RFLAGS.TF | RFLAGS.RF)) !== 0;
      const stop = single ? this.step() : this.runBlocks(false);
      if (stop !== undefined) return stop;
    }
  }

  /** Interrupts are taken between instructions, when nothing blocks them (SDM Vol. 3A, 6.8). */
  private takeInterrupts(): StopKind | undefined {
    const { owner } = this;
    const { intercepts } = owner;
    if (intercepts?.apicWritePending && intercepts.completeApicWrite!()) return 'vm-exit';
    if (owner.timeStampCounter >= (intercepts?.preemptionDeadline ?? Number.POSITIVE_INFINITY))
      if (intercepts!.preemptionTimer!()) return 'vm-exit';
    if (owner.interruptShadow !== 'none') return undefined;
    if (intercepts?.nmiWindowExiting && !owner.nmiBlocked && intercepts.nmiWindow()) return 'vm-exit';
    const enabled = owner.state.interruptsEnabled;
    if (intercepts?.interruptWindowExiting && enabled && intercepts.interruptWindow()) return 'vm-exit';
    if (intercepts?.virtualInterruptPending && enabled)
      return this.afterDelivery(deliverInterrupt(owner, intercepts.takeVirtualInterrupt!()));
    if (!owner.interrupts.pending()) return undefined;
    // What does not exit is the notification of posted interrupts: it may have brought a virtual interrupt.
    if (intercepts?.externalInterruptExiting)
      return intercepts.externalInterrupt(owner.interrupts) ? 'vm-exit' : this.takeInterrupts();
    if (!enabled) return undefined;
    return this.afterDelivery(deliverInterrupt(owner, owner.interrupts.acknowledge()));
  }

  /** One instruction, with everything that has to be looked at around a single one. */
  private step(): StopKind | undefined {
    const { owner } = this;
    const { shadowSettings } = owner;
    const shadowed = owner.interruptShadow !== 'none';
    const { state, observer } = owner;
    const flags = state.read32(STATE.RFLAGS_OTHER);
    observer?.before();
    this.lastSystem = '';
    const stop = this.runBlocks(true);
    observer?.after(this.lastCompleted);
    const freshShadow = owner.shadowSettings !== shadowSettings;
    if (shadowed && !freshShadow) owner.interruptShadow = 'none';
    if (stop !== undefined || !this.lastCompleted) return stop;
    if ((flags & RFLAGS.RF) !== 0 && !this.lastSystem.startsWith('IRET'))
      state.write32(STATE.RFLAGS_OTHER, state.read32(STATE.RFLAGS_OTHER) & ~RFLAGS.RF);
    // Delivery of a software interrupt clears TF; after a load of SS the trap waits for the next instruction.
    const trapHeld = this.lastSystem.startsWith('INT') || (freshShadow && owner.interruptShadow === 'mov-ss');
    if ((flags & RFLAGS.TF) !== 0 && !trapHeld)
      return this.afterDelivery(raiseFault(owner, new GuestFault(VECTOR.DB, undefined, BigInt(DR6.BS))));
    return stop;
  }

  /** Enters generated code once. `single`: for one instruction only. */
  private runBlocks(single: boolean): StopKind | undefined {
    const { owner, view } = this;
    this.lastCompleted = false;
    let record = single ? 0 : this.source.cachedRecord();
    if (record === 0) {
      try {
        const block = this.source.find(single);
        record = block.record;
        this.link(block);
        if (single) this.payExactly(block);
      } catch (problem) {
        return this.deliver(problem);
      }
    } else if (this.unlinked !== undefined) this.link(this.engine.cache.blockOf(record));
    if (!single) {
      view.setInt32(STATE.BUDGET, this.instructions, true);
      view.setInt32(STATE.BUDGET + 4, this.cyclesToLookAgain(), true);
    }
    const instructions = view.getInt32(STATE.BUDGET, true);
    const cycles = view.getInt32(STATE.BUDGET + 4, true);
    this.engine.handlers.enter(record, owner.state.address);
    this.spend(
      instructions - view.getInt32(STATE.BUDGET, true),
      cycles - view.getInt32(STATE.BUDGET + 4, true),
    );
    return this.afterExit(single);
  }

  /** Cycles that generated code may run for: up to the end of the run or of the VMX-preemption timer. */
  private cyclesToLookAgain(): number {
    const deadline = this.owner.intercepts?.preemptionDeadline;
    return deadline === undefined
      ? this.cycles
      : Math.min(this.cycles, deadline - this.owner.timeStampCounter);
  }

  /** A budget for just this block, so that the one behind it is not entered. */
  private payExactly(block: Block): void {
    this.view.setInt32(STATE.BUDGET, block.instructions.length, true);
    this.view.setInt32(STATE.BUDGET + 4, block.cyclesFrom[0]!, true);
  }

  private spend(instructions: number, cycles: number): void {
    this.instructions -= instructions;
    this.cycles -= cycles;
    this.owner.instructionsRetired += instructions;
    this.owner.timeStampCounter += cycles;
  }

  private afterExit(single: boolean): StopKind | undefined {
    const { owner, view } = this;
    const record = view.getInt32(STATE.EXIT_RECORD, true);
    switch (view.getInt32(STATE.EXIT_REASON, true)) {
      case EXIT.BUDGET:
        // In single mode the one instruction is done and led to another block.
        this.lastCompleted = single;
        this.stepNext = !single;
        return undefined;
      case EXIT.LINK_TAKEN:
        this.completed(record, RECORD.LINK_TAKEN, single);
        return undefined;
      case EXIT.LINK_NEXT:
        this.completed(record, RECORD.LINK_NEXT, single);
        return undefined;
      case EXIT.LOOKUP:
        this.completed(record, undefined, single);
        return undefined;
      case EXIT.COMPLETED:
        this.refund(record, 1);
        this.completed(record, undefined, single);
        return undefined;
      case EXIT.AGAIN:
        this.rewind(record);
        this.stepNext = false;
        return undefined;
      case EXIT.SIGNAL:
        this.rewind(record);
        owner.abandonWrites();
        return this.deliver(owner.takeSignal(), this.instructionAt(record).length);
      case EXIT.FAULT: {
        this.rewind(record);
        owner.abandonWrites();
        const errorCode = view.getInt32(STATE.FAULT_ERROR_CODE, true);
        const vector = view.getInt32(STATE.FAULT_VECTOR, true);
        return this.deliver(new GuestFault(vector, errorCode < 0 ? undefined : errorCode));
      }
      case EXIT.SYSTEM:
        this.rewind(record);
        return this.runSystemInstruction(record);
      default:
        throw new Error(
          `generated code was left for unknown reason ${view.getInt32(STATE.EXIT_REASON, true)}`,
        );
    }
  }

  private completed(record: number, field: number | undefined, single: boolean): void {
    this.lastCompleted = true;
    this.stepNext = false;
    this.unlinked =
      field === undefined || single
        ? undefined
        : { record, field, rip: this.owner.state.rip, generation: this.engine.cache.generation };
  }

  private link(block: Block): void {
    const { unlinked } = this;
    this.unlinked = undefined;
    if (unlinked === undefined || block.single || block.secondPhysical >= 0) return;
    if (unlinked.rip !== block.rip || unlinked.generation !== this.engine.cache.generation) return;
    if (this.engine.cache.blockOf(unlinked.record).mode !== block.mode) return;
    this.engine.cache.link(unlinked.record, unlinked.field, block);
  }

  /** Gives back what was paid for the instructions of the record's block from `skip` after the record's on. */
  private refund(record: number, skip: number): void {
    const block = this.engine.cache.blockOf(record);
    const position = this.positionOf(record) + skip;
    this.spend(position - block.instructions.length, -(block.cyclesFrom[position] as number));
  }

  private instructionAt(record: number): Instruction {
    return this.engine.cache.blockOf(record).instructions[this.positionOf(record)] as Instruction;
  }

  private positionOf(record: number): number {
    return this.engine.view.getUint8(record + RECORD.POSITION);
  }

  /** Puts the processor to the start of the record's instruction and gives back what follows. */
  private rewind(record: number): void {
    this.refund(record, 0);
    const block = this.engine.cache.blockOf(record);
    const { view } = this;
    // A block lies within a page: the offset never carries into the upper half.
    view.setInt32(STATE.RIP, block.ripLow + (block.offsets[this.positionOf(record)] as number), true);
    view.setInt32(STATE.RIP + 4, block.ripHigh, true);
  }

  /** Puts RIP behind an instruction that starts at it. */
  private advance(instruction: Instruction): void {
    const { view } = this;
    const next = view.getUint32(STATE.RIP, true) + instruction.length;
    view.setUint32(STATE.RIP, next, true);
    if (next > 0xffffffff && instruction.codeSize === 64)
      view.setUint32(STATE.RIP + 4, view.getUint32(STATE.RIP + 4, true) + 1, true);
  }

  private runSystemInstruction(record: number): StopKind | undefined {
    const { owner } = this;
    const block = this.engine.cache.blockOf(record);
    const position = block.instructions.length - 1;
    const instruction = block.instructions[position] as Instruction;
    const execute = block.system;
    if (execute === undefined) throw this.unimplemented(instruction);
    this.lastSystem = instruction.encoding.mnemonic;
    const cycles = block.cyclesFrom[position] as number;
    let outcome: Outcome;
    try {
      outcome = execute(owner, instruction);
    } catch (problem) {
      return this.deliver(problem, instruction.length);
    }
    this.stepNext = false;
    switch (outcome) {
      case OUTCOME.EXITED:
        return 'vm-exit';
      case OUTCOME.SHUTDOWN:
        return 'shutdown';
      case OUTCOME.AGAIN:
        this.spend(0, cycles);
        return undefined;
      case OUTCOME.NEXT:
      case OUTCOME.HALTED:
        this.advance(instruction);
        break;
      case OUTCOME.JUMPED:
        break;
    }
    if (outcome === OUTCOME.HALTED) owner.halted = true;
    this.lastCompleted = true;
    this.spend(1, cycles);
    return undefined;
  }

  private unimplemented(instruction: Instruction): Error {
    const { state } = this.owner;
    if (instruction.codeSize !== 64)
      return new UnimplementedFeatureError(`${instruction.codeSize}-bit code`, state.rip);
    const bytes = new Uint8Array(instruction.length);
    for (let n = 0; n < bytes.length; n++) {
      const physical = this.owner.translate(state.rip + BigInt(n), 'fetch');
      bytes[n] = this.owner.memory.contains(physical, 1) ? this.owner.memory.read8(physical) : 0xff;
    }
    return new UnimplementedInstructionError(instruction.encoding.mnemonic, bytes, state.rip);
  }

  /** Faults are delivered to the guest, VM exits completed; everything else is the host's error. */
  private deliver(problem: unknown, instructionLength?: number): StopKind | undefined {
    this.stepNext = false;
    const { owner } = this;
    if (problem instanceof GuestFault) return this.afterDelivery(raiseFault(owner, problem));
    if (problem instanceof VmExitSignal && owner.intercepts !== null) {
      owner.intercepts.exit(problem, instructionLength);
      return 'vm-exit';
    }
    throw problem;
  }

  private afterDelivery(delivery: Delivery): StopKind | undefined {
    if (delivery === DELIVERY.EXITED) return 'vm-exit';
    if (delivery === DELIVERY.SHUTDOWN) return 'shutdown';
    this.spend(0, this.engine.costs.eventDelivery);
    return undefined;
  }
}
