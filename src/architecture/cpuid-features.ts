/** Feature bits of CPUID (SDM Vol. 2A, CPUID—CPU Identification, Tables 3-8 to 3-11). */

export const CPUID_1_ECX = {
  SSE3: 1 << 0,
  PCLMULQDQ: 1 << 1,
  MONITOR: 1 << 3,
  VMX: 1 << 5,
  SSSE3: 1 << 9,
  CMPXCHG16B: 1 << 13,
  PCID: 1 << 17,
  SSE4_1: 1 << 19,
  SSE4_2: 1 << 20,
  X2APIC: 1 << 21,
  MOVBE: 1 << 22,
  POPCNT: 1 << 23,
  TSC_DEADLINE: 1 << 24,
  AES: 1 << 25,
  XSAVE: 1 << 26,
  OSXSAVE: 1 << 27,
  AVX: 1 << 28,
  RDRAND: 1 << 30,
  HYPERVISOR: 0x80000000,
} as const;

export const CPUID_1_EDX = {
  FPU: 1 << 0,
  VME: 1 << 1,
  DE: 1 << 2,
  PSE: 1 << 3,
  TSC: 1 << 4,
  MSR: 1 << 5,
  PAE: 1 << 6,
  MCE: 1 << 7,
  CX8: 1 << 8,
  APIC: 1 << 9,
  SEP: 1 << 11,
  MTRR: 1 << 12,
  PGE: 1 << 13,
  MCA: 1 << 14,
  CMOV: 1 << 15,
  PAT: 1 << 16,
  PSE36: 1 << 17,
  CLFSH: 1 << 19,
  MMX: 1 << 23,
  FXSR: 1 << 24,
  SSE: 1 << 25,
  SSE2: 1 << 26,
  SELF_SNOOP: 1 << 27,
} as const;

export const CPUID_7_EBX = {
  FSGSBASE: 1 << 0,
  BMI1: 1 << 3,
  SMEP: 1 << 7,
  INVPCID: 1 << 10,
  RDSEED: 1 << 18,
  SMAP: 1 << 20,
  CLFLUSHOPT: 1 << 23,
  CLWB: 1 << 24,
} as const;

/** Leaf 0x80000001. */
export const CPUID_EXTENDED_ECX = { LAHF_LM: 1 << 0, LZCNT: 1 << 5, PREFETCHW: 1 << 8 } as const;

export const CPUID_EXTENDED_EDX = {
  SYSCALL: 1 << 11,
  NX: 1 << 20,
  PAGE_1GB: 1 << 26,
  RDTSCP: 1 << 27,
  LM: 1 << 29,
} as const;
