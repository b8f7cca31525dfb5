import { describe, expect, it } from 'vitest';
import { IMPLEMENTED, type Policies } from '../../src/kvm/policies.js';
import { createKvmMachine, type KvmMachine } from './kvm-machine.js';

/** What a guest can do to CR0.TS and to what depends on it; each step is followed by a look at CR0. */
const STEPS = {
  'set TS': 'mov rax, cr0\nor al, 8\nmov cr0, rax',
  'clear TS': 'mov rax, cr0\nand al, 0xf7\nmov cr0, rax',
  CLTS: 'clts',
  'set MP and TS by LMSW': 'mov eax, 0xb\nlmsw ax',
  'clear MP and TS by LMSW': 'mov eax, 1\nlmsw ax',
  'set TS and AM': 'mov rax, cr0\nor eax, 0x40008\nmov cr0, rax',
  'clear AM': 'mov rax, cr0\nbtr eax, 18\nmov cr0, rax',
  'x87 instruction': 'fninit',
  WAIT: 'wait',
  'light exit': 'out 0x20, al',
  'heavy exit': 'out 0xb0, al',
} as const;
const NAMES = Object.keys(STEPS) as (keyof typeof STEPS)[];
const LOG = 0x90000;
const STEPS_PER_RUN = 60;

/** Steps by a linear congruential generator. */
function program(seed: number): (keyof typeof STEPS)[] {
  let state = seed;
  return Array.from({ length: STEPS_PER_RUN }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return NAMES[Math.floor((state / 2 ** 32) * NAMES.length)]!;
  });
}

const code = (steps: readonly (keyof typeof STEPS)[]): string => `
    lea rax, [device_not_available]
    lea rdi, [idt + 7 * 16]
    mov [rdi], ax
    mov word [rdi + 2], cs
    mov word [rdi + 4], 0x8e00
    shr rax, 16
    mov [rdi + 6], ax
    lidt [idt_register]
    mov edi, ${LOG}
    xor ebx, ebx
    ${steps
      .map(
        (step) => `${STEPS[step]}
    mov rax, cr0
    mov [rdi], eax
    smsw ax
    mov [rdi + 4], ax
    mov [rdi + 6], bx
    add edi, 8`,
      )
      .join('\n')}
    cli
    hlt
device_not_available:
    inc ebx
    clts
    iretq
idt_register:
    dw 8 * 16 - 1
    dq idt
    align 16
idt: times 8 * 16 db 0
`;

/** CR0, machine status word and number of #NM taken by the guest, after each step. */
function observed(machine: KvmMachine): string[] {
  const { memory } = machine.host;
  return Array.from({ length: STEPS_PER_RUN }, (_, step) => {
    const word = (offset: number): number =>
      memory.bytes[LOG + step * 8 + offset]! | (memory.bytes[LOG + step * 8 + offset + 1]! << 8);
    return [word(2), word(0), word(4), word(6)].map((value) => value.toString(16)).join(' ');
  });
}

/** The same without a hypervisor: CR0.TS and MP as the manual says (SDM Vol. 3A, 2.5 and Table 9-3). */
function expected(steps: readonly (keyof typeof STEPS)[]): string[] {
  const TS = 8;
  const MP = 2;
  const AM = 0x40000;
  let cr0 = 0x80010031 | 0;
  let faults = 0;
  return steps.map((step) => {
    const fault = (): void => {
      faults++;
      cr0 &= ~TS;
    };
    if (step === 'set TS') cr0 |= TS;
    else if (step === 'clear TS' || step === 'CLTS') cr0 &= ~TS;
    else if (step === 'set MP and TS by LMSW') cr0 |= TS | MP;
    else if (step === 'clear MP and TS by LMSW') cr0 &= ~(TS | MP);
    else if (step === 'set TS and AM') cr0 |= TS | AM;
    else if (step === 'clear AM') cr0 &= ~AM;
    else if (step === 'x87 instruction' && (cr0 & TS) !== 0) fault();
    else if (step === 'WAIT' && (cr0 & TS) !== 0 && (cr0 & MP) !== 0) fault();
    return [(cr0 >>> 16) & 0xffff, cr0 & 0xffff, cr0 & 0xffff, faults]
      .map((value) => value.toString(16))
      .join(' ');
  });
}

const COMBINATIONS: Partial<Policies>[] = IMPLEMENTED.taskSwitchedFlag.flatMap((taskSwitchedFlag) =>
  IMPLEMENTED.hostFpu.flatMap((hostFpu) =>
    IMPLEMENTED.hostCr0.map((hostCr0) => ({ taskSwitchedFlag, hostFpu, hostCr0 })),
  ),
);

describe.each(COMBINATIONS)(
  'CR0.TS as the guest sees it: $taskSwitchedFlag, $hostFpu, $hostCr0',
  (policies) => {
    it.each([1, 2, 3])('is what the guest made it (program %i)', (seed) => {
      const steps = program(seed * 7919 + COMBINATIONS.indexOf(policies));
      const machine = createKvmMachine({ code: code(steps), policies });
      machine.run();
      expect(machine.kvm.halted).toBe(true);
      expect(observed(machine).map((text, index) => `${steps[index]}: ${text}`)).toEqual(
        expected(steps).map((text, index) => `${steps[index]}: ${text}`),
      );
    });
  },
);
