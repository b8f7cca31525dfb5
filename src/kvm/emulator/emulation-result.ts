/** What became of an emulated instruction. */

import type { MmioAccess } from '../mmio.js';

/** A port access that user space has to make (the io part of struct kvm_run). */
export interface PortAccess {
  readonly port: number;
  /** 1, 2 or 4. */
  readonly sizeInBytes: number;
  /** Number of accesses: more than 1 only for string instructions. */
  readonly count: number;
  readonly write: boolean;
  /** `count` × `sizeInBytes` bytes to write; empty for a read. */
  readonly data: Uint8Array;
}

/** The emulator can't execute this instruction (EMULATE_FAIL; KVM_EXIT_INTERNAL_ERROR towards user space). */
export interface EmulationFailure {
  readonly kind: 'failed';
  readonly rip: bigint;
  readonly bytes: Uint8Array;
  /** Upper case; undefined when the bytes are no instruction. */
  readonly mnemonic: string | undefined;
}

export type EmulationResult =
  /** Registers, RIP and memory are as after the instruction (or one iteration of it). */
  | { readonly kind: 'done' }
  /** An exception has been queued for the guest; nothing else has changed. */
  | { readonly kind: 'fault' }
  /** User space has to make this access; then `Emulator.completeMmio`. */
  | { readonly kind: 'user-space MMIO'; readonly access: MmioAccess }
  /** User space has to make this access; then `Emulator.completePort`. */
  | { readonly kind: 'user-space port'; readonly access: PortAccess }
  | EmulationFailure;
