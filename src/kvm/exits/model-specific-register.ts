/** RDMSR and WRMSR (exits 31 and 32): handle_rdmsr, handle_wrmsr. */

import { msrName } from '../../architecture/msrs.js';
import { GPR } from '../../architecture/registers.js';
import { VECTOR } from '../../architecture/vectors.js';
import { operation } from '../../host/cost/operations.js';
import { readMsr, writeMsr } from '../msrs.js';
import type { Vcpu } from '../vcpu.js';

const HANDLER = operation('MSR exit handler');

export function handleReadMsr(vcpu: Vcpu): undefined {
  vcpu.charge(HANDLER);
  const index = vcpu.registerWords[GPR.RCX * 2]! >>> 0;
  const value = readMsr(vcpu, index);
  if (vcpu.tracker.listening)
    vcpu.tracker.note(
      `${msrName(index)} ${value === undefined ? 'can not be read' : `is 0x${value.toString(16)}`}`,
    );
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
  const index = words[GPR.RCX * 2]! >>> 0;
  const isWritten = writeMsr(vcpu, index, low, high);
  if (vcpu.tracker.listening) {
    const value = (BigInt(high) << 32n) | BigInt(low);
    vcpu.tracker.note(`${msrName(index)} ${isWritten ? 'is' : 'can not be'} set to 0x${value.toString(16)}`);
  }
  if (isWritten) vcpu.skipInstruction();
  else vcpu.injectException(VECTOR.GP, 0);
}
