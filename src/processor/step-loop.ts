/**
 * The step loop: enters generated code, finds out why it was left, runs system instructions, delivers faults and
 * interrupts, and counts instructions and cycles exactly, whatever way they were executed.
 */

import { RFLAGS } from '../architecture/rflags.js';
import { VECTOR } from '../architecture/vectors.js';
import type { Instruction } from '../instruction-set/instruction.js';
import { GuestFault, OUTCOME, type Outcome, VmExitSignal } from './core.js';
import { BlockSource } from './engine/block-source.js';
import type { Block } from './engine/code-cache.js';
import type { Engine } from './engine/engine.js';
import { EXIT, RECORD } from './engine/records.js';
import { isBoundaryQuiet, takeBoundaryEvent } from './events/boundary.js';
import { DELIVERY, type Delivery, raiseFault } from './events/delivery.js';
import { DR6 } from './events/event.js';
import type { LoopOwner } from './loop-owner.js';
import type { RunLimits, Stop } from './run.js';
import { STATE } from './state/layout.js';
import { unimplementedInstruction } from './unimplemented-instruction.js';

const BUDGET: Stop = { kind: 'budget' };
const VM_EXIT: Stop = { kind: 'vm-exit' };
const HALT: Stop = { kind: 'halt' };
const SHUTDOWN: Stop = { kind: 'shutdown' };

/** Indices in `ProcessorState.words`. */
const WORD = {
  INSTRUCTIONS_LEFT: STATE.BUDGET >> 2,
  CYCLES_LEFT: (STATE.BUDGET >> 2) + 1,
  RFLAGS_OTHER: STATE.RFLAGS_OTHER >> 2,
  EXIT_REASON: STATE.EXIT_REASON >> 2,
  EXIT_RECORD: STATE.EXIT_RECORD >> 2,
  FAULT_VECTOR: STATE.FAULT_VECTOR >> 2,
  FAULT_ERROR_CODE: STATE.FAULT_ERROR_CODE >> 2,
} as const;

/** Largest budget that fits into half of STATE.BUDGET. */
const MAXIMUM_SLICE = 0x7fffffff;

export class StepLoop {
  private readonly owner: LoopOwner;
  private readonly engine: Engine;
  private readonly source: BlockSource;
  /** The processor's block. */
  private readonly words: Int32Array;
  private cycles = 0;
  private instructions = 0;
  /** The last run ended for lack of budget for a whole block. */
  private stepNext = false;
  private lastCompleted = false;
  /** The step's instruction if it ran in TypeScript. */
  private lastSystem: Instruction | undefined;

  constructor(owner: LoopOwner, engine: Engine) {
    this.owner = owner;
    this.engine = engine;
    this.source = new BlockSource(engine, owner);
    this.words = owner.state.words;
  }

  /** Executes until a limit is reached or something needs the caller. */
  run(limits: RunLimits): Stop {
    const { owner } = this;
    this.cycles = Math.min(limits.cycles, MAXIMUM_SLICE);
    this.instructions = Math.min(limits.instructions, MAXIMUM_SLICE);
    this.stepNext = false;
    for (;;) {
      if (this.cycles <= 0 || this.instructions <= 0) return BUDGET;
      const interrupted = isBoundaryQuiet(owner) ? undefined : this.takeEvent();
      if (interrupted !== undefined) return interrupted;
      if (owner.halted) return HALT;
      const single =
        this.stepNext ||
        owner.observer !== null ||
        owner.interruptShadow !== 'none' ||
        (this.words[WORD.RFLAGS_OTHER]! & (RFLAGS.TF | RFLAGS.RF)) !== 0;
      const stop = single ? this.step() : this.runBlocks();
      if (stop !== undefined) return stop;
    }
  }

  private takeEvent(): Stop | undefined {
    const delivery = takeBoundaryEvent(this.owner);
    return delivery === undefined ? undefined : this.afterDelivery(delivery);
  }

  /** One instruction, with everything that has to be looked at around a single one. */
  private step(): Stop | undefined {
    const { owner } = this;
    const { shadowSettings } = owner;
    const shadowed = owner.interruptShadow !== 'none';
    const { state, observer } = owner;
    const flags = state.read32(STATE.RFLAGS_OTHER);
    observer?.before();
    const stop = this.runSingle();
    observer?.after(this.lastCompleted);
    const freshShadow = owner.shadowSettings !== shadowSettings;
    if (shadowed && !freshShadow) owner.interruptShadow = 'none';
    if (stop !== undefined || !this.lastCompleted) return stop;
    const mnemonic = this.lastSystem?.encoding.mnemonic ?? '';
    if ((flags & RFLAGS.RF) !== 0 && !mnemonic.startsWith('IRET'))
      state.write32(STATE.RFLAGS_OTHER, state.read32(STATE.RFLAGS_OTHER) & ~RFLAGS.RF);
    // Delivery of a software interrupt clears TF; after a load of SS the trap waits for the next instruction.
    const trapHeld = mnemonic.startsWith('INT') || (freshShadow && owner.interruptShadow === 'mov-ss');
    if ((flags & RFLAGS.TF) !== 0 && !trapHeld)
      return this.afterDelivery(raiseFault(owner, new GuestFault(VECTOR.DB, undefined, BigInt(DR6.BS))));
    return stop;
  }

  /** Enters generated code once, for as long as it goes. */
  private runBlocks(): Stop | undefined {
    const { owner, source, instructions } = this;
    const { handlers } = this.engine;
    const cycles = this.cyclesToLookAgain() | 0;
    if (!source.awaitsTarget) {
      handlers.enterAtRip(owner.state.address, instructions, cycles);
      if (this.words[WORD.EXIT_RECORD] !== 0) return this.afterExit(instructions, cycles, false);
    }
    let record = source.cachedRecord();
    if (record === 0) {
      try {
        record = source.find(false).record;
      } catch (problem) {
        this.lastCompleted = false;
        return this.deliver(problem);
      }
    }
    handlers.enter(record, owner.state.address, instructions, cycles);
    return this.afterExit(instructions, cycles, false);
  }

  /** Cycles that generated code may run for: up to the end of the run or of the VMX-preemption timer. */
  private cyclesToLookAgain(): number {
    const { owner, cycles } = this;
    const deadline = owner.intercepts?.preemptionDeadline;
    return deadline === undefined ? cycles : Math.min(cycles, deadline - owner.timeStampCounter);
  }

  /** Enters generated code for one instruction, with a budget for just that, so that none behind it is entered. */
  private runSingle(): Stop | undefined {
    this.lastSystem = undefined;
    let block: Block;
    try {
      block = this.source.find(true);
    } catch (problem) {
      this.lastCompleted = false;
      return this.deliver(problem);
    }
    const instructions = block.instructions.length;
    const cycles = block.cyclesFrom[0]!;
    this.engine.handlers.enter(block.record, this.owner.state.address, instructions, cycles);
    return this.afterExit(instructions, cycles, true);
  }

  /** Counts what generated code has used up of its budget, and acts on why it was left. */
  private afterExit(instructions: number, cycles: number, single: boolean): Stop | undefined {
    const { words } = this;
    const reason = words[WORD.EXIT_REASON]!;
    const record = words[WORD.EXIT_RECORD]!;
    const paidInstructions = instructions - words[WORD.INSTRUCTIONS_LEFT]!;
    const paidCycles = cycles - words[WORD.CYCLES_LEFT]!;
    this.lastCompleted = false;
    if (reason === EXIT.SYSTEM) {
      this.spend(paidInstructions, paidCycles);
      return this.runSystemInstruction(this.engine.cache.blockOf(record));
    }
    if (reason <= EXIT.COMPLETED) return this.afterPart(reason, record, paidInstructions, paidCycles, single);
    this.spend(paidInstructions, paidCycles);
    this.afterBlock(reason, record, single);
    return undefined;
  }

  private spend(instructions: number, cycles: number): void {
    const { owner } = this;
    this.instructions -= instructions;
    this.cycles -= cycles;
    owner.instructionsRetired += instructions;
    owner.timeStampCounter += cycles;
  }

  /** Generated code was left behind a block. */
  private afterBlock(reason: number, record: number, single: boolean): void {
    switch (reason) {
      case EXIT.BUDGET:
        // In single mode the one instruction is done and led to another block.
        this.lastCompleted = single;
        this.stepNext = !single;
        return;
      case EXIT.LINK_TAKEN:
        this.completed(record, RECORD.LINK_TAKEN, single);
        return;
      case EXIT.LINK_NEXT:
        this.completed(record, RECORD.LINK_NEXT, single);
        return;
      case EXIT.LOOKUP:
        this.completed(record, undefined, single);
        return;
      default:
        throw unknownReason(reason);
    }
  }

  /** Generated code was left in the middle of a block. */
  private afterPart(
    reason: number,
    record: number,
    paidInstructions: number,
    paidCycles: number,
    single: boolean,
  ): Stop | undefined {
    const { owner, words, engine } = this;
    const block = engine.cache.blockOf(record);
    const position = engine.view.getUint8(record + RECORD.POSITION);
    // What follows in the block, and the instruction itself unless it is done, is paid but has not run.
    const reached = reason === EXIT.COMPLETED ? position + 1 : position;
    this.spend(
      paidInstructions - (block.instructions.length - reached),
      paidCycles - (block.cyclesFrom[reached] as number),
    );
    if (reason === EXIT.COMPLETED) {
      this.completed(record, undefined, single);
      return undefined;
    }
    // The instruction has changed nothing: the processor goes back to its start.
    owner.state.rip = engine.view.getBigUint64(record + RECORD.RIP, true);
    switch (reason) {
      case EXIT.AGAIN:
        this.stepNext = false;
        return undefined;
      case EXIT.SIGNAL:
        owner.abandonWrites();
        return this.deliver(owner.takeSignal(), block.instructions[position]!.length);
      case EXIT.FAULT: {
        owner.abandonWrites();
        const errorCode = words[WORD.FAULT_ERROR_CODE]!;
        const vector = words[WORD.FAULT_VECTOR]!;
        return this.deliver(new GuestFault(vector, errorCode < 0 ? undefined : errorCode));
      }
      default:
        throw unknownReason(reason);
    }
  }

  private completed(record: number, field: number | undefined, single: boolean): void {
    this.lastCompleted = true;
    this.stepNext = false;
    if (field === undefined || single) this.source.forgetBranch();
    else this.source.awaitTarget(record, field);
  }

  /** Runs the last instruction of a block in TypeScript; RIP is at it and nothing of it has been paid. */
  private runSystemInstruction(block: Block): Stop | undefined {
    const { owner } = this;
    const instruction = block.last;
    const execute = block.system;
    if (execute === undefined) throw unimplementedInstruction(owner, instruction);
    this.lastSystem = instruction;
    let outcome: Outcome;
    try {
      outcome = execute(owner, instruction);
    } catch (problem) {
      return this.deliver(problem, instruction.length);
    }
    this.stepNext = false;
    const cycles = block.cyclesFrom[block.instructions.length - 1] as number;
    switch (outcome) {
      case OUTCOME.EXITED:
        return VM_EXIT;
      case OUTCOME.SHUTDOWN:
        return SHUTDOWN;
      case OUTCOME.AGAIN:
        this.spend(0, cycles);
        return undefined;
      case OUTCOME.NEXT:
      case OUTCOME.HALTED:
        owner.state.advanceRip(instruction.length, instruction.codeSize === 64);
        break;
      case OUTCOME.JUMPED:
        break;
    }
    if (outcome === OUTCOME.HALTED) owner.halted = true;
    this.lastCompleted = true;
    this.spend(1, cycles);
    return undefined;
  }

  /** Faults are delivered to the guest, VM exits completed; everything else is the host's error. */
  private deliver(problem: unknown, instructionLength?: number): Stop | undefined {
    this.stepNext = false;
    const { owner } = this;
    if (problem instanceof GuestFault) return this.afterDelivery(raiseFault(owner, problem));
    if (problem instanceof VmExitSignal && owner.intercepts !== null) {
      owner.intercepts.exit(problem, instructionLength);
      return VM_EXIT;
    }
    throw problem;
  }

  private afterDelivery(delivery: Delivery): Stop | undefined {
    if (delivery === DELIVERY.EXITED) return VM_EXIT;
    if (delivery === DELIVERY.SHUTDOWN) return SHUTDOWN;
    this.spend(0, this.engine.costs.eventDelivery);
    return undefined;
  }
}

const unknownReason = (reason: number): Error =>
  new Error(`generated code was left for unknown reason ${reason}`);
