/** Things due at points of virtual time, in a deterministic order: by time, then in the order they were added. */

export class TimedEvent {
  /** Virtual cycles at which it is due. */
  readonly time: number;
  readonly sequence: number;
  readonly action: () => void;
  /** Posted-interrupt notification: a processor that runs a guest may take it by itself. */
  readonly isNotification: boolean;
  cancelled = false;
  constructor(time: number, sequence: number, action: () => void, isNotification: boolean) {
    this.time = time;
    this.sequence = sequence;
    this.action = action;
    this.isNotification = isNotification;
  }

  cancel(): void {
    this.cancelled = true;
  }
}

const before = (a: TimedEvent, b: TimedEvent): boolean =>
  a.time < b.time || (a.time === b.time && a.sequence < b.sequence);

/** A binary heap. Cancelled events stay in it until they come to the top. */
export class EventQueue {
  private readonly heap: TimedEvent[] = [];
  private nextSequence = 0;

  /** `action` runs when the owner of the queue reaches `time`. */
  schedule(time: number, action: () => void, isNotification = false): TimedEvent {
    const event = new TimedEvent(time, this.nextSequence++, action, isNotification);
    let index = this.heap.length;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (before(this.heap[parent]!, event)) break;
      this.heap[index] = this.heap[parent]!;
      index = parent;
    }
    this.heap[index] = event;
    return event;
  }

  /** Time of the earliest event, `Infinity` when there is none. */
  get nextTime(): number {
    this.dropCancelled();
    return this.heap.length === 0 ? Number.POSITIVE_INFINITY : this.heap[0]!.time;
  }

  /** The earliest event due at or before `time`, which stays in the queue. */
  firstDue(time: number): TimedEvent | undefined {
    this.dropCancelled();
    return this.heap.length === 0 || this.heap[0]!.time > time ? undefined : this.heap[0];
  }

  /** Removes the earliest event due at or before `time`. */
  takeDue(time: number): TimedEvent | undefined {
    this.dropCancelled();
    if (this.heap.length === 0 || this.heap[0]!.time > time) return undefined;
    return this.removeTop();
  }

  private dropCancelled(): void {
    while (this.heap.length > 0 && this.heap[0]!.cancelled) this.removeTop();
  }

  private removeTop(): TimedEvent {
    const top = this.heap[0]!;
    const last = this.heap.pop()!;
    const size = this.heap.length;
    if (size > 0) {
      let index = 0;
      for (;;) {
        let child = index * 2 + 1;
        if (child >= size) break;
        if (child + 1 < size && before(this.heap[child + 1]!, this.heap[child]!)) child++;
        if (before(last, this.heap[child]!)) break;
        this.heap[index] = this.heap[child]!;
        index = child;
      }
      this.heap[index] = last;
    }
    return top;
  }
}
