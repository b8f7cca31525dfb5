/** ioeventfds and coalesced MMIO: what the guest's writes turn into, and how heavy they are. */

import { describe, expect, it } from 'vitest';
import { CoalescedZonesError, RING_ENTRIES } from '../../src/kvm/coalesced-mmio.js';
import { EventFd, startEventWorker } from '../../src/kvm/event-fd.js';
import { BusFullError } from '../../src/kvm/io-bus.js';
import { IoEventFdError, type IoEventFdRequest } from '../../src/kvm/ioeventfd.js';
import type { Policies } from '../../src/kvm/policies.js';
import { createScenario } from '../../src/machine/scenario/scenario.js';
import type { ExitRecord } from '../../src/trace/events.js';
import { guest } from '../machine/scenario/guests.js';
import { createKvmMachine, type KvmMachine } from './kvm-machine.js';

const EVENT = 0xd0000000;
const ZONE = 0xa00000;

interface MmioWrite {
  readonly address: number;
  readonly sizeInBytes: number;
  readonly value: bigint;
}

function machineWith(
  code: string,
  policies: Partial<Policies> = {},
): { machine: KvmMachine; writes: MmioWrite[]; exits: ExitRecord[] } {
  const writes: MmioWrite[] = [];
  const exits: ExitRecord[] = [];
  const machine = createKvmMachine({
    code,
    policies,
    writeMmio: (address, sizeInBytes, value) => writes.push({ address, sizeInBytes, value }),
    readMmio: () => BigInt(writes.length),
  });
  machine.kvm.trace = { vmExit: (record) => exits.push(record) };
  return { machine, writes, exits };
}

const BUSES: Partial<Policies>[] = [
  { busSearch: 'linear', busCapacity: '200' },
  { busSearch: 'sorted', busCapacity: '200' },
];

describe.each(BUSES)('ioeventfd on a $busSearch bus', (policies) => {
  it('takes writes of exactly its address, length and value; the rest goes to user space', () => {
    const { machine, exits } = machineWith(
      `
        mov dx, 0x1000
        mov eax, 7
        out dx, ax
        mov eax, 8
        out dx, ax
        mov eax, 7
        out dx, al
        out dx, eax
        inc dx
        out dx, ax
        hlt`,
      policies,
    );
    const event = new EventFd();
    machine.kvm.registerIoEventFd({ space: 'port', address: 0x1000, sizeInBytes: 2, dataMatch: 7n, event });
    machine.run();
    expect(event.total).toBe(1);
    expect(machine.ports.map(({ port, sizeInBytes, value }) => [port, sizeInBytes, value])).toEqual([
      [0x1000, 2, 8],
      [0x1000, 1, 7],
      [0x1000, 4, 7],
      [0x1001, 2, 7],
    ]);
    expect(exits.filter((exit) => exit.reasonName === 'IO_INSTRUCTION').map(({ weight }) => weight)).toEqual([
      'light',
      'heavy',
      'heavy',
      'heavy',
      'heavy',
    ]);
  });

  it('compares all 64 bits of a value in memory', () => {
    const { machine, writes } = machineWith(
      `
        mov rdi, ${EVENT}
        mov rax, 0x1122334455667788
        mov [rdi], rax
        mov rax, 0x2222334455667788
        mov [rdi], rax
        hlt`,
      policies,
    );
    const event = new EventFd();
    machine.kvm.registerIoEventFd({
      space: 'memory',
      address: EVENT,
      sizeInBytes: 8,
      dataMatch: 0x1122334455667788n,
      event,
    });
    machine.run();
    expect(event.total).toBe(1);
    expect(writes).toEqual([{ address: EVENT, sizeInBytes: 8, value: 0x2222334455667788n }]);
  });

  it('wakes the kernel thread that serves it', () => {
    // The first signals come before the worker had its first turn, the others wake it; spinning uses up time slices.
    const spin = (label: string): string => `mov ecx, 6000000\n${label}: dec ecx\njnz ${label}`;
    const { machine } = machineWith(
      `mov dx, 0x1000\nout dx, al\nout dx, al\n${spin('.a')}\nout dx, al\n${spin('.b')}\nhlt`,
      policies,
    );
    const event = new EventFd();
    machine.kvm.registerIoEventFd({ space: 'port', address: 0x1000, sizeInBytes: 1, event });
    let served = 0;
    const worker = startEventWorker({
      name: 'vhost',
      host: machine.host,
      cpu: machine.host.cpus[0]!,
      event,
      cyclesPerSignal: 10_000,
      served: (signals) => {
        served += signals;
      },
    });
    machine.run(30_000_000);
    expect(event.total).toBe(3);
    expect(served).toBe(3);
    expect(worker.account.total).toBeGreaterThanOrEqual(30_000);
  });

  it('can be registered by hundreds, taken off and refused', () => {
    const { machine } = machineWith('hlt', policies);
    const request = (index: number): IoEventFdRequest => ({
      space: 'port',
      address: 0x2000 + index,
      sizeInBytes: 1,
      event: new EventFd(),
    });
    // The chips take three entries of a linear bus, five ranges of a sorted one.
    const room = policies.busSearch === 'linear' ? 197 : 195;
    const requests = Array.from({ length: room }, (_, index) => request(index));
    for (const one of requests) machine.kvm.registerIoEventFd(one);
    expect(() => machine.kvm.registerIoEventFd(request(500))).toThrow(BusFullError);
    machine.kvm.unregisterIoEventFd(requests[3]!);
    machine.kvm.registerIoEventFd(request(500));
    expect(() => machine.kvm.unregisterIoEventFd(requests[3]!)).toThrow(IoEventFdError);
    expect(() => machine.kvm.registerIoEventFd(request(4))).toThrow(IoEventFdError);
    expect(() => machine.kvm.registerIoEventFd({ ...request(600), sizeInBytes: 8 })).toThrow(IoEventFdError);
  });
});

describe.each(BUSES)('coalesced MMIO on a $busSearch bus', (policies) => {
  const FILL = `
        mov edi, ${ZONE}
        mov ecx, 5
    .next:
        mov [rdi], ecx
        add edi, 4
        loop .next
        mov eax, [rdi + 0x10000]
        mov ebx, eax
        hlt`;

  it('collects writes and gives them to user space, in order, before its next access', () => {
    const plain = machineWith(FILL, policies);
    plain.machine.run();
    const { machine, writes, exits } = machineWith(FILL, policies);
    machine.kvm.registerCoalescedMmio({ first: ZONE, length: 0x1000 });
    machine.run();
    expect(writes).toEqual(plain.writes);
    expect(writes.map(({ value }) => value)).toEqual([5n, 4n, 3n, 2n, 1n]);
    // The read came after all writes: it saw five of them.
    expect(machine.kvm.getRegisters(machine.vcpu).general.gpr[3]).toBe(5n);
    const heavy = (list: readonly ExitRecord[]): number =>
      list.filter(({ weight, reasonName }) => weight === 'heavy' && reasonName === 'EPT_VIOLATION').length;
    expect(heavy(plain.exits)).toBe(6);
    expect(heavy(exits)).toBe(1);
    expect(machine.host.elapsed).toBeLessThan(plain.machine.host.elapsed);
  });

  it('leaves writes that run over the end of the zone, and reads, to user space at once', () => {
    const { machine, writes } = machineWith(
      `mov edi, ${ZONE}\nmov eax, [rdi]\nmov [rdi + 0x7fe], eax\nhlt`,
      policies,
    );
    machine.kvm.registerCoalescedMmio({ first: ZONE, length: 0x800 });
    machine.run();
    expect(writes.map(({ address }) => address)).toEqual([ZONE + 0x7fe]);
    expect(machine.kvm.vm.statistics.mmioExits).toBe(2);
  });

  it('sends a write to user space when the ring is nearly full, and loses none', () => {
    const many = RING_ENTRIES * 2;
    const { machine, writes, exits } = machineWith(
      `mov edi, ${ZONE}\nmov ecx, ${many}\n.next: mov [rdi], ecx\nloop .next\nout 0x60, al\nhlt`,
      policies,
    );
    machine.kvm.registerCoalescedMmio({ first: ZONE, length: 0x1000 });
    machine.run();
    expect(writes.map(({ value }) => Number(value))).toEqual(
      Array.from({ length: many }, (_, index) => many - index),
    );
    // 64 entries stay free: every 106th write leaves the kernel.
    const heavy = exits.filter((exit) => exit.weight === 'heavy' && exit.reasonName === 'EPT_VIOLATION');
    expect(heavy).toHaveLength(Math.floor(many / (RING_ENTRIES - 64)));
  });

  it('ends when its zone is taken off', () => {
    const { machine, exits } = machineWith(`mov edi, ${ZONE}\nmov [rdi], eax\nhlt`, policies);
    machine.kvm.registerCoalescedMmio({ first: ZONE, length: 0x1000 });
    machine.kvm.registerCoalescedMmio({ first: ZONE + 0x2000, length: 0x1000 });
    machine.kvm.unregisterCoalescedMmio({ first: ZONE, length: 0x1000 });
    machine.run();
    expect(exits.find(({ reasonName }) => reasonName === 'EPT_VIOLATION')).toBeDefined();
    expect(machine.kvm.vm.statistics.mmioExits).toBe(1);
  });

  it('has room for a hundred zones', () => {
    const { machine } = machineWith('hlt', policies);
    const zone = (index: number) => ({ first: ZONE + 0x2000 * index, length: 0x1000 });
    for (let index = 0; index < 100; index++) machine.kvm.registerCoalescedMmio(zone(index));
    expect(() => machine.kvm.registerCoalescedMmio(zone(100))).toThrow(CoalescedZonesError);
  });
});

describe('MMIO that exits by a misconfiguration', () => {
  const CODE = `
    mov edi, ${ZONE}
    mov dword [rdi], 1
    mov dword [rdi + 4], 2
    mov eax, [rdi + 8]
    mov ebx, eax
    mov word [rdi + 0xff0], 3
    mov edi, ${EVENT}
    mov byte [rdi], 4
    mov dword [rdi], 5
    mov dword [rdi], 6
    mov [rdi + 4], eax
    hlt`;
  const run = (mmioExit: Policies['mmioExit'], event?: IoEventFdRequest) => {
    const result = machineWith(CODE, { mmioExit });
    if (event !== undefined) result.machine.kvm.registerIoEventFd(event);
    result.machine.run();
    return result;
  };
  const reasons = (exits: readonly ExitRecord[]): string[] =>
    exits
      .filter(({ qualification, reasonName }) => qualification !== 0n || reasonName === 'EPT_MISCONFIG')
      .filter(({ guestPhysicalAddress }) => (guestPhysicalAddress ?? 0) >= ZONE)
      .map(({ reasonName }) => reasonName);

  it('means the same to guest and user space as by violations', () => {
    const before = run('violation');
    for (const mmioExit of ['misconfiguration', 'fast-bus'] as const) {
      const after = run(mmioExit);
      expect(after.writes).toEqual(before.writes);
      expect(after.machine.kvm.getRegisters(after.machine.vcpu).general).toEqual(
        before.machine.kvm.getRegisters(before.machine.vcpu).general,
      );
      expect(after.machine.host.elapsed).toBeLessThan(before.machine.host.elapsed);
    }
  });

  it('takes the page fault handler for the first access to a page only', () => {
    expect(reasons(run('violation').exits)).toEqual(new Array(8).fill('EPT_VIOLATION'));
    const [first, ...others] = reasons(run('misconfiguration').exits);
    expect(first).toBe('EPT_VIOLATION');
    expect(others).toEqual([
      ...new Array(3).fill('EPT_MISCONFIG'),
      'EPT_VIOLATION',
      ...new Array(3).fill('EPT_MISCONFIG'),
    ]);
  });

  it('signals an ioeventfd of any length, from the second access on without decoding anything', () => {
    const event = new EventFd();
    const { machine, exits, writes } = run('fast-bus', {
      space: 'memory',
      address: EVENT,
      sizeInBytes: 0,
      event,
    });
    expect(event.total).toBe(3);
    expect(writes.at(-1)!.address).toBe(EVENT + 4);
    const atEvent = exits.filter(({ guestPhysicalAddress }) => guestPhysicalAddress === EVENT);
    const decoded = (exit: ExitRecord): boolean =>
      exit.stages.some(({ operations }) => operations.some(({ name }) => name === 'emulator decode'));
    expect(atEvent.map(decoded)).toEqual([true, false, false]);
    expect(machine.kvm.vm.statistics.mmioExits).toBe(5);
  });

  it('makes a doorbell in memory about as fast as one at a port', () => {
    const { machine, exits } = machineWith(
      `mov edi, ${EVENT}\nmov dx, 0x1000\nmov ecx, 3\n.next: mov [rdi], eax\nout dx, eax\nloop .next\nhlt`,
      { mmioExit: 'fast-bus', portOutput: 'fast-path' },
    );
    const event = new EventFd();
    machine.kvm.registerIoEventFd({ space: 'memory', address: EVENT, sizeInBytes: 0, event });
    machine.kvm.registerIoEventFd({ space: 'port', address: 0x1000, sizeInBytes: 4, event });
    machine.run();
    expect(event.total).toBe(6);
    const last = (name: string): number =>
      exits.filter(({ reasonName }) => reasonName === name).at(-1)!.cycles;
    expect(Math.abs(last('EPT_MISCONFIG') - last('IO_INSTRUCTION'))).toBeLessThan(100);
  });

  it('is not offered lengths that do not exist', () => {
    const event = new EventFd();
    const anyLength: IoEventFdRequest = { space: 'memory', address: EVENT, sizeInBytes: 0, event };
    expect(() => run('violation', anyLength)).toThrow(IoEventFdError);
    expect(() => run('fast-bus', { ...anyLength, space: 'port' })).toThrow(IoEventFdError);
    expect(() => run('fast-bus', { ...anyLength, dataMatch: 1n })).toThrow(IoEventFdError);
    const { machine } = machineWith(CODE, { mmioExit: 'fast-bus' });
    machine.kvm.registerIoEventFd(anyLength);
    machine.kvm.unregisterIoEventFd(anyLength);
    machine.run();
    expect(event.total).toBe(0);
  });
});

describe('a vhost-like thread on another CPU', () => {
  it('is woken by an interrupt, and the guest does not wait for it', () => {
    const code = `
      mov edx, 0x1000
      mov ecx, 20
    next:
      out dx, al
      mov ebx, 20000
    spin:
      dec ebx
      jnz spin
      loop next
      xor eax, eax
      out 0xf4, eax`;
    const scenario = createScenario({
      topology: { sockets: 1, coresPerSocket: 2 },
      vms: [{ image: guest(code), memoryBytes: 4 * 2 ** 20 }],
    });
    const event = new EventFd();
    const { kvmVm } = scenario.vms[0]!;
    kvmVm.registerIoEventFd({ space: 'port', address: 0x1000, sizeInBytes: 1, event });
    const batches: number[] = [];
    startEventWorker({
      name: 'vhost',
      host: scenario.host,
      cpu: scenario.host.cpus[1]!,
      event,
      cyclesPerSignal: 5000,
      served: (signals) => batches.push(signals),
    });
    const result = scenario.run({ untilCycles: 50_000_000 });
    expect(result.vms[0]!.end).toEqual({ reason: 'guest-exit', exitCode: 1 });
    expect(event.total).toBe(20);
    // Each is served before the next: 20,000 cycles are enough for the wake-up and the work.
    expect(batches.slice(0, 19)).toEqual(new Array(19).fill(1));
    expect(kvmVm.vm.statistics.hostStateReload).toBeLessThan(4);
    scenario.host.verifyLedger();
  });
});
