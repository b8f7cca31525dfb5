/** Control-register accesses (exit 28): MOV to and from CR0, CR3, CR4, CR8, CLTS, LMSW (handle_cr). */

import { CR0 } from '../../architecture/control-registers.js';
import { VECTOR } from '../../architecture/vectors.js';
import { CR_ACCESS_TYPE, decodeCrQualification } from '../../architecture/vmx/exit-qualifications.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import { PHYSICAL_ADDRESS_WIDTH } from '../../architecture/vmx/vmx-capabilities.js';
import { operation } from '../../host/cost/operations.js';
import { setCr0, setCr3, setCr4, writeCr0 } from '../control-registers.js';
import { activateFpu, deactivateFpu, readCr0 } from '../fpu.js';
import type { KvmExit } from '../kvm-exit.js';
import { REQUEST, type Vcpu } from '../vcpu.js';

const HANDLER = operation('CR exit handler');
/** Bits beyond the physical-address width are reserved in CR3. */
const PHYSICAL_ADDRESS_BITS = BigInt(PHYSICAL_ADDRESS_WIDTH);
/** LMSW changes PE, MP, EM, TS and can't clear PE. */
const LMSW_BITS = CR0.MP | CR0.EM | CR0.TS;

export function handleControlRegister(vcpu: Vcpu): KvmExit | undefined {
  vcpu.charge(HANDLER);
  const access = decodeCrQualification(vcpu.cpu.vmreadNumber(VMCS.EXIT_QUALIFICATION));
  switch (access.type) {
    case CR_ACCESS_TYPE.MOV_TO:
      finish(vcpu, moveTo(vcpu, access.register, vcpu.readRegister(access.gpr)));
      return undefined;
    case CR_ACCESS_TYPE.MOV_FROM:
      vcpu.writeRegister(access.gpr, moveFrom(vcpu, access.register));
      vcpu.skipInstruction();
      return undefined;
    case CR_ACCESS_TYPE.CLTS:
      clearTaskSwitched(vcpu);
      vcpu.skipInstruction();
      return undefined;
    default: {
      const kept = readCr0(vcpu) & ~LMSW_BITS;
      const value = kept | (access.lmswSource & (LMSW_BITS | CR0.PE));
      finish(vcpu, setCr0(vcpu, value));
      return undefined;
    }
  }
}

function finish(vcpu: Vcpu, accepted: boolean): void {
  if (accepted) vcpu.skipInstruction();
  else vcpu.injectException(VECTOR.GP, 0);
}

/** False means #GP. */
function moveTo(vcpu: Vcpu, register: number, value: bigint): boolean {
  switch (register) {
    case 0:
      return value >> 32n === 0n && setCr0(vcpu, Number(value) | 0);
    case 3:
      if (value >> PHYSICAL_ADDRESS_BITS !== 0n) return false;
      setCr3(vcpu, value);
      return true;
    case 4:
      return value >> 32n === 0n && setCr4(vcpu, Number(value) | 0);
    case 8:
      if (value > 15n) return false;
      vcpu.interrupts.writeCr8(Number(value));
      vcpu.makeRequest(REQUEST.EVENT);
      return true;
    default:
      throw new Error(`MOV to CR${register} can not cause a VM exit`);
  }
}

function moveFrom(vcpu: Vcpu, register: number): bigint {
  if (register === 8) return BigInt(vcpu.interrupts.readCr8());
  if (register === 3) return vcpu.cr3;
  throw new Error(`MOV from CR${register} can not cause a VM exit`);
}

/**
 * CLTS, which exits only while the host owns TS. In 2.6.32 the FPU is taken away and given back, as for any change of TS;
 * later it was already away, or with an eager FPU never is.
 */
function clearTaskSwitched(vcpu: Vcpu): void {
  const { taskSwitchedFlag, hostFpu } = vcpu.vm.policies;
  if (taskSwitchedFlag === 'trapped' && hostFpu !== 'eager') {
    deactivateFpu(vcpu);
    vcpu.cr0 &= ~CR0.TS;
    vcpu.cpu.vmwriteNumber(VMCS.CR0_READ_SHADOW, vcpu.cr0 >>> 0);
  } else writeCr0(vcpu, readCr0(vcpu) & ~CR0.TS);
  activateFpu(vcpu);
}
