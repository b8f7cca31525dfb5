/**
 * The border between kernel and user mode of the host. User code must find its own state: every return checks the
 * registers that the hypervisor layer borrows, so that a wrong optimisation shows as a wrong value.
 */

import { CR0 } from '../architecture/control-registers.js';
import { MSR, msrName } from '../architecture/msrs.js';
import { SEGMENT } from '../architecture/registers.js';
import { pairValue, type WordPair, wordPair } from '../bits/word-pair.js';
import { STATE } from '../processor/state/layout.js';
import { operation } from './cost/operations.js';
import type { HostCpu } from './host-cpu.js';
import { HOST_SYSCALL_MSRS } from './host-kernel.js';
import type { HostThread } from './host-thread.js';
import { TIF } from './host-thread.js';
import type { PhysicalCpu } from './physical-cpu.js';
import { STAGE } from './stages.js';

const SYSTEM_CALL_EXIT = operation('system call exit');
const SYSTEM_CALL_ENTRY = operation('system call entry');
const HOST_NM = operation('host #NM');

const SYSCALL_MSRS = HOST_SYSCALL_MSRS.map(([index, value]) => ({ index, value: wordPair(value) }));

/** The host was about to use state that is not what it must be, in user space or elsewhere: a defect of the hypervisor layer. */
export class HostInvariantError extends Error {
  readonly code = 'host-invariant';
  readonly what: string;
  constructor(what: string, found: string, expected: string) {
    super(`${what} is ${found} instead of ${expected}`);
    this.name = 'HostInvariantError';
    this.what = what;
  }
}

/** Leaves the kernel: user-return notifiers, SWAPGS, SYSRET. User space pays from the moment that SYSRET begins. */
export function returnToUserMode(host: HostCpu, thread: HostThread): void {
  const { cpu } = host;
  if (thread.hasFlag(TIF.USER_RETURN_NOTIFY)) host.fireUserReturnNotifiers();
  cpu.setStage(STAGE.USER_SPACE);
  cpu.quiescentStates++;
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
    host.fpu.restore(thread);
  }
  cpu.fpuRegisters().set(image);
  thread.userFpu.set(image);
}

/** Throws `HostInvariantError` if a register that user code can see or depends on is not the host's. */
export function verifyUserState(host: HostCpu, thread: HostThread): void {
  const { cpu } = host;
  const { state } = cpu.processor;
  const { user } = thread;
  for (const { index, value } of SYSCALL_MSRS) checkMsr(cpu, index, value);
  checkMsr(cpu, MSR.FS_BASE, thread.userFsBase);
  checkMsr(cpu, MSR.GS_BASE, thread.userGsBase);
  checkMsr(cpu, MSR.KERNEL_GS_BASE, host.kernelGsBase);
  check('FS', state.segment(SEGMENT.FS).selector, user.fsSelector);
  check('GS', state.segment(SEGMENT.GS).selector, user.gsSelector);
  check('TR', state.segment(SEGMENT.TR).selector, cpu.descriptors.tssSelector);
  check('TSS limit', state.segment(SEGMENT.TR).limit, cpu.descriptors.tssLimit);
  check('GDT limit', state.read32(STATE.GDTR_LIMIT), cpu.descriptors.gdtLimit);
  // With CR0.TS = 1 the thread's registers come back from its saved image when it uses them.
  const loaded = (cpu.peekCr0() & CR0.TS) === 0;
  const image = loaded ? cpu.fpuWords : thread.savedFpuWords;
  const { userFpuWords } = thread;
  if (thread.fpuOverwritten) {
    // A defect that was asked for by name: user code goes on with what it finds.
    thread.fpuOverwritten = false;
    userFpuWords.set(image);
    return;
  }
  for (let word = 0; word < userFpuWords.length; word++)
    if (image[word] !== userFpuWords[word]) {
      const place = loaded ? 'the FPU registers' : 'its saved FPU state';
      check(`bytes ${4 * word} to ${4 * word + 3} of ${place}`, image[word]!, userFpuWords[word]!);
    }
}

function checkMsr(cpu: PhysicalCpu, index: number, expected: WordPair): void {
  if (cpu.msrHolds(index, expected)) return;
  const found = cpu.peekMsr(index).toString(16);
  throw new HostInvariantError(
    `MSR ${msrName(index)}`,
    `0x${found}`,
    `0x${pairValue(expected).toString(16)}`,
  );
}

function check(what: string, found: number, expected: number): void {
  if (found !== expected)
    throw new HostInvariantError(
      what,
      `0x${(found >>> 0).toString(16)}`,
      `0x${(expected >>> 0).toString(16)}`,
    );
}
