/** MOV to and from debug registers (exit 29): handle_dr. Debug registers are kept, breakpoints in them do not fire. */

import { VECTOR } from '../../architecture/vectors.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import { operation } from '../../host/cost/operations.js';
import type { Vcpu } from '../vcpu.js';

const HANDLER = operation('other exit handler');
const FROM_DEBUG_REGISTER = 1 << 4;
/** Bits that always read as one (SDM Vol. 3B, 17.2). */
const DR6_FIXED = 0xffff0ff0n;
const DR7_FIXED = 0x400n;

export function handleDebugRegister(vcpu: Vcpu): undefined {
  const { cpu } = vcpu;
  cpu.charge(HANDLER);
  if (vcpu.readPrivilegeLevel() !== 0) {
    vcpu.injectException(VECTOR.GP, 0);
    return;
  }
  const qualification = cpu.vmreadNumber(VMCS.EXIT_QUALIFICATION);
  const number = aliased(qualification & 7);
  const gpr = (qualification >> 8) & 15;
  if ((qualification & FROM_DEBUG_REGISTER) !== 0) {
    vcpu.writeRegister(gpr, vcpu.debugRegisters[number]!);
  } else {
    const value = vcpu.readRegister(gpr);
    if (number >= 6 && value >> 32n !== 0n) {
      vcpu.injectException(VECTOR.GP, 0);
      return;
    }
    vcpu.debugRegisters[number] = number === 6 ? value | DR6_FIXED : number === 7 ? value | DR7_FIXED : value;
    if (number === 7) cpu.vmwrite(VMCS.GUEST_DR7, vcpu.debugRegisters[7]!);
  }
  vcpu.skipInstruction();
}

/** DR4 and DR5 are DR6 and DR7 while CR4.DE is clear. */
const aliased = (number: number): number => (number === 4 || number === 5 ? number + 2 : number);
