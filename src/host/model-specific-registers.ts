/** Model-specific registers as host code reads and writes them: the processor's own storage, by MSR number. */

import { MSR } from '../architecture/msrs.js';
import { SEGMENT } from '../architecture/registers.js';
import type { ProcessorCore } from '../processor/core.js';
import { SEGMENT_FIELD, SEGMENT_STRIDE, STATE } from '../processor/state/layout.js';

const segmentBase = (number: number): number => STATE.SEGMENTS + number * SEGMENT_STRIDE + SEGMENT_FIELD.BASE;

/** Registers that are 64 bits of the processor's block, by their byte offsets in it. */
const STORAGE: readonly (readonly [index: number, offset: number])[] = [
  [MSR.EFER, STATE.EFER],
  [MSR.STAR, STATE.STAR],
  [MSR.LSTAR, STATE.LSTAR],
  [MSR.CSTAR, STATE.CSTAR],
  [MSR.SYSCALL_MASK, STATE.SYSCALL_MASK],
  [MSR.FS_BASE, segmentBase(SEGMENT.FS)],
  [MSR.GS_BASE, segmentBase(SEGMENT.GS)],
  [MSR.KERNEL_GS_BASE, STATE.KERNEL_GS_BASE],
  [MSR.TSC_AUX, STATE.TSC_AUX],
  [MSR.SYSENTER_CS, STATE.SYSENTER_CS],
  [MSR.SYSENTER_ESP, STATE.SYSENTER_ESP],
  [MSR.SYSENTER_EIP, STATE.SYSENTER_EIP],
  [MSR.PAT, STATE.PAT],
  [MSR.FEATURE_CONTROL, STATE.FEATURE_CONTROL],
];

/** First words of the registers from `first` to `last`, -1 for none: a look-up without hashing. */
const wordsOfRange = (first: number, last: number): Int16Array => {
  const words = new Int16Array(last - first + 1).fill(-1);
  for (const [index, offset] of STORAGE)
    if (index >= first && index <= last) words[index - first] = offset >> 2;
  return words;
};

const FIRST_HIGH = MSR.EFER;
const LOW_WORDS = wordsOfRange(0, MSR.PAT);
const HIGH_WORDS = wordsOfRange(FIRST_HIGH, MSR.TSC_AUX);

/** Index in `ProcessorState.words` of the register's low half, -1 when it is not part of the block. */
function wordOf(index: number): number {
  if (index < FIRST_HIGH) return index < LOW_WORDS.length ? LOW_WORDS[index]! : -1;
  const place = index - FIRST_HIGH;
  return place < HIGH_WORDS.length ? HIGH_WORDS[place]! : -1;
}

/** Host code used an MSR that the simulated CPU does not have: a real host would take #GP. */
export class HostMsrError extends Error {
  readonly code = 'host-msr';
  readonly index: number;
  constructor(index: number) {
    super(`host code used MSR 0x${index.toString(16)}, which this CPU does not have`);
    this.name = 'HostMsrError';
    this.index = index;
  }
}

/** As `wordOf`, for a register that has to be one of the block. */
function storedAt(index: number): number {
  const word = wordOf(index);
  if (word < 0) throw new HostMsrError(index);
  return word;
}

/** What RDMSR gives: unsigned 64 bits. */
export function readHardwareMsr(core: ProcessorCore, index: number): bigint {
  const word = wordOf(index);
  if (word >= 0) return core.state.read64(word << 2);
  if (index === MSR.TIME_STAMP_COUNTER) return BigInt(core.timeStampCounter);
  const capability = core.vmx?.capability(index);
  if (capability !== undefined) return capability;
  throw new HostMsrError(index);
}

export function writeHardwareMsr(core: ProcessorCore, index: number, value: bigint): void {
  core.state.write64(storedAt(index) << 2, value);
}

/**
 * RDMSR into two 32-bit words, low one first, without a big integer.
 * @throws HostMsrError also for registers that are not plain storage (time-stamp counter, VMX capabilities)
 */
export function readHardwareMsrWords(core: ProcessorCore, index: number, words: Int32Array): void {
  const word = storedAt(index);
  const stored = core.state.words;
  words[0] = stored[word]!;
  words[1] = stored[word + 1]!;
}

/** WRMSR from two 32-bit words, low one first. */
export function writeHardwareMsrWords(core: ProcessorCore, index: number, words: Int32Array): void {
  const word = storedAt(index);
  const stored = core.state.words;
  stored[word] = words[0]!;
  stored[word + 1] = words[1]!;
}

/** Whether the register holds these two words, low one first; for the same registers as `readHardwareMsrWords`. */
export function hardwareMsrEquals(core: ProcessorCore, index: number, words: Int32Array): boolean {
  const word = storedAt(index);
  const stored = core.state.words;
  return stored[word] === words[0] && stored[word + 1] === words[1];
}
