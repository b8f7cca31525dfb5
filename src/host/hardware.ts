/** What a simulated physical CPU needs of the processor and of the VT-x hardware that it wraps. */

import type { HostPhysicalAddress } from '../memory/addresses.js';
import type { ProcessorCore } from '../processor/core.js';

export interface RunLimits {
  /** Ends at the first instruction boundary at which so many cycles have passed; interrupts are looked at first. */
  readonly cycles: number;
  readonly instructions: number;
}

export interface RunStop {
  readonly kind: 'budget' | 'vm-exit' | 'halt' | 'shutdown';
}

/** A processor that can run guest code and counts the cycles in `timeStampCounter`. */
export interface HardwareProcessor extends ProcessorCore {
  /** Instructions completed since reset. */
  readonly instructionsRetired: number;
  run(limits: RunLimits): RunStop;
}

/**
 * VT-x as host code uses it. VMfail is a defect of the hypervisor: these throw then. VM entries that fail their
 * guest-state checks are VM exits (bit 31 of the exit reason).
 */
export interface VmxHardware {
  vmxon(region: HostPhysicalAddress): void;
  vmclear(region: HostPhysicalAddress): void;
  vmptrld(region: HostPhysicalAddress): void;
  /** Field values are unsigned 64-bit. */
  vmread(field: number): bigint;
  vmwrite(field: number, value: bigint): void;
  /** The same for values below 2^53, without a big integer. */
  vmreadNumber(field: number): number;
  vmwriteNumber(field: number, value: number): void;
  /** Fields of 64 bits as two 32-bit words, low one first. */
  vmreadWords(field: number, words: Int32Array): void;
  vmwriteWords(field: number, words: Int32Array): void;
  /** True: the processor is in non-root operation. False: the entry failed and a VM exit took place. */
  vmlaunch(): boolean;
  vmresume(): boolean;
  /** @param type 1 single context, 2 all contexts */
  invept(type: number, eptPointer: bigint): void;
  /** @param type 0 individual address, 1 single context, 2 all contexts */
  invvpid(type: number, vpid: number, linearAddress: bigint): void;
}
