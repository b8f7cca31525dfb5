/** The same questions put to our processor. */

import { VMCS } from '../../../src/architecture/vmx/vmcs-fields.js';
import { hostPhysical } from '../../../src/memory/addresses.js';
import { createVmxMachine, MSR_AREA, VMCS_REGION, type VmxMachine } from '../vmx-machine.js';
import { ORACLE_EPT_PDPT, ORACLE_EPT_PML4, OUTCOME_LETTER, type Scenario } from './cases.js';

const BY_QUALIFICATION: ReadonlyMap<bigint, string> = new Map([
  [2n, OUTCOME_LETTER.pdpte],
  [3n, OUTCOME_LETTER.nmiBlocked],
  [4n, OUTCOME_LETTER.linkPointer],
]);

function outcome({ vmx, processor }: VmxMachine): string {
  const result = vmx.vmlaunch();
  if (!result.ok) {
    if (result.kind === 'invalid') return OUTCOME_LETTER.failInvalid;
    if (result.error === 7) return OUTCOME_LETTER.controls;
    return result.error === 8 ? OUTCOME_LETTER.hostState : OUTCOME_LETTER.otherError;
  }
  processor.intercepts?.tripleFault();
  const reason = vmx.vmreadNumber(VMCS.EXIT_REASON);
  if (reason < 0x80000000) return OUTCOME_LETTER.entered;
  if ((reason & 0xffff) === 34) return OUTCOME_LETTER.msrLoad;
  return BY_QUALIFICATION.get(vmx.vmread(VMCS.EXIT_QUALIFICATION)) ?? OUTCOME_LETTER.invalidGuestState;
}

/** Asks one question: `field` of `scenario` with `bit` flipped, 64 for none. */
export type Ask = (scenario: Scenario, field: number, bit: number) => { letter: string; reason: string };

export function createAsk(): Ask {
  const machine = createVmxMachine();
  const { vmx, memory, processor } = machine;
  memory.write64(hostPhysical(ORACLE_EPT_PML4), BigInt(ORACLE_EPT_PDPT | 7));
  memory.write64(hostPhysical(ORACLE_EPT_PDPT), 0xb7n);
  memory.write64(hostPhysical(MSR_AREA), 0xc0000102n);
  const region = memory.bytes.subarray(VMCS_REGION, VMCS_REGION + 4096);
  const base = region.slice();
  const images = new Map<Scenario, Uint8Array>();

  /** Puts the VMCS of a scenario in place; guests may have used the region as a page table, so all of it. */
  const place = (image: Uint8Array): void => {
    vmx.vmclear(VMCS_REGION);
    region.set(image);
    vmx.vmptrld(VMCS_REGION);
  };
  const imageOf = (scenario: Scenario): Uint8Array => {
    const known = images.get(scenario);
    if (known !== undefined) return known;
    place(base);
    for (const [field, value] of scenario.fields) vmx.vmwrite(field, value);
    const image = region.slice();
    images.set(scenario, image);
    return image;
  };

  return (scenario, field, bit) => {
    place(imageOf(scenario));
    processor.state.efer = 0xd01;
    if (bit < 64) vmx.vmwrite(field, vmx.vmread(field) ^ (1n << BigInt(bit)));
    return { letter: outcome(machine), reason: vmx.describeEntryFailure() };
  };
}
