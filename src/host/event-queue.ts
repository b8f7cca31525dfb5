/** Things due at points of virtual time, in a deterministic order: by time, then in the order they were added. */

export class TimedEvent {
  /** Virtual cycles at which it is due. */
  readonly time: number;
  readonly sequence: number;
  readonly action: () => void;
  /** Posted-interrupt notification: a processor that runs a guest may take it by itself. */
  readonly isNotification: boolean;
  cancelled = false;
  private readonly onCancel: () => void;
  constructor(
    time: number,
    sequence: number,
    action: () => void,
    isNotification: boolean,
    onCancel: () => void,
  ) {
    this.time = time;
    this.sequence = sequence;
    this.action = action;
    this.isNotification = isNotification;
    this.onCancel = onCancel;
  }

  cancel(): void {
    this.cancelled = true;
    this.onCancel();
  }
}

const before = (a: TimedEvent, b: TimedEvent): boolean =>
  a.time < b.time || (a.time === b.time && a.sequence < b.sequence);

/** A binary heap. Cancelled events stay in it until they come to the top. */
export class EventQueue {
  /** Time of the earliest event, `Infinity` when there is none. Asked several times at every exit. */
  nextTime = Number.POSITIVE_INFINITY;
  private readonly heap: TimedEvent[] = [];
  private nextSequence = 0;
  private readonly cancelled = (): void => this.settle();

  /** `action` runs when the owner of the queue reaches `time`. */
  schedule(time: number, action: () => void, isNotification = false): TimedEvent {
    const event = new TimedEvent(time, this.nextSequence++, action, isNotification, this.cancelled);
    let index = this.heap.length;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (before(this.heap[parent]!, event)) break;
      this.heap[index] = this.heap[parent]!;
      index = parent;
    }
    this.heap[index] = event;
    this.settle();
    return event;
  }

  /** The earliest event due at or before `time`, which stays in the queue. */
  firstDue(time: number): TimedEvent | undefined {
    return this.nextTime > time ? undefined : this.heap[0];
  }

  /** Removes the earliest event due at or before `time`. */
  takeDue(time: number): TimedEvent | undefined {
    if (this.nextTime > time || this.heap.length === 0) return undefined;
    const event = this.removeTop();
    this.settle();
    return event;
  }

  /** Afterwards the top is no cancelled event, and `nextTime` is the top's. */
  private settle(): void {
    const { heap } = this;
    while (heap.length > 0 && heap[0]!.cancelled) this.removeTop();
    this.nextTime = heap.length === 0 ? Number.POSITIVE_INFINITY : heap[0]!.time;
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
