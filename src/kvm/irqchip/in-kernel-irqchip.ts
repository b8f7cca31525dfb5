/**
 * The interrupt controllers and the timer that KVM keeps in the kernel (KVM_CREATE_IRQCHIP, KVM_CREATE_PIT2): created
 * together, wired to each other, registered on the VM's buses in KVM's order.
 */

import type { AlarmClock } from '../../devices/device.js';
import { DELIVERY_MODE, type InterruptMessage, SHORTHAND } from '../../devices/interrupt-message.js';
import { IoApic } from '../../devices/io-apic.js';
import { ProgrammableInterruptController } from '../../devices/programmable-interrupt-controller.js';
import { ProgrammableIntervalTimer, SystemControlPort } from '../../devices/programmable-interval-timer.js';
import type { HostPhysicalAddress } from '../../memory/addresses.js';
import type { PhysicalMemory } from '../../memory/physical-memory.js';
import { deviceAt } from '../device-at.js';
import type { IoBus } from '../io-bus.js';
import type { PageAllocator } from '../mmu/extended-page-tables.js';
import type { Policies } from '../policies.js';
import type { ApicVirtualisation } from './apic-virtualisation.js';
import type { DeadlineTimer } from './deadline-timer.js';
import { DEFAULT_ROUTING, type IrqRoute, IrqRouting } from './irq-routing.js';
import type { IrqRoutingProtection } from './irq-routing-protection.js';
import type { IrqchipLocks } from './irqchip-locks.js';
import { type ExternalInterrupts, type InterruptTarget, VcpuLocalApic } from './vcpu-local-apic.js';

/** Where the chips are in a PC's address spaces. */
export const IRQCHIP_ADDRESS = {
  MASTER_PIC: 0x20,
  SLAVE_PIC: 0xa0,
  EDGE_LEVEL_CONTROL: 0x4d0,
  TIMER: 0x40,
  SPEAKER: 0x61,
  IO_APIC: 0xfec00000,
} as const;
/** GSI of counter 0 of the timer. */
const TIMER_GSI = 0;
const IO_APIC_LENGTH = 0x100;

export interface InKernelIrqchipOptions {
  readonly clock: AlarmClock;
  readonly memory: PhysicalMemory;
  readonly pages: PageAllocator;
  readonly pioBus: IoBus;
  readonly mmioBus: IoBus;
  /** Left out where nothing runs beside the caller. */
  readonly routingProtection?: IrqRoutingProtection;
  readonly locks?: IrqchipLocks;
  /** Ends of interrupt for which the I/O APIC's lock is taken; default all of them. */
  readonly ioApicEoi?: Policies['ioApicEoi'];
}

export class InKernelIrqchip {
  readonly pic: ProgrammableInterruptController;
  readonly ioApic: IoApic;
  readonly timer: ProgrammableIntervalTimer;
  readonly routing: IrqRouting;
  private readonly options: InKernelIrqchipOptions;
  private readonly localApics: VcpuLocalApic[] = [];

  constructor(options: InKernelIrqchipOptions) {
    this.options = options;
    this.pic = new ProgrammableInterruptController({
      // Only the boot processor's LINT0 is connected.
      set: (level) => this.localApics[0]?.apic.setLint(0, level),
    });
    this.ioApic = new IoApic((message) => this.deliver(message, undefined));
    this.routing = new IrqRouting(
      (route, level) => this.signal(route, level),
      DEFAULT_ROUTING,
      options.routingProtection,
    );
    this.timer = new ProgrammableIntervalTimer({
      clock: options.clock,
      interruptLine: { set: (level) => this.routing.setIrq('timer', TIMER_GSI, level) },
    });
    this.register();
  }

  /**
   * Creates the local APIC of a vCPU (kvm_create_lapic). The first one is the boot processor's.
   * @param clock runs the timer: that of the CPU which the vCPU is on
   * @param virtualisation makes the processor's part of it, around its page of registers
   * @param deadlineTimer runs its TSC-deadline mode, which is not offered without
   * @param postsTimer timers that expire while the guest runs are posted
   */
  addVcpu(
    vcpu: InterruptTarget,
    clock: AlarmClock = this.options.clock,
    deadlineTimer?: DeadlineTimer,
    virtualisation?: (page: HostPhysicalAddress) => ApicVirtualisation,
    postsTimer = false,
  ): VcpuLocalApic {
    const registerPage = this.options.pages.allocatePage();
    const localApic = new VcpuLocalApic({
      vcpu,
      clock,
      deadlineTimer,
      memory: this.options.memory,
      registerPage,
      virtualisation: virtualisation?.(registerPage),
      postsTimer,
      externalInterrupts: this.localApics.length === 0 ? this.externalInterrupts() : undefined,
      send: (message, from) => this.deliver(message, from),
      endOfInterrupt: (vector) => this.passIoApic(vector),
      broadcastEndOfInterrupt: (vector) => this.ioApic.endOfInterrupt(vector),
      init: () => vcpu.init?.(),
      startup: (vector) => vcpu.startup?.(vector),
    });
    this.localApics.push(localApic);
    return localApic;
  }

  /** Drives the interrupt line of a device (KVM_IRQ_LINE). */
  setIrq(source: string, gsi: number, level: boolean): void {
    this.routing.setIrq(source, gsi, level);
  }

  /** kvm_pic_set_irq, kvm_ioapic_set_irq, kvm_set_msi. */
  private signal(route: IrqRoute, level: boolean): void {
    const { locks } = this.options;
    switch (route.chip) {
      case 'PIC':
        locks?.pic.acquire();
        this.pic.setPin(route.pin, level);
        locks?.pic.release();
        return;
      case 'IO-APIC':
        locks?.ioApic.acquire();
        this.ioApic.setPin(route.pin, level);
        locks?.ioApic.release();
        return;
      case 'MSI':
        if (level) this.deliver(route.message, undefined);
    }
  }

  /** kvm_pic_read_irq. */
  private externalInterrupts(): ExternalInterrupts {
    const { pic } = this;
    const lock = this.options.locks?.pic;
    if (lock === undefined) return pic;
    return {
      get interruptPending() {
        return pic.interruptPending;
      },
      acknowledge: () => {
        lock.acquire();
        const vector = pic.acknowledge();
        lock.release();
        return vector;
      },
    };
  }

  /** The I/O APIC looks under its lock whether an interrupt that has ended was one of its own (apic_set_eoi). */
  private passIoApic(vector: number): void {
    const { locks, ioApicEoi } = this.options;
    if (locks === undefined || (ioApicEoi === 'handled-vectors' && !this.ioApic.handles(vector))) return;
    locks.ioApic.acquire();
    locks.ioApic.release();
  }

  /** kvm_irq_delivery_to_apic. @returns true when some local APIC took the message as a new interrupt */
  private deliver(message: InterruptMessage, from: VcpuLocalApic | undefined): boolean {
    const receivers = this.localApics.filter((candidate) => isAddressed(candidate, message, from));
    if (message.deliveryMode !== DELIVERY_MODE.LOWEST_PRIORITY) {
      let accepted = false;
      for (const { apic } of receivers) accepted = apic.receive(message) || accepted;
      return accepted;
    }
    let lowest: VcpuLocalApic | undefined;
    for (const candidate of receivers)
      if (
        candidate.apic.softwareEnabled &&
        (lowest === undefined || candidate.apic.processorPriority < lowest.apic.processorPriority)
      )
        lowest = candidate;
    return lowest?.apic.receive(message) ?? false;
  }

  private register(): void {
    const { pioBus, mmioBus, locks } = this.options;
    const at = IRQCHIP_ADDRESS;
    pioBus.register(
      deviceAt(
        'PIC',
        [
          { first: at.MASTER_PIC, length: 2, device: this.pic.masterPorts },
          { first: at.SLAVE_PIC, length: 2, device: this.pic.slavePorts },
          { first: at.EDGE_LEVEL_CONTROL, length: 1, device: this.pic.masterEdgeLevel },
          { first: at.EDGE_LEVEL_CONTROL + 1, length: 1, device: this.pic.slaveEdgeLevel },
        ],
        locks?.pic,
      ),
    );
    mmioBus.register(
      deviceAt(
        'IO-APIC',
        [{ first: at.IO_APIC, length: IO_APIC_LENGTH, device: this.ioApic }],
        locks?.ioApic,
      ),
    );
    pioBus.register(deviceAt('PIT', [{ first: at.TIMER, length: 4, device: this.timer }], locks?.timer));
    const speaker = new SystemControlPort(this.timer);
    pioBus.register(
      deviceAt('PIT speaker', [{ first: at.SPEAKER, length: 1, device: speaker }], locks?.timer),
    );
  }
}

/** kvm_apic_match_dest. */
function isAddressed(
  candidate: VcpuLocalApic,
  message: InterruptMessage,
  from: VcpuLocalApic | undefined,
): boolean {
  switch (message.shorthand) {
    case SHORTHAND.SELF:
      return candidate === from;
    case SHORTHAND.ALL:
      return true;
    case SHORTHAND.ALL_BUT_SELF:
      return candidate !== from;
    default:
      return candidate.apic.matches(message.destination, message.logicalDestination);
  }
}
