/** The guest's CPUID: the host's, cut to what a guest can have, with KVM's own leaves (KVM_GET_SUPPORTED_CPUID). */

import { CPUID_1_ECX } from '../architecture/cpuid-features.js';
import type { PhysicalCpu } from '../host/physical-cpu.js';
import { FEATURE_PV_EOI } from './irqchip/pv-eoi.js';
import type { Policies } from './policies.js';

/** Unsigned 32-bit numbers. */
export interface CpuidEntry {
  readonly leaf: number;
  readonly eax: number;
  readonly ebx: number;
  readonly ecx: number;
  readonly edx: number;
}

const EXTENDED = 0x80000000;
const HYPERVISOR = 0x40000000;
/** Features of leaf 1 that guests must not see: VMX, monitor, XSAVE and friends are the host's. */
const HIDDEN_ECX = CPUID_1_ECX.TSC_DEADLINE | (1 << 3) | (1 << 5) | (1 << 26) | (1 << 27) | (1 << 28);
const X2APIC = 1 << 21;
const HYPERVISOR_PRESENT = 0x80000000;
/** "KVMKVMKVM\0\0\0" in EBX, ECX, EDX. */
const SIGNATURE = { ebx: 0x4b4d564b, ecx: 0x564b4d56, edx: 0x4d } as const;

/** The table that user space gives a vCPU by default. */
export function supportedCpuid(cpu: PhysicalCpu, apicId: number, policies: Policies): CpuidEntry[] {
  return cpu.withoutCharge(() => {
    const entries: CpuidEntry[] = [];
    const copy = (first: number): void => {
      const highest = cpu.cpuid(first, 0).eax;
      for (let leaf = first; leaf <= Math.min(highest, first + 0x1f); leaf++)
        entries.push({ leaf, ...cpu.cpuid(leaf, 0) });
    };
    copy(0);
    copy(EXTENDED);
    const features = entries.findIndex((entry) => entry.leaf === 1);
    if (features >= 0) {
      const entry = entries[features]!;
      const deadline = policies.deadlineTimer === 'absent' ? 0 : CPUID_1_ECX.TSC_DEADLINE;
      // x2APIC is offered whether or not the host has it: it is software.
      entries[features] = {
        ...entry,
        ebx: ((entry.ebx & 0xffffff) | (apicId << 24)) >>> 0,
        ecx: ((entry.ecx & ~HIDDEN_ECX) | X2APIC | deadline | HYPERVISOR_PRESENT) >>> 0,
      };
    }
    entries.push({ leaf: HYPERVISOR, eax: HYPERVISOR + 1, ...SIGNATURE });
    const paravirtual = policies.pvEoi === 'on' ? FEATURE_PV_EOI : 0;
    entries.push({ leaf: HYPERVISOR + 1, eax: paravirtual, ebx: 0, ecx: 0, edx: 0 });
    return entries;
  });
}

/** kvm_find_cpuid_entry with its fallback: leaves beyond the highest basic one answer as that one. */
export function findCpuidEntry(entries: readonly CpuidEntry[], leaf: number): CpuidEntry | undefined {
  const exact = entries.find((entry) => entry.leaf === leaf);
  if (exact !== undefined) return exact;
  const highestBasic = entries.find((entry) => entry.leaf === (leaf >= EXTENDED ? EXTENDED : 0))?.eax;
  return entries.find((entry) => entry.leaf === highestBasic);
}
