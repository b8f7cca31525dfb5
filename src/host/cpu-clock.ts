/**
 * A CPU's virtual time: what is charged to whom, interrupts of the host that become due, and how far the CPU may run
 * ahead of the others.
 */

import type { InterruptSource } from '../processor/core.js';
import { type CostSink, operation } from './cost/operations.js';
import { EventQueue } from './event-queue.js';
import type { HardwareProcessor } from './hardware.js';
import { LedgerAccount } from './ledger.js';
import { STAGE, type Stage } from './stages.js';

const POSTED_INTERRUPT = operation('posted-interrupt processing');
const DISABLE_INTERRUPTS = operation('disable interrupts');
const ENABLE_INTERRUPTS = operation('enable interrupts');
const HOST_INTERRUPT = operation('host interrupt entry');

/** Vectors of the host's interrupts: that of posted interrupts (POSTED_INTR_VECTOR), and one for all others. */
export const POSTED_INTERRUPT_VECTOR = 0xf2;
const DEVICE_INTERRUPT_VECTOR = 0x31;
export class CpuClock implements CostSink, InterruptSource {
  readonly number: number;
  readonly processor: HardwareProcessor;
  /** Interrupts to come on this CPU: timers, inter-processor interrupts, devices. */
  readonly events = new EventQueue();
  /** Who is charged for what runs now. */
  account: LedgerAccount;
  /** Guest code stops at this virtual time although nothing happened, so that the simulation can look elsewhere. */
  horizon = Number.POSITIVE_INFINITY;
  /** Virtual time at which the simulation is to be interrupted. */
  stopTime = Number.POSITIVE_INFINITY;
  /** The CPU has stopped because the simulation is interrupted, and has to go on before others do. */
  cutShort = false;
  /** Times that the CPU was in a place where no RCU section can be open: context switch, user mode, guest. */
  quiescentStates = 0;
  /** Virtual time of the CPU that is furthest behind: see `isInOrder`. */
  orderLimit = Number.POSITIVE_INFINITY;
  /**
   * Instructions that guest code may still execute before it pauses. Exits and host interrupts count as one each, so that
   * a guest that does nothing else is bounded too.
   */
  instructionBudget = Number.POSITIVE_INFINITY;

  /** Cycles by operation number. */
  private readonly prices: Float64Array;
  /** What is charged: the prices, or nothing during set-up work. */
  private costs: Float64Array;
  private readonly nothing: Float64Array;
  /** Takes what costs nothing. */
  private readonly unpaid: LedgerAccount;
  private readonly startTime: number;

  /** @param account pays until another one is set */
  constructor(number: number, processor: HardwareProcessor, costs: Float64Array, account: LedgerAccount) {
    this.number = number;
    this.processor = processor;
    this.prices = costs;
    this.costs = costs;
    this.nothing = new Float64Array(costs.length);
    this.unpaid = new LedgerAccount('set-up', this.nothing);
    this.account = account;
    this.startTime = processor.timeStampCounter;
    processor.interrupts = this;
  }

  // Virtual time and charges

  /** Virtual time in cycles: this CPU's time-stamp counter. */
  get now(): number {
    return this.processor.timeStampCounter;
  }

  /** Cycles since this object was made. */
  get elapsed(): number {
    return this.processor.timeStampCounter - this.startTime;
  }

  charge(operationNumber: number, times = 1): void {
    this.processor.timeStampCounter += this.costs[operationNumber]! * times;
    this.account.charge(operationNumber, times);
  }

  /** Charges an operation that has no fixed price. */
  chargeCycles(operationNumber: number, times: number, cycles: number): void {
    if (this.costs === this.nothing) return;
    this.processor.timeStampCounter += cycles;
    this.account.add(operationNumber, times, cycles);
  }

  /** Price of an operation in cycles. */
  costOf(operationNumber: number): number {
    return this.prices[operationNumber]!;
  }

  /** Charges waiting until a point of virtual time, if that is still to come. */
  waitUntil(time: number, operationNumber: number): void {
    const cycles = time - this.processor.timeStampCounter;
    if (cycles > 0) this.chargeCycles(operationNumber, 1, cycles);
  }

  /**
   * No other CPU is behind this one: an operation on shared memory comes after all that precede it in virtual time. Code
   * that finds this false yields 'pause' and looks again.
   */
  get isInOrder(): boolean {
    return this.processor.timeStampCounter <= this.orderLimit;
  }

  setStage(stage: Stage): void {
    this.account.setStage(stage);
  }

  /** Runs set-up work that takes no virtual time, as if it had been done before the machine was switched on. */
  withoutCharge<Result>(work: () => Result): Result {
    const { costs, account } = this;
    this.costs = this.nothing;
    this.account = this.unpaid;
    try {
      return work();
    } finally {
      this.costs = costs;
      this.account = account;
    }
  }

  // Interrupts of the host

  /** An interrupt of the host waits (`InterruptSource` of the processor: it ends guest code). */
  pending(): boolean {
    return this.events.nextTime <= this.processor.timeStampCounter;
  }

  /**
   * The processor takes an interrupt in while it runs a guest. Only a notification of posted interrupts is gone then; all
   * others are served by host code, after the VM exit.
   */
  acknowledge(): number {
    const event = this.events.firstDue(this.now);
    if (event?.isNotification !== true) return DEVICE_INTERRUPT_VECTOR;
    this.events.takeDue(this.now);
    this.processor.timeStampCounter += this.costOf(POSTED_INTERRUPT);
    return POSTED_INTERRUPT_VECTOR;
  }

  localIrqDisable(): void {
    this.charge(DISABLE_INTERRUPTS);
  }

  /** STI: interrupts that became due are taken now. */
  localIrqEnable(): void {
    this.charge(ENABLE_INTERRUPTS);
    this.takeInterrupts();
  }

  /** Takes host interrupts that are due, where host code runs with interrupts enabled. */
  takeInterrupts(): void {
    let event = this.events.takeDue(this.now);
    if (event === undefined) return;
    const account = this.account;
    const stage = account.stage;
    account.setStage(STAGE.HOST_INTERRUPT);
    while (event !== undefined) {
      this.charge(HOST_INTERRUPT);
      this.instructionBudget--;
      event.action();
      event = this.events.takeDue(this.now);
    }
    account.setStage(stage);
  }
}
