/** I/O instructions (exit 30): in-kernel devices first, then user space (handle_io). */

import { GPR } from '../../architecture/registers.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import { operation } from '../../host/cost/operations.js';
import { emulateInstruction } from '../emulated-instruction.js';
import type { KvmExit } from '../kvm-exit.js';
import type { Vcpu } from '../vcpu.js';

const HANDLER = operation('port exit handler');
const FAST_OUTPUT = operation('fast port output handler');
const RUN_FIELDS = operation('kvm_run port fields');
/** Bits of the exit qualification (SDM Vol. 3C, Table 27-5). */
const SIZE = 7;
const IN = 1 << 3;
const STRING = 1 << 4;

export function handlePortIo(vcpu: Vcpu): KvmExit | undefined {
  return vcpu.vm.policies.portOutput === 'fast-path' ? handleFastOutput(vcpu) : handleByQualification(vcpu);
}

/** 2.6.32: the exit qualification is enough for all but strings (kvm_emulate_pio, which fills kvm_run in any case). */
function handleByQualification(vcpu: Vcpu): KvmExit | undefined {
  const { cpu } = vcpu;
  cpu.charge(HANDLER);
  const qualification = cpu.vmreadNumber(VMCS.EXIT_QUALIFICATION);
  if ((qualification & STRING) !== 0) return emulatePortInstruction(vcpu);
  const sizeInBytes = (qualification & SIZE) + 1;
  const port = qualification >>> 16;
  vcpu.skipInstruction();
  if ((qualification & IN) !== 0) return readPort(vcpu, port, sizeInBytes);
  const value = accumulator(vcpu, sizeInBytes);
  if (writeInKernel(vcpu, port, sizeInBytes, value)) return undefined;
  return writeInUserSpace(vcpu, port, sizeInBytes, value);
}

/**
 * Since 2.6.35: OUT looks for a device before anything is prepared for user space (kvm_fast_pio_out); IN goes through the
 * instruction emulator like strings.
 */
function handleFastOutput(vcpu: Vcpu): KvmExit | undefined {
  const { cpu } = vcpu;
  cpu.charge(FAST_OUTPUT);
  const qualification = cpu.vmreadNumber(VMCS.EXIT_QUALIFICATION);
  if ((qualification & (STRING | IN)) !== 0) return emulatePortInstruction(vcpu);
  const sizeInBytes = (qualification & SIZE) + 1;
  const port = qualification >>> 16;
  vcpu.skipInstruction();
  const value = accumulator(vcpu, sizeInBytes);
  if (writeInKernel(vcpu, port, sizeInBytes, value)) return undefined;
  cpu.charge(RUN_FIELDS);
  return writeInUserSpace(vcpu, port, sizeInBytes, value);
}

function emulatePortInstruction(vcpu: Vcpu): KvmExit | undefined {
  if (vcpu.tracker.listening) vcpu.tracker.note('instruction emulated');
  return emulateInstruction(vcpu);
}

function writeInKernel(vcpu: Vcpu, port: number, sizeInBytes: number, value: number): boolean {
  if (!vcpu.vm.pioBus.write(port, sizeInBytes, value, vcpu.cpu)) return false;
  if (vcpu.tracker.listening) vcpu.tracker.note('handled in the kernel');
  return true;
}

function writeInUserSpace(vcpu: Vcpu, port: number, sizeInBytes: number, value: number): KvmExit {
  vcpu.vm.statistics.ioExits++;
  vcpu.completeAccess = () => undefined;
  const data = new Uint8Array(sizeInBytes);
  for (let index = 0; index < sizeInBytes; index++) data[index] = value >>> (8 * index);
  return { reason: 'io', access: { port, sizeInBytes, count: 1, write: true, data } };
}

function readPort(vcpu: Vcpu, port: number, sizeInBytes: number): KvmExit | undefined {
  const value = vcpu.vm.pioBus.read(port, sizeInBytes, vcpu.cpu);
  if (value !== undefined) {
    writeAccumulator(vcpu, sizeInBytes, value);
    if (vcpu.tracker.listening) vcpu.tracker.note('handled in the kernel');
    return undefined;
  }
  vcpu.vm.statistics.ioExits++;
  vcpu.completeAccess = (answer) => {
    if (answer.kind !== 'io') throw new Error('a port read was answered with something else');
    let read = 0;
    for (let index = 0; index < sizeInBytes; index++) read |= (answer.data[index] ?? 0xff) << (8 * index);
    writeAccumulator(vcpu, sizeInBytes, read >>> 0);
    return undefined;
  };
  return {
    reason: 'io',
    access: { port, sizeInBytes, count: 1, write: false, data: new Uint8Array(0) },
  };
}

/** AL and AX leave the rest of RAX alone; EAX clears the upper half. */
function writeAccumulator(vcpu: Vcpu, sizeInBytes: number, value: number): void {
  const words = vcpu.registerWords;
  const low = GPR.RAX * 2;
  if (sizeInBytes === 4) {
    words[low] = value;
    words[low + 1] = 0;
    return;
  }
  const mask = sizeInBytes === 1 ? 0xff : 0xffff;
  words[low] = (words[low]! & ~mask) | (value & mask);
}

/** AL, AX or EAX. */
function accumulator(vcpu: Vcpu, sizeInBytes: number): number {
  const value = vcpu.registerWords[GPR.RAX * 2]!;
  return sizeInBytes === 4 ? value >>> 0 : value & (sizeInBytes === 1 ? 0xff : 0xffff);
}
