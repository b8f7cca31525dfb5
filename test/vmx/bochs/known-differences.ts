/** Where Bochs 2.7 and our processor answer differently, and why. Everything else must agree. */

import { VMCS } from '../../../src/architecture/vmx/vmcs-fields.js';

export interface KnownDifference {
  readonly field: number;
  readonly bits: bigint;
  readonly bochs: string;
  readonly ours: string;
  readonly why: string;
  /** Only in these scenarios; all when left out. */
  readonly scenarios?: RegExp;
}

const bits = (low: number, high: number): bigint => (1n << BigInt(high + 1)) - (1n << BigInt(low));

export const KNOWN_DIFFERENCES: readonly KnownDifference[] = [
  {
    field: VMCS.GUEST_IA32_DEBUGCTL,
    bits: bits(2, 5) | bits(15, 63),
    bochs: '-',
    ours: 'G',
    why: 'Bochs does not check reserved bits of IA32_DEBUGCTL (26.3.1.1)',
  },
  {
    field: VMCS.GUEST_RIP,
    bits: bits(48, 63),
    bochs: '-',
    ours: 'G',
    why: 'Bochs does not check bits 63:48 of RIP for 64-bit guests (26.3.1.4)',
  },
  {
    field: VMCS.GUEST_PENDING_DEBUG_EXCEPTIONS,
    bits: bits(32, 63),
    bochs: '-',
    ours: 'G',
    why: 'Bochs looks at the low 32 bits only (26.3.1.5)',
  },
  {
    field: VMCS.GUEST_PENDING_DEBUG_EXCEPTIONS,
    bits: bits(14, 14),
    bochs: '-',
    ours: 'G',
    scenarios: /halted|blocking by STI/,
    why: 'Bochs does not check BS against RFLAGS.TF and IA32_DEBUGCTL.BTF (26.3.1.5)',
  },
  {
    field: VMCS.GUEST_IA32_DEBUGCTL,
    bits: bits(1, 1),
    bochs: '-',
    ours: 'G',
    scenarios: /halted/,
    why: 'the same rule: BTF changes what BS must be',
  },
  {
    field: VMCS.GUEST_RFLAGS,
    bits: bits(8, 8),
    bochs: '-',
    ours: 'G',
    scenarios: /halted|blocking by STI/,
    why: 'the same rule: TF changes what BS must be',
  },
  {
    field: VMCS.EPT_POINTER,
    bits: bits(6, 6),
    bochs: '-',
    ours: '7',
    scenarios: /EPT|unrestricted/,
    why: "Bochs's model has accessed and dirty flags for EPT",
  },
  {
    field: VMCS.GUEST_CS_SELECTOR,
    bits: bits(0, 1),
    bochs: 'G',
    ours: '-',
    scenarios: /unrestricted/,
    why: 'Bochs wants RPL = DPL of non-conforming CS, the manual only DPL of CS = DPL of SS (26.3.1.2)',
  },
  {
    field: VMCS.GUEST_SS_ACCESS_RIGHTS,
    bits: bits(5, 6),
    bochs: '-',
    ours: 'G',
    scenarios: /^unrestricted guest$/,
    why: 'the same rule: the manual compares the DPL of non-conforming CS with the DPL of SS',
  },
  {
    field: VMCS.GUEST_CR0,
    bits: bits(31, 31),
    bochs: '-',
    ours: 'G',
    scenarios: /^unrestricted guest$/,
    why: 'Bochs does not check that an IA-32e mode guest has CR0.PG = 1 (26.3.1.1)',
  },
  {
    field: VMCS.GUEST_INTERRUPTIBILITY_STATE,
    bits: bits(0, 0),
    bochs: 'G',
    ours: 'N',
    scenarios: /NMI/,
    why: 'Bochs does not report exit qualification 3 (26.8)',
  },
  {
    field: VMCS.GUEST_INTERRUPTIBILITY_STATE,
    bits: bits(3, 3),
    bochs: '-',
    ours: 'G',
    scenarios: /NMI/,
    why: 'Bochs does not check blocking by NMI when it injects an NMI under virtual NMIs (26.3.1.5)',
  },
  {
    field: VMCS.GUEST_ACTIVITY_STATE,
    bits: bits(0, 0),
    bochs: '-',
    ours: 'G',
    scenarios: /(page fault|software interrupt) injected/,
    why: 'Bochs does not check which events may be injected into the HLT state (26.3.1.5)',
  },
];
