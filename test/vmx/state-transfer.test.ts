/** The generated transfers of VM entry and VM exit do what a plain description of the manual's rules does. */

import { describe, expect, it } from 'vitest';
import { SEGMENT } from '../../src/architecture/registers.js';
import { VMCS } from '../../src/architecture/vmx/vmcs-fields.js';
import { BASE_CAPABILITIES } from '../../src/architecture/vmx/vmx-capabilities.js';
import { executionMode, PagingMode } from '../../src/processor/execution-mode.js';
import { PROCESSOR_BLOCK_SIZE, STATE } from '../../src/processor/state/layout.js';
import { checkSection } from '../../src/vmx/entry/entry-rule.js';
import { UNUSUAL } from '../../src/vmx/entry/unusual-state.js';
import { ENTRY_STEPS } from '../../src/vmx/entry/vm-entry.js';
import { NOT_PLAIN, stateTransferIn } from '../../src/vmx/transfer/state-transfer.js';
import { DIFFERENCE } from '../../src/vmx/translation-tags.js';
import type { Vmcs } from '../../src/vmx/vmcs.js';
import {
  ALL_GROUPS,
  has64Bits,
  MIRROR,
  REGION_WORDS_USED,
  SUPPORTED_FIELDS,
} from '../../src/vmx/vmcs-layout.js';
import { RandomSource } from '../support/random-source.js';
import { loadGuest, loadHost, type SavedState, saveGuest } from './transfer-description.js';
import { createVmxMachine, type VmxMachine } from './vmx-machine.js';

const ROUNDS = Number(process.env.STATE_TRANSFER_ROUNDS ?? 10);

const OUTSIDE_OF_IMAGES: readonly (readonly [from: number, to: number])[] = [
  [STATE.FLAG_RESULT, STATE.RFLAGS_OTHER + 4],
  [STATE.TRANSLATION_INPUTS, STATE.TRANSLATION_INPUTS + 5 * 4],
];

/** Registers of the block that are 64 bits wide, and those of 32 bits with an upper half that is always zero. */
const WIDE_REGISTERS = [
  ...Array.from({ length: 16 }, (_, n) => STATE.GPR + n * 8),
  STATE.RIP,
  STATE.FLAG_RESULT,
  STATE.CR3,
  STATE.SYSENTER_ESP,
  STATE.SYSENTER_EIP,
  STATE.PAT,
  STATE.GDTR_BASE,
  STATE.IDTR_BASE,
];
const NARROW_REGISTERS = [
  STATE.CR0,
  STATE.CR4,
  STATE.EFER,
  STATE.SYSENTER_CS,
  STATE.DEBUG + 7 * 8,
  STATE.DEBUGCTL,
  STATE.GDTR_LIMIT,
  STATE.IDTR_LIMIT,
];

/** A machine of which the test fills the VMCS region and the processor's block. */
class Subject {
  readonly machine: VmxMachine = createVmxMachine();
  readonly vmcs: Vmcs = this.machine.vmx.vmcs;
  readonly state = this.machine.processor.state;
  readonly transfer = stateTransferIn(this.machine.memory.linearMemory);
  readonly block = this.state.address;
  readonly region = this.vmcs.address;

  set(field: number, value: bigint): void {
    if (has64Bits(field))
      this.vmcs.store64(field, Number(value & 0xffffffffn), Number((value >> 32n) & 0xffffffffn));
    else this.vmcs.store32(field, Number(value & 0xffffffffn));
  }
  /** Flags, the region's words, and the block without flags, whose form is free, and notes; as hexadecimal text. */
  image(): string {
    const { words, base } = this.vmcs;
    const region = Buffer.from(words.buffer, words.byteOffset + base * 4, REGION_WORDS_USED * 4);
    const block = Buffer.from(this.state.bytes);
    for (const [from, to] of OUTSIDE_OF_IMAGES) block.fill(0, from, to);
    return `${this.state.rflags.toString(16)} ${region.toString('hex')} ${block.toString('hex')}`;
  }
  copyTo(other: Subject): void {
    other.state.bytes.set(this.state.bytes);
    other.vmcs.words.set(this.vmcs.words.subarray(this.vmcs.base, this.vmcs.base + 1024), other.vmcs.base);
  }
}

const isSelector = (field: number): boolean => (field & 0x6000) === 0;

function fillVmcs(subject: Subject, source: RandomSource): void {
  for (const field of SUPPORTED_FIELDS) {
    const value = (BigInt(source.next()) << 32n) | BigInt(source.next());
    const selector = source.oneIn(4) ? 0n : value & 0xffffn;
    subject.set(field, isSelector(field) ? selector : value);
  }
  // VM entry has checked that its upper half is zero, and bit 1 is not.
  subject.set(VMCS.GUEST_RFLAGS, BigInt((source.next() | 2) >>> 0));
}

function fillBlock({ state }: Subject, source: RandomSource): void {
  for (const offset of WIDE_REGISTERS)
    state.write64(offset, (BigInt(source.next()) << 32n) | BigInt(source.next()));
  for (const offset of NARROW_REGISTERS) state.write32(offset, source.next());
  state.write64(STATE.FLAG_CARRIES, (BigInt(source.next()) << 32n) | BigInt(source.below(16)));
  if (source.oneIn(3)) state.write64(STATE.FLAG_RESULT, 0n);
  state.write32(STATE.RFLAGS_OTHER, source.next() & ~0x8d5);
  for (let n = 0; n < 8; n++) {
    const register = state.segment(n);
    register.selector = source.next() & 0xffff;
    register.base = (BigInt(source.next()) << 32n) | BigInt(source.next());
    register.limit = source.next();
    register.accessRights = source.next();
  }
}

/** Bits of `controls` set as in the binary digits of `combination`. */
const withBits = (controls: number, bits: readonly number[], combination: number): bigint =>
  BigInt(
    bits.reduce(
      (all, bit, n) => (((combination >> n) & 1) !== 0 ? all | (1 << bit) : all & ~(1 << bit)),
      controls,
    ) >>> 0,
  );

const SAVE_DEBUG_CONTROLS = 2;
const EXIT_BITS = [SAVE_DEBUG_CONTROLS, 9, 18, 19, 20, 21];
const ENTRY_BITS = [2, 9, 14, 15];

/** Runs `check` for all settings of `bits`, with two machines of the same random contents. */
function forAllControls(
  field: number,
  bits: readonly number[],
  seed: number,
  check: (subject: Subject, model: Subject, source: RandomSource) => void,
): void {
  const subject = new Subject();
  const model = new Subject();
  const source = new RandomSource(seed);
  for (let combination = 0; combination < 1 << bits.length; combination++)
    for (let round = 0; round < ROUNDS; round++) {
      fillVmcs(subject, source);
      fillBlock(subject, source);
      subject.set(field, withBits(source.next(), bits, combination));
      subject.copyTo(model);
      check(subject, model, source);
    }
}

function randomSaved(source: RandomSource): SavedState {
  return {
    interruptibility: source.pick([0, 1, 2, 8, 9, 10]),
    activity: source.below(2),
    resumeFlag: source.pick(['keep', 'clear', 'set']),
  };
}

function save(subject: Subject, saved: SavedState, how: 'saveGuest' | 'exit'): number {
  return subject.transfer[how](
    subject.block,
    subject.region,
    saved.interruptibility,
    saved.activity,
    saved.resumeFlag === 'keep' ? -1 : ~0x10000,
    saved.resumeFlag === 'set' ? 0x10000 : 0,
  );
}

describe('generated transfers', () => {
  it('load guest state as 26.3.2 says', () => {
    forAllControls(VMCS.VM_ENTRY_CONTROLS, ENTRY_BITS, 1, (subject, model) => {
      subject.transfer.loadGuest(subject.block, subject.region);
      loadGuest(model.state, model.vmcs);
      expect(subject.image()).toBe(model.image());
    });
  });

  it('save guest state as 27.3 says, and tell what changed', () => {
    const seen = new Set<number>();
    forAllControls(VMCS.VM_EXIT_CONTROLS, EXIT_BITS, 2, (subject, model, source) => {
      const saved = randomSaved(source);
      // Most of it is as it was, so that single changes are seen.
      save(subject, saved, 'saveGuest');
      for (let n = source.below(3); n > 0; n--) {
        const offset = source.pick([...WIDE_REGISTERS, ...NARROW_REGISTERS]);
        subject.state.write32(offset, subject.state.read32(offset) ^ (1 << source.below(32)));
        if (source.oneIn(2)) subject.state.segment(source.below(8)).limit ^= 1 << source.below(32);
      }
      if (source.oneIn(4)) subject.state.rflags ^= 0x20000;
      if (source.oneIn(8)) fillBlock(subject, source);
      subject.copyTo(model);
      const again = source.oneIn(2) ? saved : randomSaved(source);
      const changed = save(subject, again, 'saveGuest');
      expect(changed).toBe(saveGuest(model.state, model.vmcs, again));
      expect(subject.image()).toBe(model.image());
      seen.add(changed);
    });
    expect(seen.has(0)).toBe(true);
    expect(seen.size).toBeGreaterThan(15);
  });

  it('load host state as 27.5 says', () => {
    forAllControls(VMCS.VM_EXIT_CONTROLS, EXIT_BITS, 3, (subject, model) => {
      subject.transfer.loadHost(subject.block, subject.region);
      loadHost(model.state, model.vmcs);
      expect(subject.image()).toBe(model.image());
    });
  });

  it('exit: guest state is saved before host state is loaded', () => {
    forAllControls(VMCS.VM_EXIT_CONTROLS, EXIT_BITS, 4, (subject, model, source) => {
      const saved = randomSaved(source);
      const changed = save(subject, saved, 'exit');
      expect(changed).toBe(saveGuest(model.state, model.vmcs, saved));
      loadHost(model.state, model.vmcs);
      expect(subject.image()).toBe(model.image());
    });
  });

  it('touch nothing outside of block and region', () => {
    const subject = new Subject();
    const source = new RandomSource(5);
    const whole = new Uint8Array(subject.machine.memory.linearMemory.buffer);
    fillVmcs(subject, source);
    fillBlock(subject, source);
    const outside = (): Uint8Array => {
      const copy = whole.slice();
      copy.fill(0, subject.block, subject.block + PROCESSOR_BLOCK_SIZE);
      copy.fill(0, subject.region, subject.region + 4096);
      return copy;
    };
    const before = outside();
    subject.transfer.loadGuest(subject.block, subject.region);
    save(subject, randomSaved(source), 'exit');
    subject.transfer.loadPlainGuest(subject.block, subject.region);
    subject.transfer.unusual(subject.block, subject.region);
    subject.transfer.differences(subject.block, subject.region);
    expect(Buffer.compare(outside(), before)).toBe(0);
  });

  it('marks are groups, and padding behind segment registers is zero', () => {
    const subject = new Subject();
    const source = new RandomSource(6);
    fillVmcs(subject, source);
    fillBlock(subject, source);
    expect(save(subject, randomSaved(source), 'exit') & ~ALL_GROUPS).toBe(0);
    const { words, base } = subject.vmcs;
    for (let n = 0; n < 8; n++) expect(words[base + MIRROR.REGION_WORD + n * 8 + 4]! >>> 16).toBe(0);
  });
});

describe('unusual state', () => {
  const plain = (): Subject => {
    const subject = new Subject();
    subject.set(VMCS.GUEST_RIP, 0x1000n);
    return subject;
  };
  const unusual = (subject: Subject): number => subject.transfer.unusual(subject.block, subject.region);

  it('is absent from a plain 64-bit guest and a plain 32-bit guest', () => {
    const subject = plain();
    expect(unusual(subject)).toBe(0);
    subject.set(VMCS.GUEST_RIP, 0xffffffff80001000n);
    expect(unusual(subject)).toBe(0);
    subject.set(VMCS.GUEST_CS_ACCESS_RIGHTS, 0xc09bn);
    expect(unusual(subject)).toBe(UNUSUAL.FLAGS);
    subject.set(VMCS.GUEST_RIP, 0x80001000n);
    expect(unusual(subject)).toBe(0);
  });

  for (const [field, value, bit] of [
    [VMCS.VM_ENTRY_INTERRUPTION_INFORMATION, 0x80000030n, UNUSUAL.EVENT],
    [VMCS.GUEST_RFLAGS, 0n, UNUSUAL.FLAGS],
    [VMCS.GUEST_RFLAGS, 0x20002n, UNUSUAL.FLAGS | UNUSUAL.SEGMENTS],
    [VMCS.GUEST_RFLAGS, 0x100000002n, UNUSUAL.FLAGS],
    [VMCS.GUEST_RIP, 0x7fff00000000000n, UNUSUAL.FLAGS],
    [VMCS.GUEST_ACTIVITY_STATE, 1n, UNUSUAL.NON_REGISTER],
    [VMCS.GUEST_INTERRUPTIBILITY_STATE, 1n, UNUSUAL.NON_REGISTER | UNUSUAL.BLOCKING],
    [VMCS.GUEST_INTERRUPTIBILITY_STATE, 2n, UNUSUAL.BLOCKING],
    [VMCS.GUEST_INTERRUPTIBILITY_STATE, 3n, UNUSUAL.NON_REGISTER | UNUSUAL.BLOCKING],
    [VMCS.GUEST_INTERRUPTIBILITY_STATE, 4n, UNUSUAL.NON_REGISTER | UNUSUAL.BLOCKING],
    [VMCS.GUEST_INTERRUPTIBILITY_STATE, 8n, UNUSUAL.BLOCKING],
    [VMCS.GUEST_PENDING_DEBUG_EXCEPTIONS, 1n << 63n, UNUSUAL.NON_REGISTER],
    [VMCS.VMCS_LINK_POINTER, 0xfffffffffffffffen, UNUSUAL.NON_REGISTER],
    [VMCS.VMCS_LINK_POINTER, 0x7fffffffffffffffn, UNUSUAL.NON_REGISTER],
  ] as const)
    it(`is seen in field 0x${field.toString(16)} = 0x${value.toString(16)}, and keeps the guest from being loaded`, () => {
      const subject = plain();
      subject.set(field, value);
      expect(unusual(subject)).toBe(bit);
      const before = subject.state.bytes.slice();
      expect(subject.transfer.loadPlainGuest(subject.block, subject.region)).toBe(NOT_PLAIN);
      expect(subject.state.bytes).toEqual(before);
    });

  const userMode = (): Subject => {
    const subject = plain();
    for (const [field, value] of [
      [VMCS.GUEST_CS_SELECTOR, 0x33n],
      [VMCS.GUEST_CS_ACCESS_RIGHTS, 0xa0fbn],
      [VMCS.GUEST_SS_SELECTOR, 0x2bn],
      [VMCS.GUEST_SS_ACCESS_RIGHTS, 0xc0f3n],
      [VMCS.GUEST_DS_SELECTOR, 0n],
      [VMCS.GUEST_DS_ACCESS_RIGHTS, 0x10000n],
      [VMCS.GUEST_FS_BASE, 0x7fff12345678n],
      [VMCS.GUEST_GS_BASE, 0xffff880012345678n],
      [VMCS.GUEST_LDTR_SELECTOR, 0x60n],
      [VMCS.GUEST_LDTR_LIMIT, 0xfffn],
      [VMCS.GUEST_LDTR_ACCESS_RIGHTS, 0x82n],
      [VMCS.GUEST_CR0, 0x8005003bn],
      [VMCS.GUEST_IA32_PAT, 0x7040600070406n],
      [VMCS.GUEST_IA32_EFER, 0xd01n],
    ] as const)
      subject.set(field, value);
    subject.set(VMCS.VM_ENTRY_CONTROLS, subject.vmcs.value(VMCS.VM_ENTRY_CONTROLS) | 0xc000n);
    return subject;
  };

  it('is absent from a user-mode guest with an LDT, of which EFER and PAT are loaded', () => {
    expect(unusual(userMode())).toBe(0);
  });

  for (const [mode, guest] of [
    ['in supervisor mode', plain],
    ['in user mode', userMode],
  ] as const)
    it(`is there whenever a rule that depends on it is broken, ${mode}`, () => {
      const subject = guest();
      const source = new RandomSource(7);
      const environment = {
        memory: subject.machine.memory,
        capabilities: BASE_CAPABILITIES,
        hostInLongMode: true,
      };
      const steps = ENTRY_STEPS.filter((step) => step.unusual !== undefined);
      expect(steps).toHaveLength(6);
      const fields = [...new Set(steps.flatMap((step) => step.rules.rules.map((rule) => rule.field)))];
      const good = [...fields, VMCS.VM_ENTRY_CONTROLS, VMCS.GUEST_RIP].map(
        (field) => [field, subject.vmcs.value(field)] as const,
      );
      let broken = 0;
      for (let round = 0; round < 1000 * ROUNDS; round++) {
        for (const [field, value] of good) subject.set(field, value);
        for (let n = 1 + source.below(3); n > 0; n--) {
          const [field, value] = source.pick(good);
          const width = isSelector(field) ? 16 : has64Bits(field) ? 64 : 32;
          subject.set(field, value ^ (1n << BigInt(source.below(width))));
        }
        const found = unusual(subject);
        for (const step of steps) {
          // Rules on the event's fields are about valid events only.
          if (step.unusual === UNUSUAL.EVENT && (found & UNUSUAL.EVENT) === 0) continue;
          if (checkSection(step.rules, subject.vmcs, environment) === undefined) continue;
          broken++;
          if ((found & step.unusual!) === 0) expect.fail(`${step.rules.section}: unusual state is missed`);
        }
      }
      expect(broken).toBeGreaterThan(ROUNDS);
    });
});

describe('differences between the guest entered and the one before', () => {
  const rights = (subject: Subject, segment: number, bit: number): void => {
    subject.state.segment(segment).accessRights ^= 1 << bit;
  };
  const CHANGES: readonly ((subject: Subject, source: RandomSource) => void)[] = [
    (s, source) => rights(s, SEGMENT.CS, source.below(17)),
    (s, source) => rights(s, SEGMENT.SS, source.below(17)),
    (s, source) =>
      s.state.write32(STATE.RFLAGS_OTHER, s.state.read32(STATE.RFLAGS_OTHER) ^ (1 << source.below(22))),
    (s, source) => s.state.write32(STATE.CR0, s.state.read32(STATE.CR0) ^ (1 << source.below(32))),
    (s, source) => s.state.write32(STATE.CR4, s.state.read32(STATE.CR4) ^ (1 << source.below(22))),
    (s, source) => s.state.write32(STATE.EFER, s.state.read32(STATE.EFER) ^ (1 << source.below(12))),
    (s, source) => s.state.write64(STATE.CR3, s.state.cr3 ^ (1n << BigInt(source.below(64)))),
  ];
  const PAGING = [
    [STATE.CR0, 0x80010001],
    [STATE.CR4, 0x3200b0],
    [STATE.EFER, 0xd00],
  ] as const;

  it('are found exactly where translations rest on them, and wherever the mode does', () => {
    const subject = new Subject();
    const source = new RandomSource(8);
    const { state, transfer, block, region } = subject;
    const found = new Set<number>();
    for (let round = 0; round < 100 * ROUNDS; round++) {
      fillBlock(subject, source);
      subject.machine.processor.caches.modeChanged();
      const paging = new PagingMode();
      paging.update(state);
      transfer.saveGuest(block, region, 0, 0, -1, 0);
      const cr3 = state.cr3;
      const before = PAGING.map(([offset, bits]) => state.read32(offset) & bits);
      for (let n = source.below(3); n > 0; n--) source.pick(CHANGES)(subject, source);

      const differences = transfer.differences(block, region);
      found.add(differences);
      const translations =
        state.cr3 !== cr3 || PAGING.some(([offset, bits], n) => (state.read32(offset) & bits) !== before[n]);
      expect((differences & DIFFERENCE.TRANSLATIONS) !== 0).toBe(translations);
      const mode = executionMode(state) !== state.read32(STATE.MODE) || paging.update(state);
      if (mode) expect(differences & DIFFERENCE.MODE).toBe(DIFFERENCE.MODE);
    }
    expect(found.size).toBe(4);
  });
});
