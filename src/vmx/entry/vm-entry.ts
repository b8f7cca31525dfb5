/** The checks of a VM entry in the manual's order (SDM Vol. 3C, 26.2 and 26.3), each made only when it can have changed. */

import type { Vmcs } from '../vmcs.js';
import { GROUP } from '../vmcs-layout.js';
import {
  comparesVirtualTpr,
  ENTRY_CONTROL_RULES,
  ENTRY_EVENT_RULES,
  EXECUTION_CONTROL_RULES,
  EXIT_CONTROL_RULES,
  injectsEvent,
  VIRTUAL_TPR_RULES,
} from './check-controls.js';
import { GUEST_DESCRIPTOR_TABLE_RULES, GUEST_REGISTER_RULES } from './check-guest-registers.js';
import { GUEST_SEGMENT_RULES } from './check-guest-segments.js';
import {
  GUEST_FLAG_RULES,
  GUEST_NON_REGISTER_RULES,
  GUEST_PDPTE_RULES,
  hasNonRegisterState,
  hasUnusualFlags,
  usesPaePaging,
} from './check-guest-state.js';
import { ADDRESS_SPACE_SIZE_RULES, HOST_REGISTER_RULES, HOST_SEGMENT_RULES } from './check-host-state.js';
import { checkSection, type EntryEnvironment, type EntryFailure, type RuleSection } from './entry-rule.js';

export interface Step {
  readonly rules: RuleSection;
  /** Groups of the fields that the rules look at; 0 for rules that are asked at every VM entry. */
  readonly groups: number;
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
  { rules: ENTRY_EVENT_RULES, groups: 0, applies: injectsEvent },
];

const HOST_STEPS: readonly Step[] = [
  { rules: HOST_REGISTER_RULES, groups: GROUP.HOST | GROUP.EXIT_CONTROLS },
  { rules: HOST_SEGMENT_RULES, groups: GROUP.HOST | GROUP.EXIT_CONTROLS },
  { rules: ADDRESS_SPACE_SIZE_RULES, groups: GROUP.HOST | GROUP.EXIT_CONTROLS | GROUP.ENTRY_CONTROLS },
];

const GUEST_STEPS: readonly Step[] = [
  { rules: GUEST_REGISTER_RULES, groups: EXECUTION | GROUP.ENTRY_CONTROLS | GROUP.GUEST_REGISTERS },
  {
    rules: GUEST_SEGMENT_RULES,
    groups: EXECUTION | GROUP.ENTRY_CONTROLS | GROUP.GUEST_REGISTERS | GROUP.GUEST_SEGMENTS,
  },
  { rules: GUEST_DESCRIPTOR_TABLE_RULES, groups: GROUP.GUEST_DESCRIPTOR_TABLES },
  { rules: GUEST_FLAG_RULES, groups: 0, applies: hasUnusualFlags },
  { rules: GUEST_NON_REGISTER_RULES, groups: 0, applies: hasNonRegisterState },
  { rules: GUEST_PDPTE_RULES, groups: 0, applies: usesPaePaging },
];

const groupsOf = (steps: readonly Step[]): number => steps.reduce((all, step) => all | step.groups, 0);
const CONTROL_AND_HOST_GROUPS = groupsOf(CONTROL_STEPS) | groupsOf(HOST_STEPS);
const GUEST_GROUPS = groupsOf(GUEST_STEPS);

function run(
  steps: readonly Step[],
  dirty: number,
  vmcs: Vmcs,
  environment: EntryEnvironment,
): EntryFailure | undefined {
  for (const { rules, groups, applies } of steps) {
    if (groups !== 0 && (groups & dirty) === 0) continue;
    if (applies !== undefined && !applies(vmcs)) continue;
    const failure = checkSection(rules, vmcs, environment);
    if (failure !== undefined) return failure;
  }
  return undefined;
}

/**
 * Checks on VMX controls and the host-state area.
 * @param dirty groups that changed since they passed; a change of the processor's mode counts as one of `GROUP.HOST`
 */
export function checkControlsAndHost(
  vmcs: Vmcs,
  environment: EntryEnvironment,
  dirty: number,
): EntryFailure | undefined {
  const unchanged = (dirty & CONTROL_AND_HOST_GROUPS) === 0;
  if (unchanged && !injectsEvent(vmcs) && !comparesVirtualTpr(vmcs)) return undefined;
  return run(CONTROL_STEPS, dirty, vmcs, environment) ?? run(HOST_STEPS, dirty, vmcs, environment);
}

/** Checks on the guest-state area. @param dirty groups that changed since they passed */
export function checkGuest(
  vmcs: Vmcs,
  environment: EntryEnvironment,
  dirty: number,
): EntryFailure | undefined {
  const unchanged = (dirty & GUEST_GROUPS) === 0;
  if (unchanged && !hasUnusualFlags(vmcs) && !hasNonRegisterState(vmcs) && !usesPaePaging(vmcs))
    return undefined;
  return run(GUEST_STEPS, dirty, vmcs, environment);
}

/** All steps in their order, for tests and documentation. */
export const ENTRY_STEPS: readonly Step[] = [...CONTROL_STEPS, ...HOST_STEPS, ...GUEST_STEPS];

/** Every rule of every section. */
export const ALL_RULE_SECTIONS: readonly RuleSection[] = ENTRY_STEPS.map((step) => step.rules);
