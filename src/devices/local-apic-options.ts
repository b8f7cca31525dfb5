/** What a local APIC is made with, and what it asks of its surroundings. */

import type { AlarmClock } from './device.js';
import type { InterruptMessage } from './interrupt-message.js';
import type { InterruptVectors, TaskPriorityStorage } from './interrupt-priority.js';

export type LocalApicMode = 'disabled' | 'xAPIC' | 'x2APIC';

/** What the local APIC asks of its surroundings. */
export interface LocalApicConnections {
  /** Sends an interrupt message; called for every IPI, those to itself included. */
  send(message: InterruptMessage): void;
  /** A level-triggered vector was ended: I/O APICs are to hear of it (11.8.5 Signaling Interrupt Servicing Completion). */
  broadcastEndOfInterrupt(vector: number): void;
  /** An interrupt was ended, whatever its trigger mode. */
  endOfInterrupt?(vector: number): void;
  /** Something that the processor may have to act on has arrived: look at `pendingVector`. */
  interruptArrived(): void;
  /** Delivery modes that go to the processor without the IRR. */
  nonMaskableInterrupt(): void;
  init(): void;
  startup(vector: number): void;
  /** The timer expired. When left out its interrupt is delivered at once, otherwise with `deliverTimer`. */
  timerExpired?(): void;
}

export interface LocalApicOptions {
  readonly id: number;
  readonly clock: AlarmClock;
  readonly connections: LocalApicConnections;
  /** Frequency in Hz of the clock that the timer divides. */
  readonly timerFrequency: number;
  /** Shortest period of the periodic timer in clock ticks. */
  readonly minimumTimerPeriod?: number;
  /** The clock's time at which the processor's time-stamp counter reaches a value; identity when left out. */
  readonly timeOfTsc?: (tsc: bigint) => number;
  /** Clock of the TSC-deadline mode; `clock` when left out. */
  readonly deadlineClock?: AlarmClock;
  /** Offers TSC-deadline mode and suppression of EOI broadcasts. */
  readonly tscDeadline?: boolean;
  readonly directedEndOfInterrupt?: boolean;
  /** After reset LINT0 passes the 8259s' interrupts on, as firmware sets it up on the boot processor. */
  readonly virtualWire?: boolean;
  /** The register file itself when left out. */
  readonly taskPriorityStorage?: TaskPriorityStorage;
  /** Where IRR and ISR are, when hardware reads and writes them. */
  readonly vectors?: InterruptVectors;
  /** Takes requests instead of the IRR. @returns false when the vector was merged with one that waits already */
  readonly post?: (vector: number) => boolean;
}
