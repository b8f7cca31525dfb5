/** RDMSR and WRMSR (exits 31 and 32): handle_rdmsr, handle_wrmsr. */

import { GPR } from '../../architecture/registers.js';
import { VECTOR } from '../../architecture/vectors.js';
import { operation } from '../../host/cost/operations.js';
import { readMsr, writeMsr } from '../msrs.js';
import type { Vcpu } from '../vcpu.js';

const HANDLER = operation('MSR exit handler');

export function handleReadMsr(vcpu: Vcpu): undefined {
  vcpu.charge(HANDLER);
  const value = readMsr(vcpu, vcpu.registerWords[GPR.RCX * 2]! >>> 0);
  if (value === undefined) {
    vcpu.injectException(VECTOR.GP, 0);
    return;
  }
  vcpu.registers[GPR.RAX] = value & 0xffffffffn;
  vcpu.registers[GPR.RDX] = value >> 32n;
  vcpu.skipInstruction();
}

export function handleWriteMsr(vcpu: Vcpu): undefined {
  vcpu.charge(HANDLER);
  const words = vcpu.registerWords;
  const low = words[GPR.RAX * 2]! >>> 0;
  const high = words[GPR.RDX * 2]! >>> 0;
  if (writeMsr(vcpu, words[GPR.RCX * 2]! >>> 0, low, high)) vcpu.skipInstruction();
  else vcpu.injectException(VECTOR.GP, 0);
}
