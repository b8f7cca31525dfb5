/** Model-specific registers as host code reads and writes them: the processor's own storage, by MSR number. */

import { MSR } from '../architecture/msrs.js';
import { SEGMENT } from '../architecture/registers.js';
import type { ProcessorCore } from '../processor/core.js';
import { STATE } from '../processor/state/layout.js';

const STORAGE: ReadonlyMap<number, number> = new Map([
  [MSR.EFER, STATE.EFER],
  [MSR.STAR, STATE.STAR],
  [MSR.LSTAR, STATE.LSTAR],
  [MSR.CSTAR, STATE.CSTAR],
  [MSR.SYSCALL_MASK, STATE.SYSCALL_MASK],
  [MSR.KERNEL_GS_BASE, STATE.KERNEL_GS_BASE],
  [MSR.TSC_AUX, STATE.TSC_AUX],
  [MSR.SYSENTER_CS, STATE.SYSENTER_CS],
  [MSR.SYSENTER_ESP, STATE.SYSENTER_ESP],
  [MSR.SYSENTER_EIP, STATE.SYSENTER_EIP],
  [MSR.PAT, STATE.PAT],
  [MSR.FEATURE_CONTROL, STATE.FEATURE_CONTROL],
]);

/** Offsets of the registers from 0xc0000080 on, for a look-up without hashing large numbers. */
const FIRST_HIGH = MSR.EFER;
const HIGH_STORAGE: readonly (number | undefined)[] = Array.from(
  { length: MSR.TSC_AUX - FIRST_HIGH + 1 },
  (_, place) => STORAGE.get(FIRST_HIGH + place),
);

function storageOf(index: number): number | undefined {
  return index >= FIRST_HIGH ? HIGH_STORAGE[index - FIRST_HIGH] : STORAGE.get(index);
}

/** Host code used an MSR that the simulated CPU does not have: a real host would take #GP. */
export class HostMsrError extends Error {
  readonly code = 'host-msr';
  readonly index: number;
  constructor(index: number) {
    super(`host code used MSR 0x${index.toString(16)}, which this CPU does not have`);
    this.name = 'HostMsrError';
    this.index = index;
  }
}

export function readHardwareMsr(core: ProcessorCore, index: number): bigint {
  const offset = storageOf(index);
  if (offset !== undefined) return core.state.read64(offset);
  if (index === MSR.FS_BASE) return core.state.segment(SEGMENT.FS).base;
  if (index === MSR.GS_BASE) return core.state.segment(SEGMENT.GS).base;
  if (index === MSR.TIME_STAMP_COUNTER) return BigInt(core.timeStampCounter);
  const capability = core.vmx?.capability(index);
  if (capability !== undefined) return capability;
  throw new HostMsrError(index);
}

export function writeHardwareMsr(core: ProcessorCore, index: number, value: bigint): void {
  const offset = storageOf(index);
  if (offset !== undefined) core.state.write64(offset, value);
  else if (index === MSR.FS_BASE) core.state.segment(SEGMENT.FS).base = value;
  else if (index === MSR.GS_BASE) core.state.segment(SEGMENT.GS).base = value;
  else throw new HostMsrError(index);
}
