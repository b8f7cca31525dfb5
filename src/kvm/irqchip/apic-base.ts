/** IA32_APIC_BASE: which values are legal, and the mode they stand for (SDM Vol. 3A, 11.4.4 and 11.12.5). */

import type { LocalApicMode } from '../../devices/local-apic-options.js';

export const APIC_BASE = { BSP: 1n << 8n, EXTENDED: 1n << 10n, ENABLE: 1n << 11n } as const;

export const DEFAULT_APIC_ADDRESS = 0xfee00000;

/** Bits 7:0 and 9, and what lies above a 40-bit physical address. */
const RESERVED = 0xffff_ff00_0000_02ffn;
const ADDRESS = 0xff_ffff_f000n;

export const apicAddressOf = (base: bigint): number => Number(base & ADDRESS);

/** Undefined for EXTD without EN. */
export function apicModeOf(base: bigint): LocalApicMode | undefined {
  const enabled = (base & APIC_BASE.ENABLE) !== 0n;
  if (base & APIC_BASE.EXTENDED) return enabled ? 'x2APIC' : undefined;
  return enabled ? 'xAPIC' : 'disabled';
}

/** False for a value that raises #GP: reserved bits, or a transition that Figure 11-27 does not have. */
export function isLegalApicBase(from: LocalApicMode, base: bigint): boolean {
  const to = apicModeOf(base);
  if (base & RESERVED || to === undefined) return false;
  if (from === 'x2APIC') return to !== 'xAPIC';
  return from !== 'disabled' || to !== 'x2APIC';
}
