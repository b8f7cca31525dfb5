/**
 * What keeps memory slots and I/O buses from going away while they are used: slots_lock as a reader-writer semaphore
 * (2.6.32), or sleepable RCU with a mutex for writers (bc6678a33d9b and following, 2.6.34). Each vCPU is a reader from
 * a VM exit to the next entry, except while it sleeps.
 */

import type { Host } from '../host/host.js';
import type { HostCpu } from '../host/host-cpu.js';
import type { HostThread, ThreadRequest } from '../host/host-thread.js';
import { Mutex } from '../host/sync/mutex.js';
import { RwSemaphore } from '../host/sync/rw-semaphore.js';
import { Srcu, type SrcuWait } from '../host/sync/srcu.js';
import { HostInvariantError } from '../host/user-mode.js';
import type { Policies } from './policies.js';

/** A thread as a reader: what it needs to end its section, and since when it is inside. */
export class SlotsReader {
  readonly name: string;
  inside = false;
  /** Index that SRCU gave (vcpu->srcu_idx). */
  index = 0;
  /** Number of the publication that was in force when the section began. */
  publication = 0;

  constructor(name: string) {
    this.name = name;
  }
}

/** The mechanism behind `SlotsProtection`. */
interface ReaderWriterLock {
  /** False: the reader has to go through `waitToRead`. */
  tryReadLock(host: HostCpu, reader: SlotsReader): boolean;
  waitToRead(thread: HostThread): Generator<ThreadRequest, undefined, void>;
  readUnlock(host: HostCpu, reader: SlotsReader): void;
  writeLock(thread: HostThread): Generator<ThreadRequest, undefined, void>;
  /** Returns when nobody uses what was published before. */
  waitForReaders(thread: HostThread): Generator<ThreadRequest, undefined, void>;
  writeUnlock(thread: HostThread): void;
}

export class SlotsProtection {
  private readonly lock: ReaderWriterLock;
  private readonly readers: SlotsReader[] = [];
  /** Counts what writers have published. */
  private publication = 0;
  /** Throws away what was published before: nobody may use it any more. */
  private readonly freeOld: () => void;

  constructor(host: Host, policy: Policies['slotsProtection'], freeOld: () => void) {
    this.freeOld = freeOld;
    this.lock = policy === 'rwsem' ? new SemaphoreProtection(host) : new SrcuProtection(host, policy);
  }

  /** Makes a reader known, so that a section that lives too long is noticed. */
  addReader(name: string): SlotsReader {
    const reader = new SlotsReader(name);
    this.readers.push(reader);
    return reader;
  }

  /** Readers inside. */
  get readersInside(): number {
    return this.readers.reduce((sum, { inside }) => sum + (inside ? 1 : 0), 0);
  }

  /**
   * Begins a section on the CPU that executes this. False: a writer is before, and the thread has to sleep in
   * `waitToRead`. To be called in order of virtual time.
   */
  tryReadLock(host: HostCpu, reader: SlotsReader): boolean {
    if (!this.lock.tryReadLock(host, reader)) return false;
    this.enter(reader);
    return true;
  }

  *waitToRead(thread: HostThread, reader: SlotsReader): Generator<ThreadRequest, undefined, void> {
    yield* this.lock.waitToRead(thread);
    this.enter(reader);
    return undefined;
  }

  /** Ends the section. To be called in order of virtual time. */
  readUnlock(host: HostCpu, reader: SlotsReader): void {
    if (!reader.inside) throw new Error(`${reader.name} left a section of memory slots that it was not in`);
    reader.inside = false;
    this.lock.readUnlock(host, reader);
  }

  /** Returns when the thread may change slots and buses. */
  *writeLock(thread: HostThread): Generator<ThreadRequest, undefined, void> {
    yield* this.lock.writeLock(thread);
    return undefined;
  }

  /**
   * Returns when no reader uses what was published before the call; then that is freed.
   * @throws HostInvariantError if one does
   */
  *waitForReaders(thread: HostThread): Generator<ThreadRequest, undefined, void> {
    this.publication++;
    const { publication } = this;
    yield* this.lock.waitForReaders(thread);
    for (const reader of this.readers)
      if (reader.inside && reader.publication < publication)
        throw new HostInvariantError(
          `memory slots in the hands of ${reader.name}`,
          'freed',
          `publication ${publication} or later`,
        );
    this.freeOld();
    return undefined;
  }

  writeUnlock(thread: HostThread): void {
    this.lock.writeUnlock(thread);
  }

  /** A whole update: `publish` puts the new state in force; returns when the old one is freed. */
  *update(thread: HostThread, publish: () => void): Generator<ThreadRequest, undefined, void> {
    yield* this.writeLock(thread);
    publish();
    yield* this.waitForReaders(thread);
    this.writeUnlock(thread);
    return undefined;
  }

  private enter(reader: SlotsReader): void {
    reader.inside = true;
    reader.publication = this.publication;
  }
}

/** slots_lock of 2.6.32: readers and writers exclude each other. */
class SemaphoreProtection implements ReaderWriterLock {
  private readonly host: Host;
  private readonly semaphore: RwSemaphore;

  constructor(host: Host) {
    this.host = host;
    this.semaphore = new RwSemaphore(host.scheduler);
  }

  tryReadLock(host: HostCpu): boolean {
    return this.semaphore.tryReadLock(host);
  }
  waitToRead(thread: HostThread): Generator<ThreadRequest, undefined, void> {
    return this.semaphore.waitToRead(thread);
  }
  readUnlock(host: HostCpu): void {
    this.semaphore.readUnlock(host);
  }
  writeLock(thread: HostThread): Generator<ThreadRequest, undefined, void> {
    return this.semaphore.writeLock(thread);
  }
  /** There are none while the writer is inside. */
  // biome-ignore lint/correctness/useYield: has nothing to wait for, unlike the other mechanism
  *waitForReaders(): Generator<ThreadRequest, undefined, void> {
    return undefined;
  }
  writeUnlock(thread: HostThread): void {
    this.semaphore.writeUnlock(this.host.scheduler.cpuOf(thread));
  }
}

/** kvm->srcu, and slots_lock as a mutex that writers alone take. */
class SrcuProtection implements ReaderWriterLock {
  private readonly srcu: Srcu;
  private readonly mutex: Mutex;
  private readonly wait: SrcuWait;

  constructor(host: Host, policy: 'srcu' | 'srcu-expedited') {
    this.srcu = new Srcu(host.scheduler, host.rcu);
    this.mutex = new Mutex(host.scheduler);
    this.wait = policy === 'srcu' ? 'sched' : 'expedited';
  }

  tryReadLock(host: HostCpu, reader: SlotsReader): boolean {
    reader.index = this.srcu.readLock(host);
    return true;
  }
  waitToRead(): never {
    throw new Error('SRCU readers never wait');
  }
  readUnlock(host: HostCpu, reader: SlotsReader): void {
    this.srcu.readUnlock(host, reader.index);
  }
  writeLock(thread: HostThread): Generator<ThreadRequest, undefined, void> {
    return this.mutex.lock(thread);
  }
  waitForReaders(thread: HostThread): Generator<ThreadRequest, undefined, void> {
    return this.srcu.synchronize(thread, this.wait);
  }
  writeUnlock(thread: HostThread): void {
    this.mutex.unlock(thread);
  }
}
