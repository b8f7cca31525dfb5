/**
 * Runs single instructions on the CPU that the tests run on: a small C program loads registers, flags and memory, jumps
 * to the instruction, and writes down what it left behind. Needs gcc and nasm on x86-64.
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Linear addresses of what the instructions see; the emulator's guest maps the same. */
export const DATA = 0x10000000;
export const DATA_SIZE = 0x2000;
export const CODE = 0x20000000;
/** Each case has its code at CODE + SLOT * its number. */
export const SLOT = 32;
const STATE = 0x30000000;

const SOURCE = `
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <stdint.h>
#define STATE ${STATE}UL
#define S(offset) (*(volatile uint64_t *)(STATE + (offset)))
extern void run_case(void), exit_stub(void), recover(void);
__asm__(
  ".globl run_case, exit_stub, recover\\n"
  "run_case: push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\\n"
  "mov %rsp, ${STATE + 0x200}\\n"
  "pushq ${STATE + 0x80}; popfq\\n"
  "mov ${STATE + 8},%rcx; mov ${STATE + 16},%rdx; mov ${STATE + 24},%rbx; mov ${STATE + 32},%rsp\\n"
  "mov ${STATE + 40},%rbp; mov ${STATE + 48},%rsi; mov ${STATE + 56},%rdi; mov ${STATE + 64},%r8\\n"
  "mov ${STATE + 72},%r9; mov ${STATE + 80},%r10; mov ${STATE + 88},%r11; mov ${STATE + 96},%r12\\n"
  "mov ${STATE + 104},%r13; mov ${STATE + 112},%r14; mov ${STATE + 120},%r15; mov ${STATE},%rax\\n"
  "jmp *${STATE + 0x208}\\n"
  "exit_stub: mov %rax, ${STATE + 0x100}; mov %rcx, ${STATE + 0x108}; mov %rdx, ${STATE + 0x110}\\n"
  "mov %rbx, ${STATE + 0x118}; mov %rsp, ${STATE + 0x120}; mov %rbp, ${STATE + 0x128}\\n"
  "mov %rsi, ${STATE + 0x130}; mov %rdi, ${STATE + 0x138}; mov %r8, ${STATE + 0x140}\\n"
  "mov %r9, ${STATE + 0x148}; mov %r10, ${STATE + 0x150}; mov %r11, ${STATE + 0x158}\\n"
  "mov %r12, ${STATE + 0x160}; mov %r13, ${STATE + 0x168}; mov %r14, ${STATE + 0x170}; mov %r15, ${STATE + 0x178}\\n"
  "mov ${STATE + 0x200}, %rsp; pushfq; popq ${STATE + 0x180}\\n"
  "recover: mov ${STATE + 0x200}, %rsp; cld\\n"
  "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\\n");
static void on_fault(int number, siginfo_t *info, void *context) {
  ucontext_t *uc = context;
  S(0x188) = number == SIGFPE ? 1 : 255;
  uc->uc_mcontext.gregs[REG_RIP] = (uint64_t)recover;
  uc->uc_mcontext.gregs[REG_EFL] = 0x202;
}
static void *fixed(uint64_t address, size_t size) {
  void *p = mmap((void *)address, size, PROT_READ | PROT_WRITE | PROT_EXEC,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (p == MAP_FAILED) exit(2);
  return p;
}
int main(int argc, char **argv) {
  FILE *code = fopen(argv[1], "rb"), *in = fopen(argv[2], "rb"), *out = fopen(argv[3], "wb");
  static char alternate[65536];
  stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate };
  struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
  sigaltstack(&stack, 0);
  sigaction(SIGFPE, &action, 0); sigaction(SIGSEGV, &action, 0);
  sigaction(SIGILL, &action, 0); sigaction(SIGBUS, &action, 0);
  uint8_t *data = fixed(${DATA}, ${DATA_SIZE});
  uint8_t *text = fixed(${CODE}, 0x400000);
  fixed(STATE, 0x1000);
  if (fread(text, 1, 0x400000, code) == 0) return 3;
  uint64_t target = ${CODE};
  while (fread((void *)STATE, 8, 17, in) == 17) {
    if (fread(data, 1, ${DATA_SIZE}, in) != ${DATA_SIZE}) return 4;
    S(0x188) = 0; S(0x208) = target; S(0x210) = (uint64_t)exit_stub;
    run_case();
    target += ${SLOT};
    fwrite((void *)(STATE + 0x100), 8, 18, out);
    fwrite(data, 1, ${DATA_SIZE}, out);
  }
  return fclose(out);
}
`;

export interface NativeCase {
  /** NASM text of one instruction. */
  readonly text: string;
  readonly registers: BigUint64Array;
  readonly flags: number;
  readonly data: Uint8Array;
}

export interface NativeResult {
  readonly registers: BigUint64Array;
  readonly flags: number;
  readonly data: Uint8Array;
  /** #DE was raised. */
  readonly divideError: boolean;
}

export function toolsAreThere(): boolean {
  if (process.arch !== 'x64' || process.platform !== 'linux') return false;
  try {
    execFileSync('gcc', ['--version'], { stdio: 'ignore' });
    execFileSync('nasm', ['-v'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** @returns the code of all cases as it is to lie at CODE, and the results in order */
export function runNatively(cases: readonly NativeCase[]): { code: Uint8Array; results: NativeResult[] } {
  const folder = mkdtempSync(join(tmpdir(), 'exitscope-native-'));
  try {
    const path = (name: string): string => join(folder, name);
    const slots = cases.map(({ text }) => `${text}\njmp [abs ${STATE + 0x210}]\nalign ${SLOT}, db 0xcc\n`);
    writeFileSync(path('code.asm'), `bits 64\norg ${CODE}\n${slots.join('')}`);
    execFileSync('nasm', ['-f', 'bin', '-o', path('code'), path('code.asm')]);
    writeFileSync(path('oracle.c'), SOURCE);
    execFileSync('gcc', ['-O1', '-no-pie', '-w', '-o', path('oracle'), path('oracle.c')]);
    const input = cases.map(({ registers, flags, data }) => {
      const state = new BigUint64Array(17);
      state.set(registers);
      state[16] = BigInt(flags);
      return Buffer.concat([Buffer.from(state.buffer), data]);
    });
    writeFileSync(path('in'), Buffer.concat(input));
    execFileSync(path('oracle'), [path('code'), path('in'), path('out')]);
    const output = readFileSync(path('out'));
    const size = 18 * 8 + DATA_SIZE;
    const results = cases.map((_, index): NativeResult => {
      const at = index * size;
      const words = new BigUint64Array(18);
      for (let word = 0; word < 18; word++) words[word] = output.readBigUInt64LE(at + 8 * word);
      if (words[17] === 255n) throw new Error(`the CPU faulted on: ${cases[index]!.text}`);
      return {
        registers: words.slice(0, 16),
        flags: Number(words[16]! & 0xffffffffn),
        data: output.subarray(at + 18 * 8, at + size),
        divideError: words[17] === 1n,
      };
    });
    return { code: readFileSync(path('code')), results };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
