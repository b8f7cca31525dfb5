/**
 * Translation of guest-physical addresses in VMX non-root operation: EPT, and the APIC-access page
 * (SDM Vol. 3C, 28.2 The Extended Page Table Mechanism; 29.4 Virtualizing Memory-Mapped APIC Accesses).
 */

import { EPT_ENTRY } from '../../architecture/vmx/ept.js';
import {
  APIC_ACCESS_TYPE,
  EPT_VIOLATION,
  encodeApicAccessQualification,
} from '../../architecture/vmx/exit-qualifications.js';
import { EXIT_REASON } from '../../architecture/vmx/exit-reasons.js';
import { type GuestPhysicalAddress, hostPhysical, type LinearAddress } from '../../memory/addresses.js';
import type { PhysicalMemory } from '../../memory/physical-memory.js';
import {
  type Access,
  type ProcessorEvent,
  type SecondLevelResult,
  type SecondLevelTranslation,
  VmExitSignal,
} from '../../processor/core.js';
import { isReadableThroughPage } from '../apic/apic-registers.js';
import type { VirtualApic } from '../apic/virtual-apic.js';
import { EptWalk, walkEpt } from './ept-walk.js';
import { TranslationCache } from './translation-cache.js';

const RIGHT: Record<Access, number> = {
  read: EPT_ENTRY.READ,
  write: EPT_ENTRY.WRITE,
  fetch: EPT_ENTRY.EXECUTE,
};
const ALL_RIGHTS = EPT_ENTRY.READ | EPT_ENTRY.WRITE | EPT_ENTRY.EXECUTE;
/** EPT translates 48 bits; higher guest-physical bits can't occur with 40 physical-address bits. */
const EPT_ADDRESS_LIMIT = 2 ** 48;
const VIRTUAL_TPR = 0x80;

const ACCESS_QUALIFICATION: Record<Access, number> = {
  read: EPT_VIOLATION.READ,
  write: EPT_VIOLATION.WRITE,
  fetch: EPT_VIOLATION.FETCH,
};
const LINEAR_APIC_ACCESS: Record<Access, number> = {
  read: APIC_ACCESS_TYPE.LINEAR_READ,
  write: APIC_ACCESS_TYPE.LINEAR_WRITE,
  fetch: APIC_ACCESS_TYPE.LINEAR_FETCH,
};

export interface TranslationControls {
  /** Host-physical address of the EPT PML4 table; -1 with EPT disabled. */
  readonly eptRoot: number;
  /** Host-physical address of the APIC-access page; -1 when APIC accesses are not virtualized. */
  readonly apicAccessPage: number;
  /** Host-physical address of the virtual-APIC page; -1 without TPR shadow. */
  readonly virtualApicPage: number;
  /** APIC-register virtualization. */
  readonly virtualizesRegisters?: boolean;
  readonly virtualApic?: VirtualApic;
}

const DISABLED: TranslationControls = { eptRoot: -1, apicAccessPage: -1, virtualApicPage: -1 };

export class GuestPhysicalTranslation implements SecondLevelTranslation {
  private readonly memory: PhysicalMemory;
  private readonly deliveredEvent: () => ProcessorEvent | undefined;
  private readonly caches = new Map<number, TranslationCache>();
  private readonly walk = new EptWalk();
  private cache = new TranslationCache();
  private controls = DISABLED;

  /** @param deliveredEvent the event whose delivery is in progress */
  constructor(memory: PhysicalMemory, deliveredEvent: () => ProcessorEvent | undefined) {
    this.memory = memory;
    this.deliveredEvent = deliveredEvent;
  }

  use(controls: TranslationControls): void {
    this.controls = controls;
    if (controls.eptRoot < 0) return;
    const known = this.caches.get(controls.eptRoot);
    this.cache = known ?? new TranslationCache();
    if (known === undefined) this.caches.set(controls.eptRoot, this.cache);
  }

  /** INVEPT: forgets the mappings of one EPT PML4 table. */
  invalidate(eptRoot: number): void {
    this.caches.get(eptRoot)?.clear();
  }
  invalidateAll(): void {
    for (const cache of this.caches.values()) cache.clear();
  }

  translate(
    address: GuestPhysicalAddress,
    access: Access,
    linear: LinearAddress | undefined,
    finalTranslation: boolean,
  ): SecondLevelResult {
    const { eptRoot, apicAccessPage } = this.controls;
    let host: number = address;
    let rights = ALL_RIGHTS;
    if (eptRoot >= 0) {
      const page = Math.floor(address / 4096);
      let slot = this.cache.find(page);
      if (slot < 0 || (this.cache.permissions(slot) & RIGHT[access]) === 0) {
        this.fill(address, page, access, linear, finalTranslation);
        slot = this.cache.find(page);
      }
      rights = this.cache.permissions(slot);
      host = this.cache.hostPage(slot) * 4096 + (address % 4096);
    }
    if (apicAccessPage >= 0 && host - (host % 4096) === apicAccessPage)
      return this.apicAccess(host, access, linear, finalTranslation);
    return {
      address: hostPhysical(host),
      readable: (rights & EPT_ENTRY.READ) !== 0,
      writable: (rights & EPT_ENTRY.WRITE) !== 0,
      executable: (rights & EPT_ENTRY.EXECUTE) !== 0,
    };
  }

  /** Walks, and enters the page in the cache when the access is allowed. */
  private fill(
    address: number,
    page: number,
    access: Access,
    linear: LinearAddress | undefined,
    finalTranslation: boolean,
  ): void {
    const { walk } = this;
    this.cache.forget(page);
    if (address < EPT_ADDRESS_LIMIT) walkEpt(this.memory, this.controls.eptRoot, address, walk);
    else walk.outcome = 'not-present';
    if (walk.outcome === 'misconfiguration')
      throw new VmExitSignal(EXIT_REASON.EPT_MISCONFIG, 0n, address, undefined);
    const permissions = walk.outcome === 'mapped' ? walk.permissions : 0;
    if ((permissions & RIGHT[access]) === 0) {
      const qualification =
        ACCESS_QUALIFICATION[access] |
        (permissions << EPT_VIOLATION.PERMISSIONS_SHIFT) |
        (linear === undefined ? 0 : EPT_VIOLATION.LINEAR_ADDRESS_VALID) |
        (linear !== undefined && finalTranslation ? EPT_VIOLATION.FINAL_TRANSLATION : 0);
      throw new VmExitSignal(EXIT_REASON.EPT_VIOLATION, BigInt(qualification), address, linear);
    }
    this.cache.insert(page, Math.floor(walk.address / 4096), permissions);
  }

  /** The access goes to the virtual-APIC page (29.4.2 Virtualizing Reads, 29.4.3 Virtualizing Writes). */
  private isVirtualized(access: Access, offset: number): boolean {
    if (access === 'write') return this.controls.virtualApic?.virtualizesWrite(offset) === true;
    if (access === 'fetch') return false;
    return (
      offset === VIRTUAL_TPR || (this.controls.virtualizesRegisters === true && isReadableThroughPage(offset))
    );
  }

  /** An access to the APIC-access page: an exit, or an access to the virtual-APIC page instead. */
  private apicAccess(
    host: number,
    access: Access,
    linear: LinearAddress | undefined,
    finalTranslation: boolean,
  ): SecondLevelResult {
    const { virtualApicPage } = this.controls;
    const offset = host % 4096;
    const isLinear = linear !== undefined && finalTranslation;
    const event = this.deliveredEvent();
    if (isLinear && event === undefined && virtualApicPage >= 0 && this.isVirtualized(access, offset)) {
      if (access === 'write') this.controls.virtualApic!.pendingWrite = offset & 0xff0;
      // Nothing of this page may be remembered, so it claims to have no rights.
      return {
        address: hostPhysical(virtualApicPage + offset),
        readable: false,
        writable: false,
        executable: false,
      };
    }
    if (!isLinear) {
      const type =
        event === undefined
          ? APIC_ACCESS_TYPE.PHYSICAL_INSTRUCTION
          : APIC_ACCESS_TYPE.PHYSICAL_EVENT_DELIVERY;
      throw new VmExitSignal(
        EXIT_REASON.APIC_ACCESS,
        BigInt(encodeApicAccessQualification(0, type)),
        undefined,
        linear,
      );
    }
    const type = event === undefined ? LINEAR_APIC_ACCESS[access] : APIC_ACCESS_TYPE.LINEAR_EVENT_DELIVERY;
    throw new VmExitSignal(
      EXIT_REASON.APIC_ACCESS,
      BigInt(encodeApicAccessQualification(offset, type)),
      undefined,
      linear,
    );
  }
}
