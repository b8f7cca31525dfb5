/**
 * Requests and priorities of a local APIC: IRR, ISR, TMR, task and processor priority (SDM Vol. 3A, 11.8 Handling
 * Interrupts).
 */

import { VectorBitmap } from './vector-bitmap.js';

/** Where the task priority register is kept: hardware with a TPR shadow changes it in memory by itself. */
export interface TaskPriorityStorage {
  read(): number;
  write(value: number): void;
}

/** IRR and ISR. */
export interface InterruptVectors {
  readonly request: VectorBitmap;
  readonly inService: VectorBitmap;
}

function ownStorage(): TaskPriorityStorage {
  let priority = 0;
  return {
    read: () => priority,
    write: (value) => {
      priority = value;
    },
  };
}

export class InterruptPriority {
  readonly inService: VectorBitmap;
  readonly request: VectorBitmap;
  readonly triggerMode = new VectorBitmap();
  private readonly storage: TaskPriorityStorage;

  constructor(
    storage: TaskPriorityStorage = ownStorage(),
    vectors: InterruptVectors = { request: new VectorBitmap(), inService: new VectorBitmap() },
  ) {
    this.storage = storage;
    this.request = vectors.request;
    this.inService = vectors.inService;
  }

  reset(): void {
    this.inService.clear();
    this.request.clear();
    this.triggerMode.clear();
    this.storage.write(0);
  }

  get taskPriority(): number {
    return this.storage.read();
  }
  set taskPriority(value: number) {
    this.storage.write(value & 0xff);
  }

  /** 11.8.3.1 Task and Processor Priorities. */
  get processorPriority(): number {
    const served = this.inService.highest();
    const servedClass = served < 0 ? 0 : served & 0xf0;
    const taskPriority = this.taskPriority;
    return (taskPriority & 0xf0) >= servedClass ? taskPriority : servedClass;
  }

  /** The highest request if its class is above the processor's priority, or -1. */
  get pendingVector(): number {
    const vector = this.request.highest();
    return vector >= 0 && (vector & 0xf0) > (this.processorPriority & 0xf0) ? vector : -1;
  }

  /** Adds a request. @returns false when it was merged with one that waits already */
  add(vector: number, levelTriggered: boolean): boolean {
    const merged = this.request.has(vector);
    this.request.add(vector);
    this.setTriggerMode(vector, levelTriggered);
    return !merged;
  }

  setTriggerMode(vector: number, levelTriggered: boolean): void {
    if (levelTriggered) this.triggerMode.add(vector);
    else this.triggerMode.delete(vector);
  }

  /** Moves a request to in-service. */
  dispatch(vector: number): void {
    this.request.delete(vector);
    this.inService.add(vector);
  }

  /** Ends the highest vector in service. @returns it, or -1 */
  end(): number {
    const vector = this.inService.highest();
    if (vector >= 0) this.inService.delete(vector);
    return vector;
  }
}
