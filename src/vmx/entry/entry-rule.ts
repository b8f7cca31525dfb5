/** VM-entry checks as data: each rule names the field that it looks at and says in words what must hold. */

import { fieldName } from '../../architecture/vmx/vmcs-fields.js';
import type { VmxCapabilities } from '../../architecture/vmx/vmx-capabilities.js';
import type { PhysicalMemory } from '../../memory/physical-memory.js';
import type { Vmcs } from '../vmcs.js';

export type EntryStage = 'controls' | 'host-state' | 'guest-state' | 'msr-load';

/** What rules look at besides the VMCS. */
export interface EntryEnvironment {
  readonly memory: PhysicalMemory;
  readonly capabilities: VmxCapabilities;
  /** The processor is in IA-32e mode when VM entry is attempted. */
  readonly hostInLongMode: boolean;
}

export interface EntryRule {
  /** Encoding of the field that is to blame. */
  readonly field: number;
  /** What must hold. */
  readonly rule: string;
  readonly broken: (vmcs: Vmcs, environment: EntryEnvironment) => boolean;
  /** Exit qualification of a VM-entry failure that has one (26.8). */
  readonly qualification?: number;
}

/** The rules of one section of the manual, in its order. */
export interface RuleSection {
  readonly stage: EntryStage;
  readonly section: string;
  readonly title: string;
  readonly rules: readonly EntryRule[];
}

/** Why a VM entry failed. */
export interface EntryFailure {
  readonly stage: EntryStage;
  /** Section number and title in the manual's revision 075. */
  readonly section: string;
  readonly rule: string;
  /** Name of the VMCS field. */
  readonly field: string;
  readonly value: bigint;
  /** Exit qualification where the VM entry failed after the checks on controls and host state. */
  readonly qualification: number;
}

/** The first broken rule of a section; undefined when all hold. */
export function checkSection(
  section: RuleSection,
  vmcs: Vmcs,
  environment: EntryEnvironment,
): EntryFailure | undefined {
  for (const rule of section.rules) {
    if (rule.broken(vmcs, environment))
      return {
        stage: section.stage,
        section: `${section.section} ${section.title}`,
        rule: rule.rule,
        field: fieldName(rule.field),
        value: vmcs.read(rule.field),
        qualification: rule.qualification ?? 0,
      };
  }
  return undefined;
}

const STAGE_TEXT: Record<EntryStage, string> = {
  controls: 'invalid control field',
  'host-state': 'invalid host-state field',
  'guest-state': 'invalid guest state',
  'msr-load': 'MSR loading failed',
};

/** A failure in words, for people. */
export function describeEntryFailure(failure: EntryFailure): string {
  return `VM entry failed: ${STAGE_TEXT[failure.stage]} ${failure.field} = 0x${failure.value.toString(16)}: ${failure.rule} (SDM ${failure.section})`;
}
