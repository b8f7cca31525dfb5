/** MSRs shared between host and guests of one CPU, restored lazily (kvm_set_shared_msr, kvm_on_user_return). */

import { MSR } from '../architecture/msrs.js';
import { pairsAgree, pairsEqual, type WordPair, wordPair } from '../bits/word-pair.js';
import { operation } from '../host/cost/operations.js';
import type { HostCpu, UserReturnNotifier } from '../host/host-cpu.js';

const COMPARE = operation('MSR list compare');
const SLOTS: readonly number[] = [MSR.SYSCALL_MASK, MSR.LSTAR, MSR.CSTAR, MSR.EFER, MSR.TSC_AUX, MSR.STAR];

interface SharedMsr {
  readonly index: number;
  /** Read when the CPU was brought up for virtualization: nobody changes it later. */
  readonly host: WordPair;
  /** What the CPU holds. */
  readonly current: WordPair;
}

export class SharedMsrs implements UserReturnNotifier {
  private readonly host: HostCpu;
  private readonly slots: readonly SharedMsr[];
  private registered = false;

  constructor(host: HostCpu) {
    this.host = host;
    this.slots = SLOTS.map((index) => {
      const value = host.cpu.peekMsr(index);
      return { index, host: wordPair(value), current: wordPair(value) };
    });
  }

  /** Loads a guest's value unless the CPU holds it already, as far as `mask` goes. */
  set(index: number, value: WordPair, mask: WordPair): void {
    const { cpu } = this.host;
    cpu.charge(COMPARE);
    const slot = this.slots[SLOTS.indexOf(index)]!;
    if (pairsAgree(value, slot.current, mask)) return;
    slot.current.set(value);
    cpu.wrmsrWords(index, value);
    if (this.registered) return;
    this.registered = true;
    this.host.registerUserReturnNotifier(this);
  }

  /** Gives the host its values back at once: the CPU goes offline or the module is unloaded (drop_user_return_notifiers). */
  drop(): void {
    if (this.registered) this.onUserReturn();
  }

  /** kvm_on_user_return. */
  onUserReturn(): void {
    const { cpu } = this.host;
    for (const slot of this.slots) {
      cpu.charge(COMPARE);
      if (pairsEqual(slot.current, slot.host)) continue;
      cpu.wrmsrWords(slot.index, slot.host);
      slot.current.set(slot.host);
    }
    this.registered = false;
    this.host.unregisterUserReturnNotifier(this);
  }
}

const PER_CPU = new WeakMap<HostCpu, SharedMsrs>();

/** The shared MSRs of a CPU (per_cpu(shared_msrs)). */
export function sharedMsrsOf(host: HostCpu): SharedMsrs {
  let values = PER_CPU.get(host);
  if (values === undefined) {
    values = new SharedMsrs(host);
    PER_CPU.set(host, values);
  }
  return values;
}

/** Takes guest values out of a CPU's shared MSRs, if there are any. */
export function releaseSharedMsrs(host: HostCpu): void {
  PER_CPU.get(host)?.drop();
}
