/**
 * The in-kernel local APIC of a vCPU (arch/x86/kvm/lapic.c, irq.c): the register file behind its two faces, the timer
 * whose interrupt waits until the vCPU runs, and the choice between APIC and PIC interrupts.
 */

import type { AlarmClock } from '../../devices/device.js';
import type { InterruptMessage } from '../../devices/interrupt-message.js';
import { LocalApic } from '../../devices/local-apic.js';
import { APIC_REGISTER } from '../../devices/local-apic-registers.js';
import { readX2apic, writeX2apic, x2apicRegister } from '../../devices/x2apic-face.js';
import { type CostSink, operation } from '../../host/cost/operations.js';
import { type HostPhysicalAddress, hostPhysical } from '../../memory/addresses.js';
import type { PhysicalMemory } from '../../memory/physical-memory.js';
import type { VcpuInterrupts } from '../contracts.js';
import type { BusDevice } from '../io-bus.js';
import { APIC_BASE, apicAddressOf, apicModeOf, DEFAULT_APIC_ADDRESS, isLegalApicBase } from './apic-base.js';
import type { ApicVirtualisation } from './apic-virtualisation.js';
import type { DeadlineTimer } from './deadline-timer.js';
import type { PvEoi } from './pv-eoi.js';

const REGISTER_ACCESS = operation('local APIC register access');
const TIMER_PROGRAMMING = operation('timer programming');

/** KVM counts the timer in nanoseconds: a bus clock of 1 GHz (APIC_BUS_CYCLE_NS). */
export const APIC_TIMER_FREQUENCY = 1_000_000_000;
/** Shortest period that KVM grants a periodic timer, in seconds (NSEC_PER_MSEC / 2). */
const MINIMUM_PERIOD = 0.0005;
const PAGE = 4096;

/** The vCPU as the interrupt controllers see it. */
export interface InterruptTarget extends CostSink {
  readonly id: number;
  nmiPending: boolean;
  /** Something has arrived: wakes the vCPU or makes it look before its next entry. */
  kick(): void;
  /** INIT and start-up messages, by which application processors are started. */
  init?(): void;
  startup?(vector: number): void;
  /** Its guest runs (IN_GUEST_MODE). */
  readonly guestMode?: boolean;
  /** Added to the processor's time-stamp counter by the guest. */
  tscOffset?(): bigint;
}

/** The 8259 pair, whose interrupts the boot processor takes. */
export interface ExternalInterrupts {
  readonly interruptPending: boolean;
  acknowledge(): number;
}

export interface VcpuLocalApicOptions {
  readonly vcpu: InterruptTarget;
  readonly clock: AlarmClock;
  /** Offers TSC-deadline mode, run by this. */
  readonly deadlineTimer?: DeadlineTimer | undefined;
  readonly virtualisation?: ApicVirtualisation | undefined;
  /** An expired timer is posted to a guest that runs, by whatever CPU has the timer (kvm_use_posted_timer_interrupt). */
  readonly postsTimer?: boolean;
  /** Host memory that holds `registerPage`. */
  readonly memory: PhysicalMemory;
  /** A zeroed page for the task priority, which hardware with a TPR shadow reads and writes there. */
  readonly registerPage: HostPhysicalAddress;
  /** Undefined for all but the boot processor. */
  readonly externalInterrupts: ExternalInterrupts | undefined;
  readonly send: (message: InterruptMessage, from: VcpuLocalApic) => void;
  readonly broadcastEndOfInterrupt: (vector: number) => void;
  /** An interrupt is no longer in service, level-triggered or not. */
  readonly endOfInterrupt?: (vector: number) => void;
  /** INIT and start-up messages. */
  readonly init?: () => void;
  readonly startup?: (vector: number) => void;
}

export class VcpuLocalApic implements VcpuInterrupts, BusDevice {
  readonly name = 'local APIC';
  readonly apic: LocalApic;
  readonly registerPage: HostPhysicalAddress;
  readonly deadlineTimer: DeadlineTimer | undefined;
  readonly virtualisation: ApicVirtualisation | undefined;
  private readonly levels = new Uint32Array(8);
  private readonly vcpu: InterruptTarget;
  private readonly externalInterrupts: ExternalInterrupts | undefined;
  private apicBase: bigint;
  private timerPending = false;
  /** The vector taken last, while it is in service and nothing has ended since; -1 when not known (highest_isr_cache). */
  private lastTaken = -1;
  private pvEoi: PvEoi | undefined;

  constructor(options: VcpuLocalApicOptions) {
    const { vcpu, clock, memory } = options;
    this.vcpu = vcpu;
    this.registerPage = options.registerPage;
    this.deadlineTimer = options.deadlineTimer;
    const { virtualisation } = options;
    this.virtualisation = virtualisation;
    this.externalInterrupts = options.externalInterrupts;
    const isBootProcessor = options.externalInterrupts !== undefined;
    this.apicBase = BigInt(DEFAULT_APIC_ADDRESS) | APIC_BASE.ENABLE | (isBootProcessor ? APIC_BASE.BSP : 0n);
    const priority = hostPhysical(options.registerPage + APIC_REGISTER.TASK_PRIORITY);
    this.apic = new LocalApic({
      id: vcpu.id,
      clock,
      timerFrequency: APIC_TIMER_FREQUENCY,
      minimumTimerPeriod: Math.ceil(MINIMUM_PERIOD * clock.ticksPerSecond),
      virtualWire: isBootProcessor,
      ...(virtualisation === undefined ? {} : { vectors: virtualisation }),
      ...(virtualisation?.posts === true ? { post: (vector) => virtualisation.post(vector) } : {}),
      ...(options.deadlineTimer === undefined
        ? {}
        : {
            tscDeadline: true,
            deadlineClock: options.deadlineTimer,
            timeOfTsc: (tsc) => Number(BigInt.asUintN(64, tsc) - BigInt.asIntN(64, vcpu.tscOffset?.() ?? 0n)),
          }),
      taskPriorityStorage: {
        read: () => memory.read8(priority),
        write: (value) => memory.write32(priority, value),
      },
      connections: {
        send: (message) => options.send(message, this),
        broadcastEndOfInterrupt: options.broadcastEndOfInterrupt,
        endOfInterrupt: (vector) => {
          this.lastTaken = -1;
          options.endOfInterrupt?.(vector);
        },
        interruptArrived: () => vcpu.kick(),
        nonMaskableInterrupt: () => {
          vcpu.nmiPending = true;
          vcpu.kick();
        },
        init: options.init ?? (() => {}),
        startup: options.startup ?? (() => {}),
        timerExpired: () => {
          if (this.apic.timerMasked) return;
          if (options.postsTimer === true && vcpu.guestMode === true) {
            this.apic.deliverTimer();
            return;
          }
          // Expiries that come before the vCPU has taken the last one are merged with it (kvm_timer_fn).
          this.timerPending = true;
          vcpu.kick();
        },
      },
    });
    virtualisation?.mirror(this.apic);
  }

  /** The local APIC is enabled in IA32_APIC_BASE. */
  get enabled(): boolean {
    return this.apic.mode !== 'disabled';
  }

  hasInjectableInterrupt(): boolean {
    return this.virtualisation?.delivers === true ? this.hasExternalInterrupt : this.hasInterrupt();
  }

  hasInterrupt(): boolean {
    this.virtualisation?.takePosted();
    return this.apic.pendingVector >= 0 || this.hasExternalInterrupt;
  }

  acknowledge(): number {
    const processorDelivers = this.virtualisation?.delivers === true;
    if ((processorDelivers || this.apic.pendingVector < 0) && this.hasExternalInterrupt)
      return this.externalInterrupts!.acknowledge();
    const vector = this.apic.acknowledge();
    // A spurious interrupt is not in service.
    if (this.apic.priority.inService.has(vector)) this.lastTaken = vector;
    return vector;
  }

  highestRequest(): number {
    this.virtualisation?.takePosted();
    return this.apic.highestRequest;
  }

  hasPendingTimer(): boolean {
    return this.timerPending && this.apic.softwareEnabled && !this.apic.timerMasked;
  }

  injectPendingTimer(): void {
    // What is merged with a request that still waits stays pending and is tried again (kvm_inject_apic_timer_irqs).
    if (this.timerPending && this.apic.deliverTimer()) this.timerPending = false;
  }

  registerWritten(offset: number): void {
    const virtualisation = this.virtualisation!;
    this.vcpu.charge(REGISTER_ACCESS);
    // The high half of the interrupt command was written without an exit.
    if (offset === APIC_REGISTER.INTERRUPT_COMMAND_LOW && this.apic.mode === 'xAPIC')
      this.apic.writeRegister(
        APIC_REGISTER.INTERRUPT_COMMAND_HIGH,
        virtualisation.register(APIC_REGISTER.INTERRUPT_COMMAND_HIGH),
      );
    this.apic.writeRegister(offset, virtualisation.register(offset));
    this.noteTimerStart(offset);
    virtualisation.mirror(this.apic);
  }

  interruptEnded(vector: number): void {
    this.vcpu.charge(REGISTER_ACCESS);
    this.apic.announceEnd(vector);
  }

  levelTriggered(): Uint32Array {
    for (let word = 0; word < 8; word++) this.levels[word] = this.apic.priority.triggerMode.word(word);
    return this.levels;
  }

  readTscDeadline(): bigint | undefined {
    return this.deadlineTimer === undefined ? undefined : this.apic.timer.deadline;
  }
  /** kvm_set_lapic_tscdeadline_msr: an expiry not yet taken is forgotten. */
  writeTscDeadline(value: bigint): boolean {
    if (this.deadlineTimer === undefined) return false;
    this.timerPending = false;
    this.apic.timer.deadline = value;
    return true;
  }

  /** Offers the guest ends of interrupt through memory from now on. */
  connectPvEoi(pvEoi: PvEoi): void {
    this.pvEoi = pvEoi;
  }
  readPvEoiMsr(): bigint | undefined {
    return this.pvEoi?.readMsr();
  }
  writePvEoiMsr(value: bigint): boolean {
    return this.pvEoi?.writeMsr(value) ?? false;
  }

  /** apic_sync_pv_eoi_to_guest: nothing else waits, one vector is known to be in service, and no I/O APIC waits for its end. */
  syncToGuest(): void {
    const { pvEoi, lastTaken, apic } = this;
    if (pvEoi?.enabled !== true || lastTaken < 0 || apic.highestRequest >= 0) return;
    if (apic.priority.triggerMode.has(lastTaken)) return;
    pvEoi.offer();
  }
  get hasOffer(): boolean {
    return this.pvEoi?.pending === true;
  }
  /** apic_sync_pv_eoi_from_guest. */
  syncFromGuest(): void {
    if (this.pvEoi?.withdraw() === true) this.endOfInterrupt();
  }

  readCr8(): number {
    return this.apic.taskPriority >> 4;
  }
  writeCr8(priorityClass: number): void {
    this.apic.taskPriority = (priorityClass & 15) << 4;
  }

  readApicBase(): bigint {
    return this.apicBase;
  }
  writeApicBase(value: bigint): boolean {
    if (!isLegalApicBase(this.apic.mode, value)) return false;
    this.apicBase = value;
    this.apic.mode = apicModeOf(value)!;
    this.virtualisation?.mirror(this.apic);
    return true;
  }

  /** MSR 0x800 … 0xbff; the upper three quarters are reserved. */
  readX2apicMsr(index: number): bigint | undefined {
    this.vcpu.charge(REGISTER_ACCESS);
    return readX2apic(this.apic, index);
  }
  writeX2apicMsr(index: number, low: number, high: number): boolean {
    this.vcpu.charge(REGISTER_ACCESS);
    if (!writeX2apic(this.apic, index, low, high)) return false;
    this.noteTimerStart(x2apicRegister(index));
    this.virtualisation?.mirror(this.apic);
    return true;
  }

  /** MMIO read (apic_mmio_read). Undefined when the address is not in the APIC's page, or in x2APIC mode. */
  read(address: number, sizeInBytes: number): number | undefined {
    const offset = this.offsetOf(address);
    if (offset < 0) return undefined;
    this.vcpu.charge(REGISTER_ACCESS);
    // An access that runs over the register's 32 bits is answered with zero.
    return (offset & 15) + sizeInBytes > 4 ? 0 : this.apic.read(offset, sizeInBytes);
  }

  /** MMIO write (apic_mmio_write): anything but an aligned 32-bit write is taken and ignored. */
  write(address: number, sizeInBytes: number, value: number): boolean {
    const offset = this.offsetOf(address);
    if (offset < 0) return false;
    if (sizeInBytes !== 4 || (offset & 15) !== 0) return true;
    this.vcpu.charge(REGISTER_ACCESS);
    this.apic.write(offset, 4, value);
    this.noteTimerStart(offset);
    this.virtualisation?.mirror(this.apic);
    return true;
  }

  /** The end of interrupt that the exit qualification alone shows, without an emulator (kvm_lapic_set_eoi). */
  endOfInterrupt(): void {
    this.vcpu.charge(REGISTER_ACCESS);
    this.apic.endOfInterrupt();
  }

  private get hasExternalInterrupt(): boolean {
    const { externalInterrupts } = this;
    return externalInterrupts?.interruptPending === true && this.apic.acceptsExternalInterrupts;
  }

  /** A write of the initial count starts the timer anew: an expiry not yet taken is forgotten (start_apic_timer). */
  private noteTimerStart(register: number): void {
    if (register !== APIC_REGISTER.INITIAL_COUNT) return;
    this.timerPending = false;
    this.vcpu.charge(TIMER_PROGRAMMING);
  }

  private offsetOf(address: number): number {
    const offset = address - apicAddressOf(this.apicBase);
    return this.apic.mode === 'xAPIC' && offset >= 0 && offset < PAGE ? offset : -1;
  }
}
