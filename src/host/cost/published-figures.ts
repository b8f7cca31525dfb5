/**
 * Published figures that the cost model of the talk's machine is calibrated on: these and no others. Figures that
 * predictions are compared with are not here, and nothing in this folder may use them.
 */

export interface PublishedFigure {
  readonly cycles: number;
  readonly source: string;
}

const figure = (cycles: number, source: string): PublishedFigure => ({ cycles, source });

export const PUBLISHED = {
  /** VM exit and VM entry together, without software. */
  hardwareRoundTrip: figure(
    1009,
    "Agesen et al., USENIX ATC'12, Table 1: hardware round trip, Nehalem (3Q09)",
  ),
  /** Share of the exit in it, by the talk's 400 to 800. */
  exitToEntryRatio: { exit: 400, entry: 800, source: 'talk, PIO timeline: first and last stage' },
  hostStateRestored: figure(2000, 'talk, PIO timeline: host state restored (MSRs, FPU)'),
  guestStateReloaded: figure(1800, 'talk, PIO timeline: guest state reloaded'),
  userSpace: figure(2900, 'talk, PIO timeline: 3,800 to 6,700 (the printed step says 3,000)'),
  /** 4 RDMSR and 10 WRMSR: what shared MSRs save on guest → idle → guest. */
  sharedMsrSaving: {
    ...figure(2000, 'commit 26bb0981b3ff "KVM: VMX: Use shared msr infrastructure"'),
    readMsrs: 4,
    writeMsrs: 10,
  },
  /** MOV from CR0 and VMWRITE HOST_CR0. */
  hostCr0Update: figure(50, 'commit 1c11e713576e: what not rewriting HOST_CR0 at each entry saves'),
  cr2Write: figure(70, 'commit d3edefc00356: what not writing an unchanged CR2 saves'),
  x2apicEndOfInterrupt: figure(2366, 'talk: x2APIC EOI'),
  xapicEndOfInterrupt: figure(4677, 'talk: xAPIC EOI'),
  sameCpuCompareAndSwap: figure(33.8, 'perfbook, Table E.1 (Xeon X5550): same-CPU compare-and-swap'),
  sameCpuLock: figure(71.2, 'perfbook, Table E.1: same-CPU lock, acquire and release'),
  sameSocketTransfer: figure(86.6, 'perfbook, Table E.1: off-core compare-and-swap, same socket'),
  otherSocketTransfer: figure(266, 'perfbook, Table E.1: off-socket compare-and-swap'),
} as const;
