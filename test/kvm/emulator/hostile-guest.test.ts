/** Whatever bytes, registers, page tables and device answers the guest comes up with, the host survives. */

import { describe, expect, it } from 'vitest';
import { RandomSource } from '../../support/random-source.js';
import { RAM_AT_HOST, RAM_SIZE, TestGuest } from './guest.js';

const ROUNDS = Number(process.env.EXITSCOPE_HOSTILE_CASES ?? 30000);
const CODE = 0x1000;
const DATA = 0x8000;
const DEVICE = 0xc0000000;

describe('hostile guests', () => {
  it(`never make the emulator throw (${ROUNDS} random instructions)`, () => {
    const source = new RandomSource(0x9e3779b9);
    const pick = (limit: number): number => source.below(limit);
    const random64 = (): bigint => (BigInt(pick(2 ** 32)) << 32n) | BigInt(pick(2 ** 32));
    const guest = new TestGuest();
    guest.map(BigInt(CODE), CODE, 2);
    guest.map(BigInt(DATA), DATA, 2);
    guest.map(BigInt(DEVICE), DEVICE, 2);
    const { vcpu, emulator } = guest;
    const tables = guest.ram(0x100000, 0x8000).slice();
    const outcomes = new Map<string, number>();

    for (let round = 0; round < ROUNDS; round++) {
      // Page tables and control registers go bad from time to time.
      guest.ram(0x100000, 0x8000).set(tables);
      vcpu.cr3 = 0x100000n;
      vcpu.cr4 = 0x20;
      vcpu.efer = 0xd01;
      vcpu.codeRights = 0xa09b;
      vcpu.bases[4] = pick(4) ? 0n : random64();
      if (pick(8) === 0) guest.ram(0x100000 + pick(0x8000), 1)[0] = pick(256);
      if (pick(16) === 0) {
        vcpu.efer = [0, 0x500, 0xd01][pick(3)]!;
        vcpu.cr4 = [0, 0x10, 0x20][pick(3)]!;
        vcpu.codeRights = [0x9b, 0x409b, 0xa09b][pick(3)]!;
        if (pick(2)) vcpu.cr3 = random64() & 0xffff_ffff_f000n;
      }
      vcpu.privilegeLevel = pick(4) ? 0 : 3;
      vcpu.rflags = pick(2 ** 22) | 2;
      vcpu.rip = BigInt(CODE + 0xff0 + pick(16));
      for (let number = 0; number < 16; number++)
        vcpu.registers[number] = pick(3)
          ? BigInt([DATA, DEVICE, 0xfee00000][pick(3)]! + pick(0x2000))
          : random64();
      const code = guest.ram(CODE + 0xff0, 48);
      for (let index = 0; index < code.length; index++) code[index] = pick(256);
      // Some opcodes that access memory, so that more than faults and failures come out.
      if (pick(2))
        code[Number(vcpu.rip & 15n)] = [0x00, 0x01, 0x03, 0x89, 0x8b, 0xa4, 0xab, 0x6c, 0x6f, 0xf3][
          pick(10)
        ]!;

      let result = emulator.emulate();
      for (let step = 0; step < 20; step++) {
        if (result.kind === 'user-space MMIO') {
          expect([1, 2, 4, 8]).toContain(result.access.sizeInBytes);
          result = emulator.completeMmio(random64() & ((1n << BigInt(8 * result.access.sizeInBytes)) - 1n));
        } else if (result.kind === 'user-space port') {
          const { count, sizeInBytes } = result.access;
          expect(count * sizeInBytes).toBeLessThanOrEqual(4096 + sizeInBytes);
          result = emulator.completePort(new Uint8Array(count * sizeInBytes).fill(pick(256)));
        } else break;
      }
      outcomes.set(result.kind, (outcomes.get(result.kind) ?? 0) + 1);
      expect(vcpu.rip).toBeLessThan(1n << 64n);
    }
    // Host memory around the guest's RAM is as it was.
    const outside = [
      guest.memory.bytes.subarray(0, RAM_AT_HOST),
      guest.memory.bytes.subarray(RAM_AT_HOST + RAM_SIZE),
    ];
    for (const bytes of outside) expect(bytes.every((byte) => byte === 0)).toBe(true);
    // All ways were taken, none of them only by chance.
    for (const kind of ['done', 'fault', 'failed'])
      expect(outcomes.get(kind), kind).toBeGreaterThan(ROUNDS / 50);
  });
});
