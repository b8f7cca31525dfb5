import { describe, expect, it } from 'vitest';
import { MSR } from '../../src/architecture/msrs.js';
import {
  HostMsrError,
  hardwareMsrEquals,
  readHardwareMsr,
  readHardwareMsrWords,
  writeHardwareMsr,
  writeHardwareMsrWords,
} from '../../src/host/model-specific-registers.js';
import { readMsr, writeMsr } from '../../src/processor/system/msr-registers.js';
import { createHost } from './host-machine.js';

const core = createHost().cpu.cpu.processor;

/** A canonical address, so that every register but those of 32 bits takes it; told apart by the register's number. */
const valueFor = (index: number): bigint => 0xffff_8123_0000_0000n | BigInt(index & 0x1fff);

/** Registers with a value that WRMSR accepts (SDM Vol. 4, Chapter 2). */
const ACCEPTED: readonly (readonly [name: string, index: number, value: bigint])[] = [
  ...(['STAR', 'LSTAR', 'CSTAR', 'KERNEL_GS_BASE', 'FS_BASE', 'GS_BASE'] as const),
  ...(['SYSENTER_CS', 'SYSENTER_ESP', 'SYSENTER_EIP'] as const),
]
  .map((name): readonly [string, number, bigint] => [name, MSR[name], valueFor(MSR[name])])
  .concat([
    ['SYSCALL_MASK', MSR.SYSCALL_MASK, 0xfedc_ba98n],
    ['TSC_AUX', MSR.TSC_AUX, 0x8000_0003n],
    ['PAT', MSR.PAT, 0x0007_0406_0007_0405n],
  ]);

const wordsOf = (value: bigint): Int32Array => new Int32Array(BigUint64Array.of(value).buffer);

describe.each(ACCEPTED)('%s', (_name, index, value) => {
  it('is read by host code as WRMSR of a program left it', () => {
    expect(writeMsr(core, index, value)).toBe(true);
    expect(readHardwareMsr(core, index)).toBe(value);
    const words = new Int32Array(2);
    readHardwareMsrWords(core, index, words);
    expect(words).toEqual(wordsOf(value));
  });

  it('is read by RDMSR of a program as host code left it', () => {
    writeHardwareMsr(core, index, 0n);
    expect(readMsr(core, index)).toBe(0n);
    writeHardwareMsrWords(core, index, wordsOf(value));
    expect(readMsr(core, index)).toBe(value);
    writeHardwareMsr(core, index, value + 1n);
    expect(readMsr(core, index)).toBe(value + 1n);
  });

  it('is compared in both halves', () => {
    writeHardwareMsr(core, index, value);
    expect(hardwareMsrEquals(core, index, wordsOf(value))).toBe(true);
    expect(hardwareMsrEquals(core, index, wordsOf(value ^ 1n))).toBe(false);
    expect(hardwareMsrEquals(core, index, wordsOf(value ^ (1n << 32n)))).toBe(false);
  });
});

it('registers that the CPU does not have are the host’s defect', () => {
  const words = new Int32Array(2);
  for (const index of [0, 0x11, 0x276, 0x278, 0xc000007f, 0xc0000104, 0xffffffff]) {
    expect(() => readHardwareMsr(core, index)).toThrow(HostMsrError);
    expect(() => writeHardwareMsr(core, index, 0n)).toThrow(HostMsrError);
    expect(() => readHardwareMsrWords(core, index, words)).toThrow(HostMsrError);
    expect(() => writeHardwareMsrWords(core, index, words)).toThrow(HostMsrError);
  }
});
