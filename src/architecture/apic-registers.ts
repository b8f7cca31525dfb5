/** Names of the local APIC's registers. */

/** Local APIC registers by offset (SDM Vol. 3A, Table 10-1). */
export const APIC_REGISTER_NAMES: ReadonlyMap<number, string> = new Map([
  [0x20, 'ID'],
  [0x30, 'VERSION'],
  [0x80, 'TPR'],
  [0x90, 'APR'],
  [0xa0, 'PPR'],
  [0xb0, 'EOI'],
  [0xd0, 'LDR'],
  [0xe0, 'DFR'],
  [0xf0, 'SVR'],
  [0x280, 'ESR'],
  [0x300, 'ICR low'],
  [0x310, 'ICR high'],
  [0x320, 'LVT timer'],
  [0x330, 'LVT thermal'],
  [0x340, 'LVT performance'],
  [0x350, 'LVT LINT0'],
  [0x360, 'LVT LINT1'],
  [0x370, 'LVT error'],
  [0x380, 'timer initial count'],
  [0x390, 'timer current count'],
  [0x3e0, 'timer divide'],
]);
