/** The inner loop of KVM_RUN in the order of 2.6.32: vcpu_enter_guest, __vcpu_run, kvm_vcpu_block. */

import { RFLAGS } from '../architecture/rflags.js';
import { encodeEptPointer, INVEPT_TYPE, INVVPID_TYPE } from '../architecture/vmx/ept.js';
import { VMCS } from '../architecture/vmx/vmcs-fields.js';
import { operation } from '../host/cost/operations.js';
import { type HostThread, type ThreadRequest, TIF } from '../host/host-thread.js';
import { STAGE } from '../host/stages.js';
import { cancelInjection, injectPendingEvent, interruptAllowed } from './event-injection.js';
import { handleFastExit, isFastExit } from './exit-fast-path.js';
import { dispatchExit } from './exits/index.js';
import { deactivateFpu, loadGuestFpu } from './fpu.js';
import { saveHostState } from './host-state.js';
import type { KvmExit } from './kvm-exit.js';
import { pollBeforeSleep } from './poll-before-sleep.js';
import { RULE } from './run-loop-rules.js';
import { REQUEST, type Vcpu } from './vcpu.js';
import { loadVcpuOn } from './vmcs-setup.js';
import { afterExit, enterGuest, resumeGuest } from './vmx-vcpu-run.js';

const RUN_LOOP_PASS = operation('run-loop pass');
const REQUEST_CHECK = operation('request check');
const PREEMPTION_TOGGLE = operation('preemption toggle');
const EXIT_DISPATCH = operation('exit dispatch');
const TIMER_PROGRAMMING = operation('timer programming');
const WAIT_FOR_CPU = operation('wait for another CPU');
const COLD_CACHES = operation('cold caches after user space');

const INTERRUPTED: KvmExit = { reason: 'intr' };

/** What vcpu_enter_guest does before the hardware transition. An exit means that it can't be made. */
function prepareEntry(vcpu: Vcpu, thread: HostThread): KvmExit | 'retry' | undefined {
  const { cpu, vmx } = vcpu;
  const onEveryEntry = (vcpu.rules & RULE.INJECTS_ON_EVERY_ENTRY) !== 0;
  cpu.setStage(STAGE.GUEST_ENTRY);
  cpu.charge(RUN_LOOP_PASS);
  if (vmx.coldCaches) {
    vmx.coldCaches = false;
    cpu.charge(COLD_CACHES);
  }
  cpu.charge(REQUEST_CHECK);
  if (vcpu.requests !== 0) {
    const exit = handleRequests(vcpu);
    if (exit !== undefined) return exit;
  }
  const eventRequested = vcpu.checkRequest(REQUEST.EVENT) || vcpu.requestInterruptWindow;
  if (!onEveryEntry && eventRequested) injectPendingEvent(vcpu);
  cpu.charge(PREEMPTION_TOGGLE);
  if (!vmx.hostStateSaved || (vcpu.fpuActive && !vcpu.guestFpuLoaded)) reloadGuestState(vcpu);
  // From here on a kick sends an interrupt, which ends guest code as soon as it begins.
  vcpu.guestMode = true;
  cpu.localIrqDisable();
  if (isWanted(vcpu, thread)) {
    vcpu.guestMode = false;
    cpu.localIrqEnable();
    cpu.charge(PREEMPTION_TOGGLE);
    if (!onEveryEntry && eventRequested) cancelInjection(vcpu);
    return 'retry';
  }
  if (onEveryEntry) injectPendingEvent(vcpu);
  return undefined;
}

/** What a heavy exit has taken out of the CPU. */
function reloadGuestState(vcpu: Vcpu): void {
  vcpu.cpu.setStage(STAGE.GUEST_STATE_RELOADED);
  saveHostState(vcpu);
  loadGuestFpu(vcpu);
  vcpu.cpu.setStage(STAGE.GUEST_ENTRY);
}

function handleRequests(vcpu: Vcpu): KvmExit | undefined {
  const { cpu } = vcpu;
  if (vcpu.checkRequest(REQUEST.MIGRATE_TIMER)) {
    const timers = vcpu.clock.migrate();
    if (timers > 0) cpu.charge(TIMER_PROGRAMMING, timers);
  }
  if (vcpu.checkRequest(REQUEST.MMU_RELOAD))
    cpu.invept(INVEPT_TYPE.SINGLE_CONTEXT, encodeEptPointer(vcpu.vm.extendedPageTables.root));
  if (vcpu.checkRequest(REQUEST.TLB_FLUSH)) {
    cpu.invvpid(INVVPID_TYPE.SINGLE_CONTEXT, vcpu.vpid, 0n);
    cpu.invept(INVEPT_TYPE.SINGLE_CONTEXT, encodeEptPointer(vcpu.vm.extendedPageTables.root));
  }
  if (vcpu.checkRequest(REQUEST.TRIPLE_FAULT)) return { reason: 'shutdown' };
  if (vcpu.checkRequest(REQUEST.DEACTIVATE_FPU)) deactivateFpu(vcpu);
  return undefined;
}

/** kvm_vcpu_exit_request: the guest is not to be entered again at once. */
const isWanted = (vcpu: Vcpu, thread: HostThread): boolean =>
  vcpu.requests !== 0 || (thread.flags & (TIF.NEED_RESCHED | TIF.SIGNAL_PENDING)) !== 0;

/** From the return of vmx_vcpu_run to where exits can be handled. */
function finishExit(vcpu: Vcpu): void {
  const { cpu } = vcpu;
  vcpu.guestMode = false;
  cpu.localIrqEnable();
  cpu.charge(PREEMPTION_TOGGLE);
}

/** With EPT the guest changes CR3 without an exit. */
function noteGuestCr3(vcpu: Vcpu): void {
  if (!vcpu.pagingEnabled) return;
  if ((vcpu.rules & RULE.READS_CR3_ON_DEMAND) !== 0) vcpu.cr3Known = false;
  else vcpu.cr3Bits = vcpu.cpu.vmreadNumber(VMCS.GUEST_CR3);
}

/** kvm_lapic_sync_from_vapic. */
function takeOfferBack(vcpu: Vcpu): void {
  if (!vcpu.interrupts.hasOffer) return;
  vcpu.interrupts.syncFromGuest();
  vcpu.makeRequest(REQUEST.EVENT);
}

/** kvm_lapic_sync_from_vapic and vmx_handle_exit. */
function handleExit(vcpu: Vcpu): KvmExit | undefined {
  const { cpu } = vcpu;
  takeOfferBack(vcpu);
  noteGuestCr3(vcpu);
  cpu.charge(EXIT_DISPATCH);
  cpu.setStage(STAGE.KERNEL_HANDLER);
  return dispatchExit(vcpu);
}

/** __vcpu_run: until user space is needed. Yields when the thread blocks or is preempted. */
export function* runVcpu(vcpu: Vcpu, thread: HostThread): Generator<ThreadRequest, KvmExit, void> {
  const hasFastPath = (vcpu.rules & RULE.HAS_FAST_PATH) !== 0;
  const { slotsProtection } = vcpu.vm;
  const { slotsReader } = vcpu;
  yield* lockSlots(vcpu, thread);
  for (;;) {
    if (vcpu.mpState !== 'runnable') yield* block(vcpu, thread);
    // A signal ends the sleep, too: then the vCPU goes on sleeping the next time.
    const problem = vcpu.mpState === 'runnable' ? prepareEntry(vcpu, thread) : 'retry';
    let exit: KvmExit | undefined;
    if (problem === undefined) {
      while (!vcpu.cpu.isInOrder) yield 'pause';
      slotsProtection.readUnlock(vcpu.hostCpu, slotsReader);
      let stop = enterGuest(vcpu);
      while (stop === 'paused') {
        yield 'pause';
        stop = resumeGuest(vcpu);
      }
      afterExit(vcpu);
      const handled = hasFastPath && isFastExit(vcpu) && (yield* followFastPath(vcpu, thread));
      finishExit(vcpu);
      while (!vcpu.cpu.isInOrder) yield 'pause';
      if (!slotsProtection.tryReadLock(vcpu.hostCpu, slotsReader)) yield* sleepForSlots(vcpu, thread);
      if (!handled) exit = handleExit(vcpu);
      else takeOfferBack(vcpu);
    } else if (problem !== 'retry') exit = problem;
    if (vcpu.interrupts.hasPendingTimer()) vcpu.interrupts.injectPendingTimer();
    if (exit === undefined && (thread.flags & TIF.SIGNAL_PENDING) !== 0) {
      vcpu.vm.statistics.signalExits++;
      exit = INTERRUPTED;
    }
    if (exit !== undefined) {
      vcpu.cpu.setStage(STAGE.HOST_STATE_RESTORED);
      yield* unlockSlots(vcpu);
      return exit;
    }
    if ((thread.flags & TIF.NEED_RESCHED) !== 0) {
      yield* unlockSlots(vcpu);
      yield 'reschedule';
      yield* finishMigration(vcpu);
      yield* lockSlots(vcpu, thread);
    }
  }
}

/** Handles exits without leaving the innermost loop while it can. @returns false when the last one is still to be handled */
function* followFastPath(vcpu: Vcpu, thread: HostThread): Generator<ThreadRequest, boolean, void> {
  while (isFastExit(vcpu)) {
    while (!vcpu.cpu.isInOrder) yield 'pause';
    const outcome = handleFastExit(vcpu);
    if (outcome === 'none') return false;
    noteGuestCr3(vcpu);
    if (outcome === 'handled' || isWanted(vcpu, thread)) return true;
    vcpu.cpu.setStage(STAGE.GUEST_ENTRY);
    let stop = enterGuest(vcpu);
    while (stop === 'paused') {
      yield 'pause';
      stop = resumeGuest(vcpu);
    }
    afterExit(vcpu);
  }
  return false;
}

/** kvm_vcpu_block: the thread sleeps until an interrupt comes for the vCPU. */
function* block(vcpu: Vcpu, thread: HostThread): Generator<ThreadRequest, undefined, void> {
  yield* unlockSlots(vcpu);
  const halted = vcpu.mpState === 'halted';
  const since = vcpu.cpu.now;
  vcpu.interrupts.deadlineTimer?.switchToHostTimer();
  if (halted && vcpu.haltPolling.window > 0) {
    vcpu.cpu.setStage(STAGE.BLOCKED);
    yield* pollBeforeSleep(vcpu, thread, () => {
      if (vcpu.interrupts.hasPendingTimer()) vcpu.interrupts.injectPendingTimer();
      return isRunnable(vcpu);
    });
  }
  for (;;) {
    // An expiry that finds its interrupt already requested waits on, and is no reason to wake up for.
    if (vcpu.interrupts.hasPendingTimer()) vcpu.interrupts.injectPendingTimer();
    if (isRunnable(vcpu)) break;
    if (thread.hasFlag(TIF.SIGNAL_PENDING)) {
      yield* lockSlots(vcpu, thread);
      return undefined;
    }
    vcpu.haltedForGood = vcpu.mpState !== 'halted' || (vcpu.readRflags() & RFLAGS.IF) === 0;
    vcpu.cpu.setStage(STAGE.BLOCKED);
    yield 'block';
    yield* finishMigration(vcpu);
  }
  vcpu.haltedForGood = false;
  vcpu.interrupts.deadlineTimer?.switchToHardware();
  if (halted) vcpu.haltPolling.adjust(vcpu.cpu.now - since);
  if (vcpu.mpState === 'sipi-received') vcpu.startAt(vcpu.startupVector);
  else vcpu.vm.statistics.haltWakeups++;
  vcpu.mpState = 'runnable';
  vcpu.cpu.setStage(STAGE.GUEST_ENTRY);
  yield* lockSlots(vcpu, thread);
  return undefined;
}

/** Becomes a reader of slots and buses, after all that precedes this in virtual time. */
function* lockSlots(vcpu: Vcpu, thread: HostThread): Generator<ThreadRequest, undefined, void> {
  while (!vcpu.cpu.isInOrder) yield 'pause';
  if (!vcpu.vm.slotsProtection.tryReadLock(vcpu.hostCpu, vcpu.slotsReader))
    yield* sleepForSlots(vcpu, thread);
  return undefined;
}

/** The thread may wake up on another CPU. */
function* sleepForSlots(vcpu: Vcpu, thread: HostThread): Generator<ThreadRequest, undefined, void> {
  const { account } = vcpu.cpu;
  const { stage } = account;
  yield* vcpu.vm.slotsProtection.waitToRead(thread, vcpu.slotsReader);
  yield* finishMigration(vcpu);
  account.setStage(stage);
  return undefined;
}

function* unlockSlots(vcpu: Vcpu): Generator<ThreadRequest, undefined, void> {
  while (!vcpu.cpu.isInOrder) yield 'pause';
  vcpu.vm.slotsProtection.readUnlock(vcpu.hostCpu, vcpu.slotsReader);
  return undefined;
}

/** After a thread was scheduled in on another CPU: waits until the CPU that holds its VMCS has given it up. */
export function* finishMigration(vcpu: Vcpu): Generator<ThreadRequest, undefined, void> {
  const { cpu } = vcpu;
  if (vcpu.loadedOn === cpu) return undefined;
  cpu.setStage(STAGE.GUEST_STATE_RELOADED);
  while (vcpu.loadedOn !== undefined) {
    // As far as the others have come, and a step further, so that they go on.
    cpu.waitUntil(cpu.orderLimit + 1, WAIT_FOR_CPU);
    cpu.takeInterrupts();
    yield 'pause';
  }
  cpu.waitUntil(vcpu.clearedAt, WAIT_FOR_CPU);
  loadVcpuOn(vcpu, cpu);
  return undefined;
}

/** kvm_arch_vcpu_runnable. */
function isRunnable(vcpu: Vcpu): boolean {
  if (vcpu.mpState !== 'halted') return vcpu.mpState === 'sipi-received';
  return (
    vcpu.nmiPending ||
    vcpu.exception !== undefined ||
    (vcpu.interrupts.hasInterrupt() && interruptAllowed(vcpu))
  );
}
