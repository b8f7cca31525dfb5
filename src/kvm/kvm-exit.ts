/** What KVM_RUN hands to user space (struct kvm_run): the exit as a value with its data. */

import type { EmulationFailure, PortAccess } from './emulator/emulation-result.js';
import type { MmioAccess } from './mmio.js';

export type KvmExit =
  /** KVM_EXIT_IO: for a read, user space answers with `count` × `sizeInBytes` bytes. */
  | { readonly reason: 'io'; readonly access: PortAccess }
  /** KVM_EXIT_MMIO: for a read, user space answers with the value. */
  | { readonly reason: 'mmio'; readonly access: MmioAccess }
  | { readonly reason: 'hlt' }
  /** Triple fault. */
  | { readonly reason: 'shutdown' }
  | { readonly reason: 'irq-window-open' }
  /** A signal came. */
  | { readonly reason: 'intr' }
  | { readonly reason: 'set-tpr' }
  /** VM entry failed its checks, or an exit that the hypervisor layer does not know. */
  | { readonly reason: 'fail-entry'; readonly hardwareReason: number; readonly qualification: bigint }
  | { readonly reason: 'unknown'; readonly hardwareReason: number }
  | { readonly reason: 'internal-error'; readonly failure: EmulationFailure };

export type KvmExitReason = KvmExit['reason'];

/** What user space gives back for a read: the bytes of port accesses, or the value of an MMIO read. */
export type UserSpaceAnswer =
  | { readonly kind: 'io'; readonly data: Uint8Array }
  | { readonly kind: 'mmio'; readonly value: bigint };
