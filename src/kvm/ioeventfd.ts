/**
 * ioeventfds (virt/kvm/eventfd.c): a guest's write to a port or an MMIO address that only says "look" signals an event
 * instead of going to user space.
 */

import type { CostSink } from '../host/cost/operations.js';
import type { EventFd } from './event-fd.js';
import type { IoBus, RangedDevice } from './io-bus.js';

/** What user space asks for with KVM_IOEVENTFD. */
export interface IoEventFdRequest {
  readonly space: 'port' | 'memory';
  /** Port number or guest-physical address; a write has to begin exactly here … */
  readonly address: number;
  /** … and be exactly so long. 8 only in memory; there 0, if the VM has a fast MMIO bus, stands for any length. */
  readonly sizeInBytes: 0 | 1 | 2 | 4 | 8;
  /** The value that counts; when missing, every value does. */
  readonly dataMatch?: bigint;
  readonly event: EventFd;
}

/** A registration that KVM_IOEVENTFD refuses: -EINVAL, -EEXIST, -ENOENT. */
export class IoEventFdError extends Error {
  readonly code = 'ioeventfd';
  readonly problem: 'size' | 'exists' | 'not-found';
  constructor(problem: 'size' | 'exists' | 'not-found', message: string) {
    super(message);
    this.name = 'IoEventFdError';
    this.problem = problem;
  }
}

interface Registration {
  readonly request: IoEventFdRequest;
  readonly device: RangedDevice;
}

/** Where the ioeventfds of a VM are registered. */
export interface IoEventFdBuses {
  readonly port: IoBus;
  readonly memory: IoBus;
  /** Looked at before an access is decoded; undefined when the VM has none. */
  readonly fastMemory: IoBus | undefined;
}

/** The ioeventfds of a VM. */
export class IoEventFds {
  private readonly buses: IoEventFdBuses;
  private readonly costs: CostSink;
  private registrations: Registration[] = [];

  /** @param costs charged for signals: whatever CPU executes the write */
  constructor(buses: IoEventFdBuses, costs: CostSink) {
    this.buses = buses;
    this.costs = costs;
  }

  /** kvm_assign_ioeventfd. @throws IoEventFdError, BusFullError */
  register(request: IoEventFdRequest): void {
    const { space, address, sizeInBytes } = request;
    const { fastMemory } = this.buses;
    const sizes = space === 'port' ? [1, 2, 4] : fastMemory === undefined ? [1, 2, 4, 8] : [0, 1, 2, 4, 8];
    if (!sizes.includes(sizeInBytes) || (sizeInBytes === 0 && request.dataMatch !== undefined))
      throw new IoEventFdError('size', `no write to a ${space} is ${sizeInBytes} bytes long`);
    if (this.registrations.some((other) => collides(other.request, request)))
      throw new IoEventFdError('exists', `there is an ioeventfd at 0x${address.toString(16)} already`);
    const device = ioEventFdDevice(request, this.costs);
    this.buses[space].register(device);
    if (sizeInBytes === 0) fastMemory?.register(device);
    this.registrations.push({ request, device });
  }

  /** kvm_deassign_ioeventfd. @throws IoEventFdError */
  unregister(request: IoEventFdRequest): void {
    const found = this.registrations.find(
      ({ request: other }) =>
        isAtSamePlace(other, request) &&
        other.dataMatch === request.dataMatch &&
        other.event === request.event,
    );
    if (found === undefined)
      throw new IoEventFdError(
        'not-found',
        `there is no such ioeventfd at 0x${request.address.toString(16)}`,
      );
    this.registrations = this.registrations.filter((other) => other !== found);
    this.buses[request.space].unregister(found.device);
    this.buses.fastMemory?.unregister(found.device);
  }
}

const isAtSamePlace = (a: IoEventFdRequest, b: IoEventFdRequest): boolean =>
  a.space === b.space && a.address === b.address && a.sizeInBytes === b.sizeInBytes;

/** ioeventfd_check_collision: both would take the same write. */
const collides = (a: IoEventFdRequest, b: IoEventFdRequest): boolean =>
  isAtSamePlace(a, b) &&
  (a.dataMatch === undefined || b.dataMatch === undefined || a.dataMatch === b.dataMatch);

/** ioeventfd_write with ioeventfd_in_range. */
function ioEventFdDevice(request: IoEventFdRequest, costs: CostSink): RangedDevice {
  const { address, sizeInBytes, dataMatch, event } = request;
  const expectedLow = dataMatch === undefined ? 0 : Number(dataMatch & 0xffffffffn);
  const expectedHigh = dataMatch === undefined ? 0 : Number((dataMatch >> 32n) & 0xffffffffn);
  return {
    name: `ioeventfd at 0x${address.toString(16)}`,
    ranges: [{ first: address, length: Math.max(1, sizeInBytes) }],
    read: () => undefined,
    write: (at, size, value, upperHalf = 0) => {
      if (at !== address || (sizeInBytes !== 0 && size !== sizeInBytes)) return false;
      if (dataMatch !== undefined && (value !== expectedLow || upperHalf !== expectedHigh)) return false;
      event.signal(costs);
      return true;
    },
  };
}
