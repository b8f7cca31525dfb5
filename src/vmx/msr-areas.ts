/** MSR areas: entries of 16 bytes with index, 32 reserved bits and value (SDM Vol. 3C, 24.7.2, 26.4, 27.4, 27.6). */

import { MSR } from '../architecture/msrs.js';
import { VMCS } from '../architecture/vmx/vmcs-fields.js';
import { hostPhysical } from '../memory/addresses.js';
import type { PhysicalMemory } from '../memory/physical-memory.js';
import { GuestFault, type ProcessorCore } from '../processor/core.js';
import type { Vmcs } from './vmcs.js';

/** RDMSR and WRMSR as the processor does them outside of VMX non-root operation; faults are thrown. */
export interface MsrAccess {
  read(core: ProcessorCore, index: number): bigint;
  write(core: ProcessorCore, index: number, value: bigint): void;
}

const ENTRY_SIZE = 16;
const SMM_MONITOR_CTL = 0x9b;

/** MSRs that MSR areas must not name. */
function isForbidden(index: number, loading: boolean): boolean {
  if (index >>> 8 === 8 || index === SMM_MONITOR_CTL) return true;
  return loading && (index === MSR.FS_BASE || index === MSR.GS_BASE);
}

/** Runs `action`; true when it raised a fault of the processor. */
function faults(action: () => void): boolean {
  try {
    action();
    return false;
  } catch (problem) {
    if (problem instanceof GuestFault) return true;
    throw problem;
  }
}

function loadEntry(core: ProcessorCore, memory: PhysicalMemory, access: MsrAccess, address: number): boolean {
  if (!memory.contains(address, ENTRY_SIZE)) return false;
  const index = memory.read32(hostPhysical(address));
  if (memory.read32(hostPhysical(address + 4)) !== 0 || isForbidden(index, true)) return false;
  return !faults(() => access.write(core, index, memory.read64(hostPhysical(address + 8))));
}

/**
 * Loads MSRs from the area at `addressField`.
 * @returns 0, or the number of the entry (from 1) that could not be loaded
 */
export function loadMsrs(
  core: ProcessorCore,
  vmcs: Vmcs,
  access: MsrAccess,
  addressField: number,
  countField: number,
): number {
  const count = vmcs.unsigned(countField);
  if (count === 0) return 0;
  const address = vmcs.number(addressField);
  for (let n = 0; n < count; n++)
    if (!loadEntry(core, core.memory, access, address + n * ENTRY_SIZE)) return n + 1;
  return 0;
}

function storeEntry(core: ProcessorCore, access: MsrAccess, address: number): boolean {
  const { memory } = core;
  if (!memory.contains(address, ENTRY_SIZE)) return false;
  const index = memory.read32(hostPhysical(address));
  if (memory.read32(hostPhysical(address + 4)) !== 0 || isForbidden(index, false)) return false;
  return !faults(() => memory.write64(hostPhysical(address + 8), access.read(core, index)));
}

/**
 * Stores MSRs in the VM-exit MSR-store area.
 * @returns 0, or the number of the entry (from 1) that could not be stored
 */
export function storeMsrs(core: ProcessorCore, vmcs: Vmcs, access: MsrAccess): number {
  const count = vmcs.unsigned(VMCS.VM_EXIT_MSR_STORE_COUNT);
  if (count === 0) return 0;
  const address = vmcs.number(VMCS.VM_EXIT_MSR_STORE_ADDRESS);
  for (let n = 0; n < count; n++) if (!storeEntry(core, access, address + n * ENTRY_SIZE)) return n + 1;
  return 0;
}
