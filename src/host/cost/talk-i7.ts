/** The machine of the talk: "i7 2.6 GHz", taken as Nehalem. Costs by operation, each with its unit and source. */

import { CALIBRATED, type CalibratedOperation, type CostTable, calibrate } from './calibration.js';
import type { CostEntry, CostModel, Provenance } from './cost-model.js';
import type { OperationName } from './operations.js';
import { PUBLISHED } from './published-figures.js';

type Row = readonly [cycles: number, unit: string, provenance: Provenance, source: string];

/** Cache latencies of an X5570 in cycles (Molka et al., PACT'09), and a run loop's footprint, for one estimate below. */
const FIRST_LEVEL_LATENCY = 4;
const SECOND_LEVEL_LATENCY = 10;
const DATA_LINES = 64;
const CODE_LINES_NOT_PREFETCHED = 80;

const PRIORS: { readonly [Name in OperationName]?: Row } = {
  VMREAD: [30, 'each', 'derived', 'within 25–40 left by commit 1c11e713576e for VMWRITE and MOV from CR0'],
  VMWRITE: [30, 'each', 'derived', 'within 25–40 left by commit 1c11e713576e'],
  'posted-interrupt processing': [
    100,
    'per notification',
    'assumed',
    'interrupt acknowledged, ten memory accesses with one locked among them; part of guest time',
  ],
  VMPTRLD: [150, 'each', 'assumed', 'a read of the VMCS region, about three VMREADs and misses'],
  VMCLEAR: [150, 'each', 'assumed', 'a write-back of the VMCS region'],
  INVEPT: [200, 'each', 'assumed', 'serializing; flushes the combined mappings'],
  INVVPID: [200, 'each', 'assumed', 'as INVEPT'],
  'MOV to CR0': [75, 'each', 'recalled', 'middle of 60–90, serializing'],
  'MOV to CR3': [75, 'each', 'recalled', 'as MOV to CR0, without the misses that follow'],
  CLTS: [75, 'each', 'recalled', 'middle of 60–90'],
  FXSAVE: [100, 'each', 'recalled', 'instruction tables give 90–140; commit 7807fa6ca5af'],
  FXRSTOR: [110, 'each', 'recalled', 'instruction tables give 90–140'],
  LTR: [100, 'each', 'recalled', 'middle of 80–120'],
  LGDT: [50, 'each', 'recalled', 'middle of 40–60'],
  LLDT: [20, 'each', 'recalled', 'null selector'],
  SLDT: [10, 'each', 'recalled', 'instruction tables'],
  'read segment register': [3, 'each', 'assumed', 'a register move of one micro-operation'],
  'load segment register': [35, 'each', 'recalled', 'commit b2da15ac26a0: DS and ES together about 70'],
  SWAPGS: [25, 'each', 'recalled', 'middle of 20–30'],
  RDTSC: [24, 'each', 'recalled', 'instruction tables'],
  CPUID: [150, 'each', 'recalled', 'middle of 100–200'],
  'save guest GPRs': [15, 'per exit', 'assumed', '15 stores, one per cycle'],
  'load guest GPRs': [15, 'per entry', 'assumed', '15 loads, one per cycle'],
  'disable interrupts': [10, 'each', 'assumed', 'CLI'],
  'enable interrupts': [10, 'each', 'assumed', 'STI'],
  'host #NM': [175, 'each', 'recalled', 'exception entry and return, middle of 150–200'],
  'host interrupt entry': [275, 'each', 'recalled', 'ring-changing interrupt and IRET, middle of 200–350'],
  'system call entry': [60, 'each', 'recalled', 'SYSCALL and SYSRET together 90–150'],
  'system call exit': [60, 'each', 'recalled', 'SYSCALL and SYSRET together 90–150'],
  'context switch': [3380, 'each', 'recalled', '1.3 µs, threads pinned to one X5550 core (Sigoure, 2010)'],
  'wake-up': [600, 'each', 'assumed', 'run-queue lock, enqueue, preemption check'],
  'preemption toggle': [3, 'each', 'assumed', 'an increment or decrement of a hot line, a predicted branch'],
  'send inter-processor interrupt': [200, 'each', 'assumed', 'an uncached write to the local APIC'],
  'inter-processor interrupt flight': [
    1300,
    'each',
    'assumed',
    'half a microsecond: 1–3 µs from sending to the handler is recalled, and entry and wake-up are charged apart',
  ],
  'scheduler tick': [500, 'each', 'assumed', 'accounting, timer wheel, RCU bookkeeping'],
  'stopper work': [200, 'per CPU', 'assumed', 'queue lock, completion'],
  'SRCU read lock': [8, 'each', 'derived', 'two preemption toggles and a hit in the first-level cache'],
  'SRCU read unlock': [8, 'each', 'derived', 'as SRCU read lock'],
  'RCU read section': [6, 'lock and unlock', 'derived', 'two preemption toggles'],
  'timer programming': [400, 'each', 'assumed', 'timer tree insertion and a local-APIC write'],
  'cold caches after user space': [
    (DATA_LINES + CODE_LINES_NOT_PREFETCHED) * (SECOND_LEVEL_LATENCY - FIRST_LEVEL_LATENCY),
    'per KVM_RUN',
    'derived',
    '64 data lines and 80 code lines (half of 10 KiB prefetched) from L2 instead of L1, 6 cycles more each (Molka et al.)',
  ],
  'exit dispatch': [20, 'per exit', 'assumed', 'checks and one indirect call'],
  'exit fast path': [20, 'per exit', 'assumed', 'reason and MSR compared, EDX:EAX joined'],
  'request check': [10, 'per entry', 'assumed', 'one word tested'],
  'event injection check': [50, 'per entry', 'assumed', 'IRR and ISR scanned, eight words each'],
  'port exit handler': [100, 'per exit', 'assumed', 'qualification decoded, kvm_run filled in'],
  'fast port output handler': [
    60,
    'per exit',
    'assumed',
    'the port exit handler without the fields of kvm_run',
  ],
  'kvm_run port fields': [40, 'per access', 'assumed', 'seven stores to the shared page, the data copied'],
  'MSR exit handler': [60, 'per exit', 'assumed', 'registers gathered, one switch'],
  'CR exit handler': [60, 'per exit', 'assumed', 'qualification decoded, one switch'],
  'CPUID exit handler': [100, 'per exit', 'assumed', 'linear search of about 20 entries'],
  'HLT exit handler': [50, 'per exit', 'assumed', 'state change'],
  'exception exit handler': [60, 'per exit', 'assumed', 'vector tested against special cases'],
  'interrupt exit handler': [20, 'per exit', 'assumed', 'a counter'],
  'EPT violation handler': [800, 'per exit', 'assumed', 'user page pinned, mmu_lock, reverse mapping'],
  'EPT misconfiguration handler': [60, 'per exit', 'assumed', 'as the MSR handler'],
  'APIC access handler': [60, 'per exit', 'assumed', 'as the MSR handler'],
  'other exit handler': [60, 'per exit', 'assumed', 'as the MSR handler'],
  'MSR list compare': [3, 'per MSR', 'assumed', 'load, compare, branch'],
  'memslot look-up step': [4, 'per slot', 'assumed', 'two compares on data in the first-level cache'],
  'memslot binary-search step': [
    13,
    'per step',
    'assumed',
    'load 4, compare 1, every second direction mispredicted at about 17',
  ],
  'memory alias step': [4, 'per alias', 'assumed', 'as memslot look-up step'],
  'slot array copy': [
    600,
    'each',
    'assumed',
    '36 slots of 104 bytes copied, 8 bytes a cycle, and their memory',
  ],
  'device search step': [3, 'per device', 'assumed', 'predicted indirect call, range check'],
  'device binary-search step': [
    15,
    'per step',
    'assumed',
    'load 4, call of the comparison 3, every second direction mispredicted at about 17',
  ],
  'in-kernel device access': [60, 'each', 'assumed', 'a lock and a register switch'],
  'local APIC register access': [60, 'each', 'assumed', 'a register switch, bitmap scan'],
  'cached guest word access': [
    20,
    'each',
    'assumed',
    'slot generation compared, access allowed and ended, a word read and written in the first-level cache',
  ],
  'emulator page-walk step': [60, 'per level', 'assumed', 'guest entry copied through the user mapping'],
  'emulator fetch': [80, 'per fetch', 'assumed', 'up to 15 bytes copied through the user mapping'],
  'emulator operand access': [60, 'each', 'assumed', 'copy through the user mapping or MMIO dispatch'],
  'emulator execute': [30, 'per instruction', 'assumed', 'one switch, flags'],
  'emulator write-back': [40, 'per instruction', 'assumed', '16 registers copied'],
  'emulator decode-cache look-up': [
    25,
    'per instruction',
    'assumed',
    'a hash, two 8-byte compares, one miss in L1',
  ],
  'emulator lean set-up': [
    60,
    'per instruction',
    'assumed',
    'about 40 fields set at one a cycle, one mispredicted branch on the mode',
  ],
  'emulator lean decode': [
    120,
    'per instruction',
    'assumed',
    'about 60 instructions at one a cycle; prefixes, opcode, ModRM and operands mispredict about every second branch',
  ],
  'emulator lean write-back': [15, 'per instruction', 'assumed', 'the registers written, flags compared'],
  'EPT table read': [5, 'per level', 'assumed', 'a load that depends on the one before, and its index'],
  'EPT table write': [60, 'per entry', 'assumed', 'store, accounting'],
};

const CALIBRATED_SOURCES: Readonly<Record<CalibratedOperation, readonly [unit: string, source: string]>> = {
  'VM exit': ['each', `${PUBLISHED.hardwareRoundTrip.source}; split by ${PUBLISHED.exitToEntryRatio.source}`],
  'VM entry': [
    'each',
    `${PUBLISHED.hardwareRoundTrip.source}; split by ${PUBLISHED.exitToEntryRatio.source}`,
  ],
  'MOV from CR': ['each', `${PUBLISHED.hostCr0Update.source}, less VMWRITE`],
  'MOV to CR2': ['each', PUBLISHED.cr2Write.source],
  'locked operation': ['each', PUBLISHED.sameCpuCompareAndSwap.source],
  mutex: ['per acquire or release', PUBLISHED.sameCpuLock.source],
  'cache-line transfer (same socket)': [
    'per line',
    `${PUBLISHED.sameSocketTransfer.source}, less the same-CPU one`,
  ],
  'cache-line transfer (other socket)': [
    'per line',
    `${PUBLISHED.otherSocketTransfer.source}, less the same-CPU one`,
  ],
  RDMSR: ['each', `${PUBLISHED.sharedMsrSaving.source}, and stages 4 and 6 of the talk's PIO timeline`],
  WRMSR: ['each', `${PUBLISHED.sharedMsrSaving.source}, and stages 4 and 6 of the talk's PIO timeline`],
  'ioctl path': ['per way', 'what stages 4 and 6 of the talk leave, the same on both ways'],
  'run-loop pass': ['per entry', `what is left of: ${PUBLISHED.x2apicEndOfInterrupt.source}`],
  'user-space run loop': ['per exit', `half of what is left of: ${PUBLISHED.userSpace.source}`],
  'user-space device model': ['per access', `half of what is left of: ${PUBLISHED.userSpace.source}`],
  'emulator set-up': ['per instruction', `half of what is left of: ${PUBLISHED.xapicEndOfInterrupt.source}`],
  'emulator decode': ['per instruction', `half of what is left of: ${PUBLISHED.xapicEndOfInterrupt.source}`],
};

function entries(): { [Name in OperationName]?: CostEntry } {
  const result: { [Name in OperationName]?: CostEntry } = {};
  const priors: { [Name in OperationName]?: number } = {};
  for (const [name, [cycles, unit, provenance, source]] of Object.entries(PRIORS) as [OperationName, Row][]) {
    result[name] = { cycles, unit, provenance, source };
    priors[name] = cycles;
  }
  const calibrated = calibrate(priors as CostTable);
  for (const name of CALIBRATED) {
    const [unit, source] = CALIBRATED_SOURCES[name];
    result[name] = { cycles: calibrated[name], unit, provenance: 'derived', source };
  }
  return result;
}

export const TALK_I7: CostModel = {
  name: 'talk-i7',
  description: "The talk's i7 at 2.6 GHz, Nehalem class",
  clockInHertz: 2_600_000_000,
  entries: entries(),
};
