/** The type of the functions that settle VM exits. */

import type { KvmExit } from '../kvm-exit.js';
import type { Vcpu } from '../vcpu.js';

/** Undefined: the exit is settled, the guest goes on. Otherwise user space has to do something. */
export type ExitHandler = (vcpu: Vcpu) => KvmExit | undefined;
