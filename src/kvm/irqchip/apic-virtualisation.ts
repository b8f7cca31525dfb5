/**
 * APIC virtualisation of one vCPU: its local APIC's registers in the virtual-APIC page, where the processor reads and
 * writes them, and the descriptor by which interrupts are posted (vmx_refresh_apicv_exec_ctrl, vmx_sync_pir_to_irr).
 */

import type { LocalApic } from '../../devices/local-apic.js';
import { APIC_REGISTER } from '../../devices/local-apic-registers.js';
import { VectorBitmap } from '../../devices/vector-bitmap.js';
import { isReadableX2apic } from '../../devices/x2apic-face.js';
import { operation } from '../../host/cost/operations.js';
import { type HostPhysicalAddress, hostPhysical } from '../../memory/addresses.js';
import type { PhysicalMemory } from '../../memory/physical-memory.js';
import type { Policies } from '../policies.js';

const LOCKED_OPERATION = operation('locked operation');

/** Words of a posted-interrupt descriptor: requests, then the outstanding notification. */
const REQUEST_WORDS = 8;
const BYTES_BETWEEN_REGISTERS = 16;
const LAST_REGISTER = 0x3f0;

/** The vCPU whose interrupts are posted. */
export interface PostingTarget {
  charge(operation: number, times?: number): void;
  /** Sends the notification interrupt if the guest runs on another CPU, and wakes the vCPU if it sleeps. */
  notifyPosted(): void;
}

export class ApicVirtualisation {
  /** The processor evaluates and delivers interrupts. */
  readonly delivers: boolean;
  /** Interrupts reach it through the descriptor. */
  readonly posts: boolean;
  readonly request: VectorBitmap;
  readonly inService: VectorBitmap;
  readonly descriptor: HostPhysicalAddress;
  /** EOI-exit bitmap as the VMCS has it. */
  readonly eoiExits = new Uint32Array(8);
  private readonly memory: PhysicalMemory;
  private readonly page: HostPhysicalAddress;
  private readonly target: PostingTarget;
  private outstanding = false;

  constructor(options: {
    policy: Exclude<Policies['apicVirtualisation'], 'none'>;
    memory: PhysicalMemory;
    page: HostPhysicalAddress;
    descriptor: HostPhysicalAddress;
    target: PostingTarget;
  }) {
    this.delivers = options.policy !== 'register';
    this.posts = options.policy === 'posted-interrupts';
    this.memory = options.memory;
    this.page = options.page;
    this.descriptor = options.descriptor;
    this.target = options.target;
    this.request = this.bitmapAt(APIC_REGISTER.REQUEST);
    this.inService = this.bitmapAt(APIC_REGISTER.IN_SERVICE);
  }

  /** A register as the guest wrote it to the page (kvm_lapic_get_reg). */
  register(offset: number): number {
    return this.memory.read32(hostPhysical(this.page + offset)) >>> 0;
  }

  /** Brings the page up to date with registers that KVM changed; IRR, ISR and TPR live there. */
  mirror(apic: LocalApic): void {
    for (let offset = 0; offset <= LAST_REGISTER; offset += BYTES_BETWEEN_REGISTERS) {
      const isVector = offset >= APIC_REGISTER.IN_SERVICE && offset < APIC_REGISTER.ERROR_STATUS;
      const isTriggerMode = offset >= APIC_REGISTER.TRIGGER_MODE && offset < APIC_REGISTER.REQUEST;
      if ((isVector && !isTriggerMode) || !isReadableX2apic(offset)) continue;
      if (offset === APIC_REGISTER.TASK_PRIORITY || offset === APIC_REGISTER.CURRENT_COUNT) continue;
      this.store(offset, apic.readRegister(offset));
    }
    const high = apic.readRegister(APIC_REGISTER.INTERRUPT_COMMAND_HIGH);
    this.store(APIC_REGISTER.DESTINATION_FORMAT, apic.readRegister(APIC_REGISTER.DESTINATION_FORMAT));
    this.store(APIC_REGISTER.INTERRUPT_COMMAND_HIGH, high);
    // In x2APIC mode the interrupt-command register is one of 64 bits.
    this.store(APIC_REGISTER.INTERRUPT_COMMAND_LOW + 4, apic.mode === 'x2APIC' ? high : 0);
  }

  /** vmx_deliver_posted_interrupt. @returns false when the vector was posted already */
  post(vector: number): boolean {
    this.target.charge(LOCKED_OPERATION);
    const address = hostPhysical(this.descriptor + (vector >> 5) * 4);
    const word = this.memory.read32(address);
    const bit = 1 << (vector & 31);
    if ((word & bit) !== 0) return false;
    this.memory.write32(address, word | bit);
    this.target.charge(LOCKED_OPERATION);
    const notification = hostPhysical(this.descriptor + REQUEST_WORDS * 4);
    const control = this.memory.read32(notification);
    if ((control & 1) !== 0) return true;
    this.memory.write32(notification, control | 1);
    this.outstanding = true;
    this.target.notifyPosted();
    return true;
  }

  /** vmx_sync_pir_to_irr: what was posted while the guest did not run. */
  takePosted(): void {
    if (!this.outstanding) return;
    this.outstanding = false;
    const notification = hostPhysical(this.descriptor + REQUEST_WORDS * 4);
    const control = this.memory.read32(notification);
    if ((control & 1) === 0) return;
    this.target.charge(LOCKED_OPERATION);
    this.memory.write32(notification, control & ~1);
    for (let word = 0; word < REQUEST_WORDS; word++) {
      const address = hostPhysical(this.descriptor + word * 4);
      const posted = this.memory.read32(address);
      if (posted === 0) continue;
      this.memory.write32(address, 0);
      for (let bit = 0; bit < 32; bit++) if ((posted & (1 << bit)) !== 0) this.request.add(word * 32 + bit);
    }
  }

  private store(offset: number, value: number): void {
    this.memory.write32(hostPhysical(this.page + offset), value);
  }

  private bitmapAt(offset: number): VectorBitmap {
    const { bytes } = this.memory;
    const words = (7 * BYTES_BETWEEN_REGISTERS) / 4 + 1;
    return new VectorBitmap(
      new Uint32Array(bytes.buffer, bytes.byteOffset + this.page + offset, words),
      BYTES_BETWEEN_REGISTERS / 4,
    );
  }
}
