/** CPUID (exit 10): kvm_emulate_cpuid. */

import { GPR } from '../../architecture/registers.js';
import { operation } from '../../host/cost/operations.js';
import { findCpuidEntry } from '../cpuid.js';
import type { Vcpu } from '../vcpu.js';

const HANDLER = operation('CPUID exit handler');

export function handleCpuid(vcpu: Vcpu): undefined {
  vcpu.charge(HANDLER);
  const leaf = vcpu.registerWords[GPR.RAX * 2]! >>> 0;
  const entry = findCpuidEntry(vcpu.cpuidEntries, leaf);
  if (vcpu.tracker.listening) vcpu.tracker.note(`leaf 0x${leaf.toString(16)} answered`);
  vcpu.writeRegister(GPR.RAX, BigInt(entry?.eax ?? 0));
  vcpu.writeRegister(GPR.RBX, BigInt(entry?.ebx ?? 0));
  vcpu.writeRegister(GPR.RCX, BigInt(entry?.ecx ?? 0));
  vcpu.writeRegister(GPR.RDX, BigInt(entry?.edx ?? 0));
  vcpu.skipInstruction();
}
