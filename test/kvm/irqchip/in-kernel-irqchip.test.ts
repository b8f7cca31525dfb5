/** The in-kernel interrupt controllers as a vCPU sees them. */

import { beforeEach, describe, expect, it } from 'vitest';
import type { OperationNumber } from '../../../src/host/cost/operations.js';
import { IoBus } from '../../../src/kvm/io-bus.js';
import { InKernelIrqchip } from '../../../src/kvm/irqchip/in-kernel-irqchip.js';
import type { InterruptTarget, VcpuLocalApic } from '../../../src/kvm/irqchip/vcpu-local-apic.js';
import { hostPhysical } from '../../../src/memory/addresses.js';
import { PhysicalMemory } from '../../../src/memory/physical-memory.js';
import { TestClock } from '../../devices/alarm-clock.js';
import { Charges } from '../emulator/guest.js';

const APIC = 0xfee00000;
const IO_APIC = 0xfec00000;
const MICROSECOND = 1000;

class Target implements InterruptTarget {
  readonly id: number;
  readonly charges = new Charges();
  nmiPending = false;
  kicks = 0;
  constructor(id: number) {
    this.id = id;
  }
  kick(): void {
    this.kicks++;
  }
  charge(operation: OperationNumber, times?: number): void {
    this.charges.charge(operation, times);
  }
}

let clock: TestClock;
let memory: PhysicalMemory;
let pioBus: IoBus;
let mmioBus: IoBus;
let chip: InKernelIrqchip;
let targets: Target[];
let apics: VcpuLocalApic[];
const costs = new Charges();

function start(vcpus: number): void {
  clock = new TestClock(1_000_000_000);
  memory = new PhysicalMemory(new WebAssembly.Memory({ initial: 2 }), 0, 0x20000);
  pioBus = new IoBus();
  mmioBus = new IoBus();
  let nextPage = 0x1000;
  chip = new InKernelIrqchip({
    clock,
    memory,
    pages: {
      allocatePage: () => {
        nextPage += 0x1000;
        return hostPhysical(nextPage);
      },
      freePage: () => {},
    },
    pioBus,
    mmioBus,
  });
  targets = Array.from({ length: vcpus }, (_, id) => new Target(id));
  apics = targets.map((target) => chip.addVcpu(target));
}

const enable = (apic: VcpuLocalApic) => apic.write(APIC + 0xf0, 4, 0x1ff);
const outb = (port: number, value: number) => expect(pioBus.write(port, 1, value, costs)).toBe(true);
const initializePic = () => {
  for (const [port, value] of [
    [0x20, 0x11],
    [0x21, 0x30],
    [0x21, 4],
    [0x21, 1],
  ] as const)
    outb(port, value);
  for (const [port, value] of [
    [0xa0, 0x11],
    [0xa1, 0x38],
    [0xa1, 2],
    [0xa1, 1],
  ] as const)
    outb(port, value);
};
const redirect = (pin: number, low: number, destination = 0) => {
  for (const [index, value] of [
    [0x11 + 2 * pin, destination * 2 ** 24],
    [0x10 + 2 * pin, low],
  ] as const) {
    mmioBus.write(IO_APIC, 4, index, costs);
    mmioBus.write(IO_APIC + 0x10, 4, value, costs);
  }
};

beforeEach(() => start(1));

describe('buses', () => {
  it('hold PIC, PIT and speaker, and the I/O APIC, in the order of their creation', () => {
    expect(pioBus.devices.map(({ name }) => name)).toEqual(['PIC', 'PIT', 'PIT speaker']);
    expect(mmioBus.devices.map(({ name }) => name)).toEqual(['IO-APIC']);
    for (const port of [0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x40, 0x43, 0x61])
      expect(pioBus.read(port, 1, costs), `port ${port.toString(16)}`).toBeDefined();
    expect(pioBus.read(0x44, 1, costs)).toBeUndefined();
  });
});

describe('interrupts through the 8259s (kvm_cpu_get_interrupt)', () => {
  it('reach the boot processor while its LINT0 passes them on', () => {
    initializePic();
    chip.setIrq('serial', 4, true);
    expect(targets[0]!.kicks).toBeGreaterThan(0);
    expect(apics[0]!.hasInterrupt()).toBe(true);
    expect(apics[0]!.highestRequest()).toBe(-1);
    expect(apics[0]!.acknowledge()).toBe(0x34);
    expect(apics[0]!.hasInterrupt()).toBe(false);
  });

  it('stop when LINT0 is masked, and are behind the local APIC', () => {
    initializePic();
    enable(apics[0]!);
    chip.setIrq('serial', 4, true);
    apics[0]!.apic.accept(0x31, false);
    expect(apics[0]!.acknowledge()).toBe(0x31);
    apics[0]!.write(APIC + 0x350, 4, 0x10700);
    expect(apics[0]!.hasInterrupt()).toBe(false);
    apics[0]!.write(APIC + 0x350, 4, 0x700);
    expect(apics[0]!.acknowledge()).toBe(0x34);
  });

  it('are the OR of the sources of a shared line', () => {
    initializePic();
    outb(0x4d1, 8); // IRQ11 level triggered
    chip.setIrq('disk', 11, true);
    chip.setIrq('network', 11, true);
    chip.setIrq('disk', 11, false);
    expect(apics[0]!.acknowledge()).toBe(0x3b);
    outb(0xa0, 0x20);
    outb(0x20, 0x20);
    expect(apics[0]!.hasInterrupt()).toBe(true);
    chip.setIrq('network', 11, false);
    expect(apics[0]!.hasInterrupt()).toBe(false);
  });

  it('come from the PIT at its rate', () => {
    initializePic();
    outb(0x43, 0x34);
    outb(0x40, 0xa9);
    outb(0x40, 0x04); // 1193 → 1 ms
    let taken = 0;
    for (let step = 0; step < 55; step++) {
      clock.advance(100 * MICROSECOND);
      if (!apics[0]!.hasInterrupt()) continue;
      expect(apics[0]!.acknowledge()).toBe(0x30);
      outb(0x20, 0x20);
      taken++;
    }
    expect(taken).toBe(5);
  });
});

describe('interrupts through the I/O APIC', () => {
  beforeEach(() => start(3));

  it('go to the vCPU that they name', () => {
    for (const apic of apics) enable(apic);
    redirect(20, 0x61, 2);
    chip.setIrq('device', 20, true);
    expect(apics.map((apic) => apic.hasInterrupt())).toEqual([false, false, true]);
    expect(apics[2]!.acknowledge()).toBe(0x61);
  });

  it('come again after the EOI of a level that is still there', () => {
    enable(apics[0]!);
    redirect(20, 0x8061);
    chip.setIrq('device', 20, true);
    expect(apics[0]!.acknowledge()).toBe(0x61);
    expect(apics[0]!.hasInterrupt()).toBe(false);
    apics[0]!.write(APIC + 0xb0, 4, 0);
    expect(apics[0]!.acknowledge()).toBe(0x61);
    chip.setIrq('device', 20, false);
    apics[0]!.endOfInterrupt();
    expect(apics[0]!.hasInterrupt()).toBe(false);
  });

  it('with lowest priority go to the vCPU that does the least', () => {
    for (const [index, apic] of apics.entries()) {
      enable(apic);
      apic.write(APIC + 0xd0, 4, (1 << index) * 2 ** 24);
    }
    apics[0]!.writeCr8(5);
    apics[1]!.writeCr8(2);
    apics[2]!.writeCr8(4);
    redirect(20, 0x971, 7); // lowest priority, logical, all three
    chip.setIrq('device', 20, true);
    expect(apics.map((apic) => apic.highestRequest())).toEqual([-1, 0x71, -1]);
  });
});

describe('interprocessor interrupts', () => {
  beforeEach(() => {
    start(3);
    for (const apic of apics) enable(apic);
  });
  const send = (low: number, high = 0) => {
    apics[1]!.write(APIC + 0x310, 4, high * 2 ** 24);
    apics[1]!.write(APIC + 0x300, 4, low);
  };
  const requests = () => apics.map((apic) => apic.highestRequest());

  it.each([
    ['a physical destination', 0x4042, 2, [-1, -1, 0x42]],
    ['self', 0x44042, 0, [-1, 0x42, -1]],
    ['all', 0x84042, 0, [0x42, 0x42, 0x42]],
    ['all but self', 0xc4042, 0, [0x42, -1, 0x42]],
  ])('reach %s', (_, low, high, expected) => {
    send(low, high);
    expect(requests()).toEqual(expected);
  });

  it('deliver NMI', () => {
    send(0x4400, 2);
    expect(targets.map(({ nmiPending }) => nmiPending)).toEqual([false, false, true]);
    expect(targets[2]!.kicks).toBeGreaterThan(0);
  });
});

describe('local APIC of a vCPU', () => {
  it('answers at its page only, and charges each register access', () => {
    const [apic] = apics as [VcpuLocalApic];
    expect(apic.read(APIC + 0x30, 4)).toBe(0x50014);
    expect(apic.read(APIC + 0x1000, 4)).toBeUndefined();
    expect(apic.write(APIC - 4, 4, 0)).toBe(false);
    expect(apic.read(APIC + 0x3e, 4)).toBe(0);
    expect(apic.write(APIC + 0x80, 1, 0x50)).toBe(true);
    expect(apic.readCr8()).toBe(0);
    expect(targets[0]!.charges.of('local APIC register access')).toBe(2);
  });

  it('keeps the task priority where a TPR shadow finds it', () => {
    const [apic] = apics as [VcpuLocalApic];
    apic.write(APIC + 0x80, 4, 0x4f);
    const address = hostPhysical(apic.registerPage + 0x80);
    expect(memory.read32(address)).toBe(0x4f);
    // The processor changes it without an exit.
    memory.write32(address, 0x60);
    expect(apic.readCr8()).toBe(6);
    enable(apic);
    apic.apic.accept(0x65, false);
    expect(apic.hasInterrupt()).toBe(false);
    apic.writeCr8(5);
    expect(apic.hasInterrupt()).toBe(true);
  });

  it('follows IA32_APIC_BASE through its modes (SDM Vol. 3A, 11.12.5 x2APIC State Transitions)', () => {
    const [apic] = apics as [VcpuLocalApic];
    const base = 0xfee00900n;
    expect(apic.readApicBase()).toBe(base);
    expect(apic.readX2apicMsr(0x802)).toBeUndefined();
    expect(apic.writeApicBase(base | 0x400n)).toBe(true);
    expect(apic.readX2apicMsr(0x802)).toBe(0n);
    expect(apic.read(APIC + 0x20, 4)).toBeUndefined();
    expect(apic.writeApicBase(base)).toBe(false); // x2APIC → xAPIC
    expect(apic.writeApicBase(0xfee00500n)).toBe(false); // EXTD without EN
    expect(apic.writeApicBase(0xfee00100n)).toBe(true);
    expect(apic.enabled).toBe(false);
    expect(apic.read(APIC + 0x20, 4)).toBeUndefined();
    expect(apic.writeApicBase(base | 0x400n)).toBe(false); // disabled → x2APIC
    expect(apic.writeApicBase(base | 0x200n)).toBe(false); // reserved bit
    expect(apic.writeApicBase(0xfed00900n)).toBe(true);
    expect(apic.read(0xfed00030, 4)).toBe(0x50014);
    expect(apic.readApicBase()).toBe(0xfed00900n);
  });

  it('lets the timer wait until the vCPU takes it, expiries in between merged', () => {
    const [apic] = apics as [VcpuLocalApic];
    enable(apic);
    apic.write(APIC + 0x320, 4, 0x20040); // periodic
    apic.write(APIC + 0x3e0, 4, 0xb);
    apic.write(APIC + 0x380, 4, 1_000_000);
    expect(targets[0]!.charges.of('timer programming')).toBe(1);
    clock.advance(999 * MICROSECOND);
    expect(apic.hasPendingTimer()).toBe(false);
    const before = targets[0]!.kicks;
    clock.advance(2001 * MICROSECOND);
    expect(targets[0]!.kicks).toBe(before + 3);
    expect(apic.hasPendingTimer()).toBe(true);
    expect(apic.hasInterrupt()).toBe(false);
    apic.injectPendingTimer();
    expect(apic.hasPendingTimer()).toBe(false);
    expect(apic.acknowledge()).toBe(0x40);
    apic.injectPendingTimer();
    expect(apic.hasInterrupt()).toBe(false);
  });

  it('forgets an expiry that was not taken when the timer is started again', () => {
    const [apic] = apics as [VcpuLocalApic];
    enable(apic);
    apic.write(APIC + 0x320, 4, 0x40);
    apic.write(APIC + 0x380, 4, 100);
    clock.advance(1000);
    expect(apic.hasPendingTimer()).toBe(true);
    apic.write(APIC + 0x380, 4, 100_000);
    expect(apic.hasPendingTimer()).toBe(false);
  });

  it('does not count a masked timer as pending, nor later when the mask goes', () => {
    const [apic] = apics as [VcpuLocalApic];
    enable(apic);
    apic.write(APIC + 0x320, 4, 0x10040);
    apic.write(APIC + 0x380, 4, 100);
    clock.advance(1000);
    expect(apic.hasPendingTimer()).toBe(false);
    apic.write(APIC + 0x320, 4, 0x40);
    expect(apic.hasPendingTimer()).toBe(false);
    apic.injectPendingTimer();
    expect(apic.hasInterrupt()).toBe(false);
  });
});
