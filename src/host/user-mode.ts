/**
 * The border between kernel and user mode of the host. User code must find its own state: every return checks the
 * registers that the hypervisor layer borrows, so that a wrong optimisation shows as a wrong value.
 */

import { CR0 } from '../architecture/control-registers.js';
import { MSR } from '../architecture/msrs.js';
import { SEGMENT } from '../architecture/registers.js';
import { STATE } from '../processor/state/layout.js';
import { operation } from './cost/operations.js';
import type { HostCpu } from './host-cpu.js';
import { HOST_SYSCALL_MSRS, hostKernelGsBase, mathStateRestore } from './host-kernel.js';
import type { HostThread } from './host-thread.js';
import { TIF } from './host-thread.js';
import { STAGE } from './stages.js';

const SYSTEM_CALL_EXIT = operation('system call exit');
const SYSTEM_CALL_ENTRY = operation('system call entry');
const HOST_NM = operation('host #NM');

/** User space of the host was about to see state that is not its own: a defect of the hypervisor layer. */
export class HostInvariantError extends Error {
  readonly code = 'host-invariant';
  readonly what: string;
  constructor(what: string, found: string, expected: string) {
    super(`host user space would see ${what} = ${found} instead of ${expected}`);
    this.name = 'HostInvariantError';
    this.what = what;
  }
}

/** Leaves the kernel: user-return notifiers, SWAPGS, SYSRET. User space pays from the moment that SYSRET begins. */
export function returnToUserMode(host: HostCpu, thread: HostThread): void {
  const { cpu } = host;
  if (thread.hasFlag(TIF.USER_RETURN_NOTIFY)) host.fireUserReturnNotifiers();
  cpu.setStage(STAGE.USER_SPACE);
  cpu.swapgs();
  cpu.charge(SYSTEM_CALL_EXIT);
  verifyUserState(host, thread);
}

/** SYSCALL and SWAPGS: the kernel again. */
export function enterKernelMode(host: HostCpu): void {
  host.cpu.charge(SYSTEM_CALL_ENTRY);
  host.cpu.swapgs();
  host.cpu.takeInterrupts();
}

/** User code of the thread computes with the FPU and leaves `image` in its registers. */
export function useFpuInUserMode(host: HostCpu, thread: HostThread, image: Uint8Array): void {
  const { cpu } = host;
  if ((cpu.peekCr0() & CR0.TS) !== 0) {
    cpu.charge(HOST_NM);
    mathStateRestore(cpu, thread);
  }
  cpu.fpuRegisters().set(image);
  thread.userFpu.set(image);
}

/** Throws `HostInvariantError` if a register that user code can see or depends on is not the host's. */
export function verifyUserState(host: HostCpu, thread: HostThread): void {
  const { cpu } = host;
  const { state } = cpu.processor;
  for (const [index, value] of HOST_SYSCALL_MSRS)
    check(`MSR 0x${index.toString(16)}`, cpu.peekMsr(index), value);
  check('FS base', cpu.peekMsr(MSR.FS_BASE), thread.user.fsBase);
  check('GS base', cpu.peekMsr(MSR.GS_BASE), thread.user.gsBase);
  check('kernel GS base', cpu.peekMsr(MSR.KERNEL_GS_BASE), hostKernelGsBase(cpu.number));
  checkNumber('FS', state.segment(SEGMENT.FS).selector, thread.user.fsSelector);
  checkNumber('GS', state.segment(SEGMENT.GS).selector, thread.user.gsSelector);
  checkNumber('TR', state.segment(SEGMENT.TR).selector, cpu.descriptors.tssSelector);
  checkNumber('TSS limit', state.segment(SEGMENT.TR).limit, cpu.descriptors.tssLimit);
  checkNumber('GDT limit', state.read32(STATE.GDTR_LIMIT), cpu.descriptors.gdtLimit);
  // With CR0.TS = 1 the thread's registers come back from its saved image when it uses them.
  const loaded = (cpu.peekCr0() & CR0.TS) === 0;
  const image = loaded ? cpu.fpuRegisters() : thread.savedFpu;
  for (let index = 0; index < image.length; index++)
    if (image[index] !== thread.userFpu[index])
      throw new HostInvariantError(
        `byte ${index} of ${loaded ? 'the FPU registers' : 'its saved FPU state'}`,
        `0x${image[index]!.toString(16)}`,
        `0x${thread.userFpu[index]!.toString(16)}`,
      );
}

function check(what: string, found: bigint, expected: bigint): void {
  if (found !== expected)
    throw new HostInvariantError(what, `0x${found.toString(16)}`, `0x${expected.toString(16)}`);
}

function checkNumber(what: string, found: number, expected: number): void {
  if (found !== expected)
    throw new HostInvariantError(what, `0x${found.toString(16)}`, `0x${expected.toString(16)}`);
}
