/** What CPUID reports: a model of the talk's Nehalem-class i7, with the features that are implemented (SDM Vol. 2A, CPUID). */

import { LINEAR_ADDRESS_BITS } from '../../architecture/canonical-address.js';
import {
  CPUID_1_ECX,
  CPUID_1_EDX,
  CPUID_EXTENDED_ECX,
  CPUID_EXTENDED_EDX,
} from '../../architecture/cpuid-features.js';
import type { CpuidResult, CpuidSource, ProcessorCore } from '../core.js';

export interface CpuidModel {
  /** 12 characters. */
  readonly vendor: string;
  /** At most 47 characters. */
  readonly brand: string;
  readonly family: number;
  readonly model: number;
  readonly stepping: number;
  /** Initial APIC ID and x2APIC ID. */
  readonly apicId: number;
  /** MAXPHYADDR. */
  readonly physicalAddressBits: number;
  /** Bits of leaf 1 and leaf 0x80000001, as in `architecture/cpuid-features`. */
  readonly features: {
    readonly ecx: number;
    readonly edx: number;
    readonly extendedEcx: number;
    readonly extendedEdx: number;
  };
}

/** Widest physical address that paging knows. */
const PHYSICAL_ADDRESS_BITS = 40;

export const DEFAULT_CPUID_MODEL: CpuidModel = {
  vendor: 'GenuineIntel',
  brand: 'exitscope i7-class processor @ 2.60GHz',
  family: 6,
  model: 0x1a,
  stepping: 5,
  apicId: 0,
  physicalAddressBits: PHYSICAL_ADDRESS_BITS,
  features: {
    ecx:
      CPUID_1_ECX.VMX |
      CPUID_1_ECX.CMPXCHG16B |
      CPUID_1_ECX.X2APIC |
      CPUID_1_ECX.MOVBE |
      CPUID_1_ECX.POPCNT |
      CPUID_1_ECX.TSC_DEADLINE,
    edx:
      CPUID_1_EDX.FPU |
      CPUID_1_EDX.DE |
      CPUID_1_EDX.PSE |
      CPUID_1_EDX.TSC |
      CPUID_1_EDX.MSR |
      CPUID_1_EDX.PAE |
      CPUID_1_EDX.MCE |
      CPUID_1_EDX.CX8 |
      CPUID_1_EDX.APIC |
      CPUID_1_EDX.SEP |
      CPUID_1_EDX.MTRR |
      CPUID_1_EDX.PGE |
      CPUID_1_EDX.CMOV |
      CPUID_1_EDX.PAT |
      CPUID_1_EDX.CLFSH |
      CPUID_1_EDX.FXSR,
    extendedEcx: CPUID_EXTENDED_ECX.LAHF_LM | CPUID_EXTENDED_ECX.LZCNT | CPUID_EXTENDED_ECX.PREFETCHW,
    extendedEdx:
      CPUID_EXTENDED_EDX.SYSCALL |
      CPUID_EXTENDED_EDX.NX |
      CPUID_EXTENDED_EDX.PAGE_1GB |
      CPUID_EXTENDED_EDX.RDTSCP |
      CPUID_EXTENDED_EDX.LM,
  },
};

const HIGHEST_BASIC = 0xb;
const HIGHEST_EXTENDED = 0x80000008;
const CACHE_LINE = 64;
const NOTHING: CpuidResult = { eax: 0, ebx: 0, ecx: 0, edx: 0 };

const result = (eax: number, ebx: number, ecx: number, edx: number): CpuidResult => ({
  eax: eax >>> 0,
  ebx: ebx >>> 0,
  ecx: ecx >>> 0,
  edx: edx >>> 0,
});

/** Four characters as a little-endian doubleword; zero behind the end. */
function textDoubleword(text: string, offset: number): number {
  let value = 0;
  for (let byte = 3; byte >= 0; byte--) value = value * 256 + (text.charCodeAt(offset + byte) || 0);
  return value;
}

function brandLeaf(brand: string, offset: number): CpuidResult {
  const [eax, ebx, ecx, edx] = [0, 4, 8, 12].map((n) => textDoubleword(brand, offset + n));
  return result(eax!, ebx!, ecx!, edx!);
}

interface Cache {
  /** 1 data, 2 instruction, 3 unified. */
  readonly type: number;
  readonly level: number;
  readonly ways: number;
  readonly sizeInBytes: number;
}
/** Intel Core i7-900 data sheet: first-level 32 KiB each, second-level 256 KiB, last-level 8 MiB. */
const CACHES: readonly Cache[] = [
  { type: 1, level: 1, ways: 8, sizeInBytes: 0x8000 },
  { type: 2, level: 1, ways: 4, sizeInBytes: 0x8000 },
  { type: 3, level: 2, ways: 8, sizeInBytes: 0x40000 },
  { type: 3, level: 3, ways: 16, sizeInBytes: 0x800000 },
];

function cacheLeaf(subleaf: number): CpuidResult {
  const cache = CACHES[subleaf];
  if (cache === undefined) return NOTHING;
  const sets = cache.sizeInBytes / (cache.ways * CACHE_LINE);
  const selfInitializing = 1 << 8;
  return result(
    cache.type | (cache.level << 5) | selfInitializing,
    ((cache.ways - 1) << 22) | (CACHE_LINE - 1),
    sets - 1,
    0,
  );
}

/** One thread per core and one core per package. */
function topologyLeaf(subleaf: number, apicId: number): CpuidResult {
  if (subleaf > 1) return result(0, 0, subleaf & 0xff, apicId);
  return result(0, 1, ((subleaf + 1) << 8) | subleaf, apicId);
}

function basicLeaf(model: CpuidModel, leaf: number, subleaf: number): CpuidResult {
  switch (leaf) {
    case 0:
      return result(
        HIGHEST_BASIC,
        textDoubleword(model.vendor, 0),
        textDoubleword(model.vendor, 8),
        textDoubleword(model.vendor, 4),
      );
    case 1:
      return result(
        model.stepping | ((model.model & 0xf) << 4) | (model.family << 8) | ((model.model >> 4) << 16),
        ((CACHE_LINE / 8) << 8) | (1 << 16) | (model.apicId << 24),
        model.features.ecx,
        model.features.edx,
      );
    case 4:
      return cacheLeaf(subleaf);
    case 0xb:
      return topologyLeaf(subleaf, model.apicId);
    default:
      // 2: no cache descriptors, leaf 4 has them; 6, 7, 0xA: no such features and no performance counters.
      return leaf === 2 ? result(0xff01, 0, 0, 0) : NOTHING;
  }
}

function extendedLeaf(model: CpuidModel, leaf: number): CpuidResult {
  switch (leaf) {
    case 0x80000000:
      return result(HIGHEST_EXTENDED, 0, 0, 0);
    case 0x80000001:
      return result(0, 0, model.features.extendedEcx, model.features.extendedEdx);
    case 0x80000002:
    case 0x80000003:
    case 0x80000004:
      return brandLeaf(model.brand, (leaf - 0x80000002) * 16);
    case 0x80000006:
      // Second-level cache: 64-byte lines, 8 ways, 256 KiB.
      return result(0, 0, 0x01006040, 0);
    case 0x80000007:
      // Invariant time-stamp counter.
      return result(0, 0, 0, 1 << 8);
    case 0x80000008:
      return result(model.physicalAddressBits | (LINEAR_ADDRESS_BITS << 8), 0, 0, 0);
    default:
      return NOTHING;
  }
}

/** A leaf beyond the highest one of its range gives the data of the highest basic leaf, as on Intel processors. */
export function createCpuid(model: CpuidModel = DEFAULT_CPUID_MODEL): CpuidSource {
  return (leaf, subleaf) => {
    if (leaf <= HIGHEST_BASIC) return basicLeaf(model, leaf, subleaf);
    if (leaf >= 0x80000000 && leaf <= HIGHEST_EXTENDED) return extendedLeaf(model, leaf);
    return basicLeaf(model, HIGHEST_BASIC, subleaf);
  };
}

/** MAXPHYADDR; 36 when CPUID does not say (SDM Vol. 3A, 4.1.4). */
export function physicalAddressBits(core: ProcessorCore): number {
  return core.cpuid(0x80000008, 0).eax & 0xff || 36;
}
