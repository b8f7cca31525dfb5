/** Facts of VMX: numbers, names and formats. */

import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { describeExitQualification } from '../../src/architecture/vmx/describe-exit.js';
import {
  decodeCrQualification,
  decodeIoQualification,
  encodeCrQualification,
  encodeIoQualification,
  encodeTaskSwitchQualification,
} from '../../src/architecture/vmx/exit-qualifications.js';
import {
  EXIT_REASON,
  EXIT_REASON_NUMBERS,
  exitReasonName,
  exitReasonName2632,
} from '../../src/architecture/vmx/exit-reasons.js';
import { instructionErrorText } from '../../src/architecture/vmx/instruction-errors.js';
import { describeInterruption } from '../../src/architecture/vmx/interruption-information.js';
import { msrBitmapBit } from '../../src/architecture/vmx/msr-bitmap.js';
import {
  FIELD_TYPE,
  fieldName,
  fieldType,
  fieldWidthInBits,
  UNSUPPORTED_FIELDS,
  VMCS,
} from '../../src/architecture/vmx/vmcs-fields.js';
import { MIRROR, REGION_WORDS_USED, SLOT, SUPPORTED_FIELDS } from '../../src/vmx/vmcs-layout.js';

const KERNEL_HEADER = '/usr/include/x86_64-linux-gnu/asm/vmx.h';
const headerMissing = existsSync(KERNEL_HEADER) ? '' : " (skipped: the kernel's asm/vmx.h is not installed)";

describe('exit reasons', () => {
  it.skipIf(headerMissing !== '')(`are those of the kernel's asm/vmx.h${headerMissing}`, () => {
    const ours = new Map(EXIT_REASON_NUMBERS.map((n) => [n as number, exitReasonName(n)]));
    const theirs = [...readFileSync(KERNEL_HEADER, 'utf8').matchAll(/#define EXIT_REASON_(\w+)\s+(\d+)\b/g)];
    expect(theirs.length).toBeGreaterThan(50);
    for (const [, name, number] of theirs) {
      const known = ours.get(Number(number));
      // Reasons of parts that no processor here has (SMM) are not in our list.
      if (known !== undefined) expect(known).toBe(name);
      else expect(['IO_SMI', 'OTHER_SMI', 'BUS_LOCK', 'NOTIFY', 'TDCALL', 'SEAMCALL']).toContain(name);
    }
  });

  it('have the names that Linux printed', () => {
    expect(exitReasonName(48)).toBe('EPT_VIOLATION');
    expect(exitReasonName(0x80000021)).toBe('INVALID_STATE FAILED_VMENTRY');
    expect(exitReasonName(1000)).toBe('1000');
    expect(exitReasonName2632(EXIT_REASON.IO_INSTRUCTION)).toBe('io_instruction');
    expect(exitReasonName2632(EXIT_REASON.TPR_BELOW_THRESHOLD)).toBe('tpr_below_thres');
    expect(exitReasonName2632(EXIT_REASON.EPT_MISCONFIG)).toBe('0x31');
  });
});

describe('VMCS fields', () => {
  const encodings = Object.values(VMCS) as number[];

  it('have unique encodings with bit 0 and the reserved bits clear', () => {
    expect(new Set(encodings).size).toBe(encodings.length);
    for (const encoding of encodings) expect(encoding & ~0x6ffe).toBe(0);
  });

  it('have the type that their names tell (24.11.2, Table 24-20)', () => {
    for (const [name, encoding] of Object.entries(VMCS)) {
      const type = fieldType(encoding);
      if (name.startsWith('HOST_')) expect([name, type]).toEqual([name, FIELD_TYPE.HOST_STATE]);
      else if (/^GUEST_(?!PHYSICAL|LINEAR)/.test(name))
        expect([name, type]).toEqual([name, FIELD_TYPE.GUEST_STATE]);
      else if (/^(EXIT_|VM_EXIT_I|IDT_|IO_|VM_INSTR|GUEST_(PHYSICAL|LINEAR))/.test(name))
        expect([name, type]).toEqual([name, FIELD_TYPE.READ_ONLY_DATA]);
    }
  });

  it('have the width that their names tell', () => {
    for (const [name, encoding] of Object.entries(VMCS)) {
      const width = fieldWidthInBits(encoding);
      if (/_SELECTOR$/.test(name)) expect([name, width]).toEqual([name, 16]);
      else if (
        /_(LIMIT|ACCESS_RIGHTS|COUNT|CONTROLS|INFORMATION|LENGTH|ERROR_CODE)$/.test(name) &&
        !/FUNCTION/.test(name)
      )
        expect([name, width]).toEqual([name, 32]);
      else if (
        /_(BASE|CR0|CR3|CR4|RIP|RSP|PAT|EFER|ADDRESS|POINTER)$/.test(name) &&
        name !== 'EPTP_INDEX' &&
        name !== 'GUEST_SMBASE'
      )
        expect([name, width]).toEqual([name, 64]);
    }
    expect(fieldWidthInBits(VMCS.TSC_OFFSET + 1)).toBe(32);
    expect(fieldName(VMCS.TSC_OFFSET + 1)).toBe('TSC_OFFSET_HIGH');
    expect(fieldName(0x7abc)).toBe('0x7abc');
  });

  it('lie in the region without overlapping, in one page', () => {
    const taken = new Set<number>();
    for (const encoding of SUPPORTED_FIELDS)
      for (let word = 0; word < (fieldWidthInBits(encoding) === 64 ? 2 : 1); word++) {
        const place = SLOT[encoding]! + word;
        expect([fieldName(encoding), taken.has(place)]).toEqual([fieldName(encoding), false]);
        taken.add(place);
      }
    expect(REGION_WORDS_USED * 4).toBeLessThanOrEqual(4096);
    expect(Math.min(...taken)).toBe(MIRROR.REGION_WORD);
    for (const encoding of UNSUPPORTED_FIELDS) expect(SLOT[encoding]).toBe(-1);
  });
});

describe('exit qualifications', () => {
  it('I/O (Table 27-5): round trip', () => {
    for (const port of [0, 0x3f8, 0xffff])
      for (const sizeInBytes of [1, 2, 4])
        for (const direction of ['in', 'out'] as const)
          for (const bits of [0, 1, 2, 3, 4, 5, 6, 7]) {
            const q = {
              port,
              sizeInBytes,
              direction,
              string: (bits & 1) !== 0,
              rep: (bits & 2) !== 0,
              immediate: (bits & 4) !== 0,
            };
            expect(decodeIoQualification(encodeIoQualification(q))).toEqual(q);
          }
    expect(
      encodeIoQualification({
        port: 0x3f8,
        sizeInBytes: 1,
        direction: 'out',
        string: false,
        rep: false,
        immediate: false,
      }),
    ).toBe(0x03f80000);
  });

  it('CR access (Table 27-3)', () => {
    expect(encodeCrQualification(3, 1, 10)).toBe(0xa13);
    expect(decodeCrQualification(0xa13)).toMatchObject({ register: 3, type: 1, gpr: 10 });
  });

  it('task switch (Table 27-2)', () => {
    expect(encodeTaskSwitchQualification(0x28, 'call')).toBe(0x28);
    expect(encodeTaskSwitchQualification(0x28, 'gate')).toBe(0xc0000028);
  });

  for (const [reason, qualification, words] of [
    [EXIT_REASON.IO_INSTRUCTION, 0x03f80000n, 'out port 0x3f8, 1 byte'],
    [EXIT_REASON.IO_INSTRUCTION, 0x0071004bn, 'in port 0x71, 4 bytes, immediate'],
    [EXIT_REASON.IO_INSTRUCTION, 0x01f00039n, 'rep ins port 0x1f0, 2 bytes'],
    [EXIT_REASON.CR_ACCESS, 0x0a13n, 'mov cr3 to r10'],
    [EXIT_REASON.CR_ACCESS, 0x0000n, 'mov cr0 from rax'],
    [EXIT_REASON.CR_ACCESS, 0x0020n, 'clts'],
    [EXIT_REASON.CR_ACCESS, 0x90070n, 'lmsw 0x9 from memory'],
    [EXIT_REASON.DR_ACCESS, 0x317n, 'mov dr7 to rbx'],
    [EXIT_REASON.APIC_ACCESS, 0x10b0n, 'write offset 0xb0 (EOI)'],
    [EXIT_REASON.APIC_ACCESS, 0xf000n, 'physical access by an instruction'],
    [EXIT_REASON.EPT_VIOLATION, 0x182n, 'write, not present'],
    [EXIT_REASON.EXTERNAL_INTERRUPT, 0n, 'an interrupt for the host'],
    [EXIT_REASON.TASK_SWITCH, 0x40000028n, 'to TSS selector 0x28 by IRET'],
    [EXIT_REASON.INVLPG, 0xffff800000001000n, 'linear address 0xffff800000001000'],
    [0x80000021, 4n, 'invalid VMCS link pointer'],
    [0x80000022, 2n, 'entry 2 of the MSR-load area'],
    [EXIT_REASON.CPUID, 0n, ''],
  ] as const)
    it(`in words: ${words || 'nothing'}`, () =>
      expect(describeExitQualification(reason, qualification)).toBe(words));
});

describe('other formats', () => {
  it('interruption information', () => {
    expect(describeInterruption(0)).toBe('none');
    expect(describeInterruption(0x80000b0e)).toBe('hardware exception #PF, error code valid');
    expect(describeInterruption(0x80000202)).toBe('NMI');
    expect(describeInterruption(0x80000030)).toBe('external interrupt vector 0x30');
    expect(describeInterruption(0x80000603)).toBe('software exception #BP');
  });

  it('MSR bitmaps (24.6.9)', () => {
    expect(msrBitmapBit(0, false)).toBe(0);
    expect(msrBitmapBit(0x1fff, false)).toBe(0x3ff * 8 + 7);
    expect(msrBitmapBit(0xc0000000, false)).toBe(0x400 * 8);
    expect(msrBitmapBit(0x10, true)).toBe(0x800 * 8 + 0x10);
    expect(msrBitmapBit(0xc0001fff, true)).toBe(0xfff * 8 + 7);
    expect(msrBitmapBit(0x2000, false)).toBe(-1);
    expect(msrBitmapBit(0xc0002000, true)).toBe(-1);
  });

  it('VM-instruction errors', () => {
    expect(instructionErrorText(7)).toBe('VM entry with invalid control field(s)');
    expect(instructionErrorText(14)).toBe('VM-instruction error 14');
  });
});
