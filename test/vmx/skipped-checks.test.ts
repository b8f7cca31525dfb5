/** VM entry repeats only checks whose fields have changed: that must never change an outcome. */

import { describe, expect, it } from 'vitest';
import { SEGMENT } from '../../src/architecture/registers.js';
import { SECONDARY } from '../../src/architecture/vmx/controls.js';
import { fieldName, VMCS } from '../../src/architecture/vmx/vmcs-fields.js';
import { BASE_CAPABILITIES } from '../../src/architecture/vmx/vmx-capabilities.js';
import { STATE } from '../../src/processor/state/layout.js';
import { injectsEvent } from '../../src/vmx/entry/check-controls.js';
import { usesPaePaging } from '../../src/vmx/entry/check-guest-state.js';
import { checkSection, type EntryFailure } from '../../src/vmx/entry/entry-rule.js';
import { ALL_RULE_SECTIONS, ENTRY_STEPS } from '../../src/vmx/entry/vm-entry.js';
import { Vmcs } from '../../src/vmx/vmcs.js';
import { FIELD_GROUP, SUPPORTED_FIELDS } from '../../src/vmx/vmcs-layout.js';
import { RandomSource } from '../support/random-source.js';
import {
  activateSecondary,
  baseFields,
  createVmxMachine,
  enableEpt,
  type VmxMachine,
} from './vmx-machine.js';

const ROUNDS = Number(process.env.SKIPPED_CHECKS_ROUNDS ?? 15_000);

/** Asks every rule of every section; only what the manual makes a precondition of a whole section is left out. */
function checkEverything(machine: VmxMachine): EntryFailure | undefined {
  const { vmcs } = machine.vmx;
  const environment = {
    memory: machine.memory,
    capabilities: BASE_CAPABILITIES,
    hostInLongMode: (machine.processor.state.efer & 0x400) !== 0,
  };
  for (const section of ALL_RULE_SECTIONS) {
    if (section.rules.some((r) => r.field === VMCS.VM_ENTRY_INTERRUPTION_INFORMATION) && !injectsEvent(vmcs))
      continue;
    if (section.section === '26.3.1.6' && !usesPaePaging(vmcs)) continue;
    const failure = checkSection(section, vmcs, environment);
    if (failure !== undefined) return failure;
  }
  return undefined;
}

const WRITABLE = SUPPORTED_FIELDS.filter((field) => !Vmcs.isReadOnly(field));

describe('checks that are not repeated', () => {
  for (const [name, setUp] of [
    ['without secondary controls', () => {}],
    ['with EPT', enableEpt],
    [
      'with an unrestricted guest',
      (m: VmxMachine) => {
        enableEpt(m);
        activateSecondary(m, SECONDARY.UNRESTRICTED_GUEST | SECONDARY.ENABLE_EPT);
      },
    ],
  ] as const)
    it(`never change the outcome of a VM entry ${name}`, () => {
      const machine = createVmxMachine();
      setUp(machine);
      const { vmx, processor } = machine;
      const good = new Map(WRITABLE.map((field) => [field, machine.read(field)]));
      const source = new RandomSource(0x1234567);
      const random = (limit: number): number => source.below(limit);
      let entered = 0;
      const failed = new Set<string>();
      for (let round = 0; round < ROUNDS; round++) {
        const field = WRITABLE[random(WRITABLE.length)]!;
        const old = machine.read(field);
        const bit = 1n << BigInt(random(64));
        machine.write(field, random(4) === 0 ? BigInt(random(0xffffffff)) : old ^ bit);
        // Injected events would run through the guest's IDT, which is not what this is about.
        if (random(3) !== 0) machine.write(VMCS.VM_ENTRY_INTERRUPTION_INFORMATION, 0);
        machine.write(VMCS.VM_ENTRY_MSR_LOAD_COUNT, 0);
        machine.write(VMCS.VM_EXIT_MSR_LOAD_COUNT, 0);
        machine.write(VMCS.VM_EXIT_MSR_STORE_COUNT, 0);

        const expected = checkEverything(machine);
        if (expected === undefined) machine.write(VMCS.VM_ENTRY_INTERRUPTION_INFORMATION, 0);
        const launched = machine.vmx.vmcs.header(2) !== 0;
        const result = launched ? vmx.vmresume() : vmx.vmlaunch();
        expect(vmx.lastEntryFailure).toEqual(expected);
        if (expected !== undefined) failed.add(expected.rule);
        if (result.ok && expected === undefined) {
          entered++;
          // What a guest may do to its registers before the exit.
          if (random(4) === 0) processor.state.segment(random(8)).accessRights ^= 1 << random(17);
          if (random(4) === 0) processor.state.cr3 = BigInt(random(0x1000)) << 12n;
          if (random(8) === 0) processor.state.cr0 ^= 1 << random(4);
          if (random(8) === 0) processor.state.rflags ^= 0x20000;
          if (random(8) === 0) processor.state.efer ^= 0x400;
          if (random(16) === 0) processor.state.write64(STATE.GDTR_BASE, 1n << BigInt(random(64)));
          if (random(16) === 0) processor.interruptShadow = 'sti';
          processor.intercepts?.tripleFault();
        }
        if (processor.state.segment(SEGMENT.CS).accessRights === 0) throw new Error('no host state');
        processor.state.efer = 0xd01;
        if (expected !== undefined || random(3) === 0)
          for (const [f, value] of good) if (machine.read(f) !== value) machine.write(f, value);
      }
      expect(entered).toBeGreaterThan(ROUNDS / 10);
      expect(failed.size).toBeGreaterThan(60);
    });
});

/** A VMCS that notes which fields are read. */
class WatchedVmcs extends Vmcs {
  readonly seen = new Set<number>();
  override low(field: number): number {
    this.seen.add(field);
    return super.low(field);
  }
  override unsigned(field: number): number {
    this.seen.add(field);
    return super.unsigned(field);
  }
  override high(field: number): number {
    this.seen.add(field);
    return super.high(field);
  }
  override value(field: number): bigint {
    this.seen.add(field);
    return super.value(field);
  }
  override number(field: number): number {
    this.seen.add(field);
    return super.number(field);
  }
}

describe('the groups of a step', () => {
  for (const { rules, groups } of ENTRY_STEPS.filter((step) => step.groups !== 0))
    it(`cover every field that the rules of ${rules.section} ${rules.title} read`, () => {
      const machine = createVmxMachine();
      const good = WRITABLE.map((field) => [field, machine.read(field)] as const);
      const watched = new WatchedVmcs(machine.memory);
      watched.base = machine.vmx.vmcs.base;
      const random = new RandomSource(99);
      for (let round = 0; round < 300; round++) {
        for (const [field, value] of good)
          machine.write(field, random.oneIn(3) ? value ^ BigInt(random.next() & random.next()) : value);
        const environment = { memory: machine.memory, capabilities: BASE_CAPABILITIES, hostInLongMode: true };
        for (const rule of rules.rules) rule.broken(watched, environment);
      }
      const uncovered = [...watched.seen].filter((field) => (FIELD_GROUP[field]! & groups) === 0);
      expect(uncovered.map(fieldName)).toEqual([]);
      expect(watched.seen.size).toBeGreaterThan(2);
    });
});

describe('the base VMCS of the tests', () => {
  it('breaks no rule', () => {
    const machine = createVmxMachine();
    expect(baseFields().length).toBeGreaterThan(40);
    expect(checkEverything(machine)).toBeUndefined();
  });
});
