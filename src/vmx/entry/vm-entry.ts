/** The checks of a VM entry in the manual's order (SDM Vol. 3C, 26.2 and 26.3), each made only when it can have changed. */

import type { Vmcs } from '../vmcs.js';
import { GROUP } from '../vmcs-layout.js';
import {
  comparesVirtualTpr,
  ENTRY_CONTROL_RULES,
  ENTRY_EVENT_RULES,
  EXECUTION_CONTROL_RULES,
  EXIT_CONTROL_RULES,
  VIRTUAL_TPR_RULES,
} from './check-controls.js';
import { GUEST_DESCRIPTOR_TABLE_RULES, GUEST_REGISTER_RULES } from './check-guest-registers.js';
import { GUEST_SEGMENT_RULES } from './check-guest-segments.js';
import {
  GUEST_FLAG_RULES,
  GUEST_NON_REGISTER_RULES,
  GUEST_PDPTE_RULES,
  usesPaePaging,
} from './check-guest-state.js';
import { ADDRESS_SPACE_SIZE_RULES, HOST_REGISTER_RULES, HOST_SEGMENT_RULES } from './check-host-state.js';
import { checkSection, type EntryEnvironment, type EntryFailure, type RuleSection } from './entry-rule.js';
import { UNUSUAL } from './unusual-state.js';

export interface Step {
  readonly rules: RuleSection;
  /** Groups of the fields that the rules look at; 0 for rules that are asked at every VM entry. */
  readonly groups: number;
  /** `UNUSUAL` bits without which no rule of the section can be broken. */
  readonly unusual?: number;
  /** When it is false, no rule of the section can be broken. */
  readonly applies?: (vmcs: Vmcs) => boolean;
}

/** Execution controls decide how almost everything else is checked. */
const EXECUTION = GROUP.EXECUTION_CONTROLS;

const CONTROL_STEPS: readonly Step[] = [
  { rules: EXECUTION_CONTROL_RULES, groups: EXECUTION | GROUP.EXIT_CONTROLS },
  { rules: VIRTUAL_TPR_RULES, groups: 0, applies: comparesVirtualTpr },
  { rules: EXIT_CONTROL_RULES, groups: EXECUTION | GROUP.EXIT_CONTROLS },
  { rules: ENTRY_CONTROL_RULES, groups: GROUP.ENTRY_CONTROLS },
  { rules: ENTRY_EVENT_RULES, groups: 0, unusual: UNUSUAL.EVENT },
];

const HOST_STEPS: readonly Step[] = [
  { rules: HOST_REGISTER_RULES, groups: GROUP.HOST | GROUP.EXIT_CONTROLS },
  { rules: HOST_SEGMENT_RULES, groups: GROUP.HOST | GROUP.EXIT_CONTROLS },
  { rules: ADDRESS_SPACE_SIZE_RULES, groups: GROUP.HOST | GROUP.EXIT_CONTROLS | GROUP.ENTRY_CONTROLS },
];

const GUEST_STEPS: readonly Step[] = [
  {
    rules: GUEST_REGISTER_RULES,
    groups: EXECUTION | GROUP.ENTRY_CONTROLS | GROUP.GUEST_REGISTERS,
    unusual: UNUSUAL.REGISTERS,
  },
  {
    rules: GUEST_SEGMENT_RULES,
    groups: EXECUTION | GROUP.ENTRY_CONTROLS | GROUP.GUEST_REGISTERS | GROUP.GUEST_SEGMENTS,
    unusual: UNUSUAL.SEGMENTS,
  },
  {
    rules: GUEST_DESCRIPTOR_TABLE_RULES,
    groups: GROUP.GUEST_DESCRIPTOR_TABLES,
    unusual: UNUSUAL.DESCRIPTOR_TABLES,
  },
  { rules: GUEST_FLAG_RULES, groups: 0, unusual: UNUSUAL.FLAGS | UNUSUAL.EVENT },
  { rules: GUEST_NON_REGISTER_RULES, groups: 0, unusual: UNUSUAL.NON_REGISTER },
  { rules: GUEST_PDPTE_RULES, groups: 0, applies: usesPaePaging },
];

/** Groups that some check looks at. */
export const CHECKED_GROUPS: number = [...CONTROL_STEPS, ...HOST_STEPS, ...GUEST_STEPS].reduce(
  (all, step) => all | step.groups,
  0,
);

/** What decides which checks have to be made. */
export interface Occasion {
  /** Groups that changed since their checks passed; a change of the processor's mode counts as one of `GROUP.HOST`. */
  readonly dirty: number;
  /** `UNUSUAL` bits. */
  readonly unusual: number;
}

function isDue(step: Step, { dirty, unusual }: Occasion, vmcs: Vmcs): boolean {
  if (step.groups !== 0 && (step.groups & dirty) === 0) return false;
  if (step.unusual !== undefined && (step.unusual & unusual) === 0) return false;
  return step.applies?.(vmcs) ?? true;
}

/** Steps that are made one after the other, and what has to be the case for any of them to be due. */
class Sequence {
  private readonly steps: readonly Step[];
  /** Groups of the steps that are due whenever one of these changed. */
  private readonly groups: number;
  private readonly unusual: number;
  private readonly applies: (vmcs: Vmcs) => boolean;

  /** @param applies whether a step is due that looks at memory */
  constructor(steps: readonly Step[], applies: (vmcs: Vmcs) => boolean) {
    this.steps = steps;
    this.groups = steps.reduce((all, step) => (step.unusual === undefined ? all | step.groups : all), 0);
    this.unusual = steps.reduce((all, step) => all | (step.unusual ?? 0), 0);
    this.applies = applies;
  }

  check(occasion: Occasion, vmcs: Vmcs, environment: EntryEnvironment): EntryFailure | undefined {
    const none = (occasion.dirty & this.groups) === 0 && (occasion.unusual & this.unusual) === 0;
    if (none && !this.applies(vmcs)) return undefined;
    for (const step of this.steps) {
      if (!isDue(step, occasion, vmcs)) continue;
      const failure = checkSection(step.rules, vmcs, environment);
      if (failure !== undefined) return failure;
    }
    return undefined;
  }
}

/** Checks on VMX controls and the host-state area. */
export const CONTROLS_AND_HOST = new Sequence([...CONTROL_STEPS, ...HOST_STEPS], comparesVirtualTpr);
/** Checks on the guest-state area. */
export const GUEST = new Sequence(GUEST_STEPS, usesPaePaging);

/** Some rules look at memory, whatever has changed. As long as no group of `CHECKED_GROUPS` changes, so does this not. */
export const checksMemory = (vmcs: Vmcs): boolean => comparesVirtualTpr(vmcs) || usesPaePaging(vmcs);

/** All steps in their order, for tests and documentation. */
export const ENTRY_STEPS: readonly Step[] = [...CONTROL_STEPS, ...HOST_STEPS, ...GUEST_STEPS];

/** Every rule of every section. */
export const ALL_RULE_SECTIONS: readonly RuleSection[] = ENTRY_STEPS.map((step) => step.rules);
