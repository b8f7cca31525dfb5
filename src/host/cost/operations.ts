/** Every operation that host code can be charged for: its number (index into cost tables and ledgers) and name. */

const NAMES = [
  // processor
  'VM exit',
  'VM entry',
  'VMREAD',
  'VMWRITE',
  'posted-interrupt processing',
  'VMPTRLD',
  'VMCLEAR',
  'INVEPT',
  'INVVPID',
  'RDMSR',
  'WRMSR',
  'MOV from CR',
  'MOV to CR0',
  'MOV to CR2',
  'MOV to CR3',
  'CLTS',
  'FXSAVE',
  'FXRSTOR',
  'LTR',
  'LGDT',
  'LLDT',
  'SLDT',
  'read segment register',
  'load segment register',
  'SWAPGS',
  'RDTSC',
  'CPUID',
  'save guest GPRs',
  'load guest GPRs',
  'disable interrupts',
  'enable interrupts',
  'host #NM',
  'host interrupt entry',
  // shared memory
  'locked operation',
  'cache-line transfer (same socket)',
  'cache-line transfer (other socket)',
  'wait for a cache line',
  'wait for a lock',
  'send inter-processor interrupt',
  'inter-processor interrupt flight',
  'wait for another CPU',
  // host kernel and user space
  'system call entry',
  'system call exit',
  'context switch',
  'wake-up',
  'preemption toggle',
  'timer programming',
  'user-space device model',
  'user-space run loop',
  'ioctl path',
  'cold caches after user space',
  'mutex',
  'idle',
  'halt polling',
  'kernel thread work',
  'user code',
  'scheduler tick',
  'stopper work',
  'SRCU read lock',
  'SRCU read unlock',
  'RCU read section',
  // KVM code paths
  'exit dispatch',
  'exit fast path',
  'run-loop pass',
  'request check',
  'event injection check',
  'port exit handler',
  'fast port output handler',
  'kvm_run port fields',
  'MSR exit handler',
  'CR exit handler',
  'CPUID exit handler',
  'HLT exit handler',
  'exception exit handler',
  'interrupt exit handler',
  'EPT violation handler',
  'EPT misconfiguration handler',
  'APIC access handler',
  'other exit handler',
  'MSR list compare',
  'memslot look-up step',
  'memslot binary-search step',
  'memory alias step',
  'slot array copy',
  'device search step',
  'device binary-search step',
  'in-kernel device access',
  'local APIC register access',
  'cached guest word access',
  // instruction emulator
  'emulator set-up',
  'emulator page-walk step',
  'emulator fetch',
  'emulator decode',
  'emulator operand access',
  'emulator execute',
  'emulator write-back',
  'emulator decode-cache look-up',
  'emulator lean set-up',
  'emulator lean decode',
  'emulator lean write-back',
  'EPT table write',
  'EPT table read',
  // guest
  'guest code',
] as const;

export type OperationName = (typeof NAMES)[number];

export const OPERATION_NAMES: readonly OperationName[] = NAMES;

export type OperationNumber = number;

/** Number of an operation, for tables built at start-up: `const VMREAD = operation('VMREAD')`. */
export function operation(name: OperationName): OperationNumber {
  return NAMES.indexOf(name);
}

/** What code needs to be charged for its work: implemented by the physical CPU that runs it. */
export interface CostSink {
  charge(operation: OperationNumber, times?: number): void;
}
