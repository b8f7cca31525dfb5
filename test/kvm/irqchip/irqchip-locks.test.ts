/** Which lock an access, an interrupt and its end take, by era. */

import { describe, expect, it } from 'vitest';
import type { Lock } from '../../../src/kvm/device-lock.js';
import { IoBus } from '../../../src/kvm/io-bus.js';
import { InKernelIrqchip } from '../../../src/kvm/irqchip/in-kernel-irqchip.js';
import { DEFAULT_ROUTING, messageRoute } from '../../../src/kvm/irqchip/irq-routing.js';
import { createIrqchipLocks } from '../../../src/kvm/irqchip/irqchip-locks.js';
import type { Policies } from '../../../src/kvm/policies.js';
import { hostPhysical } from '../../../src/memory/addresses.js';
import { PhysicalMemory } from '../../../src/memory/physical-memory.js';
import { TestClock } from '../../devices/alarm-clock.js';
import { createHost } from '../../host/host-machine.js';
import { Charges } from '../emulator/guest.js';

const APIC = 0xfee00000;
const IO_APIC = 0xfec00000;
const VECTOR = 0x41;
const OTHER_VECTOR = 0x52;
const PIN = 5;
const MESSAGE_GSI = 30;

/** An interrupt controller whose locks write down who takes them; `taken` names them since the last call. */
function chipWith(ioApicEoi: Policies['ioApicEoi'] = 'every-vector') {
  const names: string[] = [];
  let held = 0;
  const lock = (name: string): Lock => ({
    acquire: () => {
      names.push(name);
      held++;
    },
    release: () => held--,
  });
  const pioBus = new IoBus();
  const mmioBus = new IoBus();
  const charges = new Charges();
  let page = 0;
  const chip = new InKernelIrqchip({
    clock: new TestClock(1_000_000_000),
    memory: new PhysicalMemory(new WebAssembly.Memory({ initial: 2 }), 0, 0x20000),
    pages: {
      allocatePage: () => {
        page += 0x1000;
        return hostPhysical(page);
      },
      freePage: () => {},
    },
    pioBus,
    mmioBus,
    ioApicEoi,
    locks: { routing: lock('routing'), pic: lock('PIC'), ioApic: lock('IO-APIC'), timer: lock('timer') },
  });
  const apic = chip.addVcpu({
    id: 0,
    nmiPending: false,
    kick: () => {},
    charge: (operation, times) => charges.charge(operation, times),
  });
  apic.write(APIC + 0xf0, 4, 0x1ff);
  chip.routing.replace([...DEFAULT_ROUTING, messageRoute(MESSAGE_GSI, OTHER_VECTOR, 0)]);
  mmioBus.write(IO_APIC, 4, 0x10 + 2 * PIN, charges);
  mmioBus.write(IO_APIC + 0x10, 4, VECTOR, charges);
  names.length = 0;
  return {
    chip,
    apic,
    taken: (action: () => void): string[] => {
      action();
      expect(held).toBe(0);
      return names.splice(0);
    },
    port: (port: number) => pioBus.read(port, 1, charges),
    memory: (address: number) => mmioBus.read(address, 4, charges),
  };
}

describe('the locks of the interrupt controllers', () => {
  it('are those of the device that is accessed', () => {
    const { taken, port, memory } = chipWith();
    for (const [name, ports] of [
      ['PIC', [0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1]],
      ['timer', [0x40, 0x42, 0x61]],
    ] as const)
      for (const number of ports) expect(taken(() => port(number))).toEqual([name]);
    expect(taken(() => memory(IO_APIC))).toEqual(['IO-APIC']);
    expect(taken(() => memory(IO_APIC + 0x1000))).toEqual([]);
    expect(taken(() => port(0x70))).toEqual([]);
  });

  it('are taken by the pins that an interrupt goes to, and not by a message', () => {
    const { chip, taken } = chipWith();
    expect(taken(() => chip.setIrq('device', PIN, true))).toEqual(['PIC', 'IO-APIC']);
    expect(taken(() => chip.setIrq('device', 20, true))).toEqual(['IO-APIC']);
    expect(taken(() => chip.setIrq('device', MESSAGE_GSI, true))).toEqual([]);
  });

  it.each([
    ['every-vector', ['IO-APIC'], ['IO-APIC']],
    ['handled-vectors', ['IO-APIC'], []],
  ] as const)('are taken at ends of interrupt: %s', (policy, ofPin, ofMessage) => {
    const { chip, apic, taken } = chipWith(policy);
    for (const [gsi, vector, expected] of [
      [PIN, VECTOR, ofPin],
      [MESSAGE_GSI, OTHER_VECTOR, ofMessage],
    ] as const) {
      chip.setIrq('device', gsi, true);
      expect(apic.acknowledge()).toBe(vector);
      taken(() => {});
      expect(taken(() => apic.write(APIC + 0xb0, 4, 0))).toEqual(expected);
    }
    // Nothing is in service any more.
    expect(taken(() => apic.write(APIC + 0xb0, 4, 0))).toEqual([]);
  });

  it('are one for routing and I/O APIC while irq_lock protects the routes, and two later', () => {
    const { host } = createHost({ cpus: 2 });
    const before = createIrqchipLocks(host, 'irq-lock');
    expect(before.ioApic).toBe(before.routing);
    const after = createIrqchipLocks(host, 'rcu');
    expect(new Set(Object.values(after)).size).toBe(4);
  });
});
