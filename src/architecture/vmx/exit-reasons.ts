/** VMX basic exit reasons (SDM Vol. 3D, Appendix C). One list gives numbers and names. */

/**
 * Number, name as Linux prints it since 2.6.37 (`VMX_EXIT_REASONS`), and the word that 2.6.32 printed where it had one
 * (`vmx_exit_reasons_str`).
 */
const EXIT_REASONS = [
  [0, 'EXCEPTION_NMI', 'exception'],
  [1, 'EXTERNAL_INTERRUPT', 'ext_irq'],
  [2, 'TRIPLE_FAULT', 'triple_fault'],
  [3, 'INIT_SIGNAL', undefined],
  [4, 'SIPI_SIGNAL', undefined],
  [7, 'INTERRUPT_WINDOW', 'interrupt_window'],
  [8, 'NMI_WINDOW', 'nmi_window'],
  [9, 'TASK_SWITCH', 'task_switch'],
  [10, 'CPUID', 'cpuid'],
  [12, 'HLT', 'halt'],
  [13, 'INVD', undefined],
  [14, 'INVLPG', 'invlpg'],
  [15, 'RDPMC', undefined],
  [16, 'RDTSC', undefined],
  [18, 'VMCALL', 'hypercall'],
  [19, 'VMCLEAR', undefined],
  [20, 'VMLAUNCH', undefined],
  [21, 'VMPTRLD', undefined],
  [22, 'VMPTRST', undefined],
  [23, 'VMREAD', undefined],
  [24, 'VMRESUME', undefined],
  [25, 'VMWRITE', undefined],
  [26, 'VMOFF', undefined],
  [27, 'VMON', undefined],
  [28, 'CR_ACCESS', 'cr_access'],
  [29, 'DR_ACCESS', 'dr_access'],
  [30, 'IO_INSTRUCTION', 'io_instruction'],
  [31, 'MSR_READ', 'rdmsr'],
  [32, 'MSR_WRITE', 'wrmsr'],
  [33, 'INVALID_STATE', undefined],
  [34, 'MSR_LOAD_FAIL', undefined],
  [36, 'MWAIT_INSTRUCTION', undefined],
  [37, 'MONITOR_TRAP_FLAG', undefined],
  [39, 'MONITOR_INSTRUCTION', undefined],
  [40, 'PAUSE_INSTRUCTION', undefined],
  [41, 'MCE_DURING_VMENTRY', undefined],
  [43, 'TPR_BELOW_THRESHOLD', 'tpr_below_thres'],
  [44, 'APIC_ACCESS', 'apic_access'],
  [45, 'EOI_INDUCED', undefined],
  [46, 'GDTR_IDTR', undefined],
  [47, 'LDTR_TR', undefined],
  [48, 'EPT_VIOLATION', 'ept_violation'],
  [49, 'EPT_MISCONFIG', undefined],
  [50, 'INVEPT', undefined],
  [51, 'RDTSCP', undefined],
  [52, 'PREEMPTION_TIMER', undefined],
  [53, 'INVVPID', undefined],
  [54, 'WBINVD', 'wbinvd'],
  [55, 'XSETBV', undefined],
  [56, 'APIC_WRITE', undefined],
  [57, 'RDRAND', undefined],
  [58, 'INVPCID', undefined],
  [59, 'VMFUNC', undefined],
  [60, 'ENCLS', undefined],
  [61, 'RDSEED', undefined],
  [62, 'PML_FULL', undefined],
  [63, 'XSAVES', undefined],
  [64, 'XRSTORS', undefined],
  [67, 'UMWAIT', undefined],
  [68, 'TPAUSE', undefined],
  [74, 'BUS_LOCK', undefined],
  [75, 'NOTIFY', undefined],
] as const;

type ExitReasonRow = (typeof EXIT_REASONS)[number];
export type ExitReasonName = ExitReasonRow[1];
export type ExitReasonNumber = ExitReasonRow[0];

/** Numbers by name: `EXIT_REASON.CPUID` is 10. */
export const EXIT_REASON = Object.fromEntries(EXIT_REASONS.map(([number, name]) => [name, number])) as {
  readonly [Row in ExitReasonRow as Row[1]]: Row[0];
};

/** Every basic exit reason of the list, in numerical order. */
export const EXIT_REASON_NUMBERS: readonly ExitReasonNumber[] = EXIT_REASONS.map(([number]) => number);

/** Bit 31 of the exit-reason field: the VM entry failed (SDM Vol. 3C, 24.9.1 Basic VM-Exit Information). */
export const ENTRY_FAILURE = 0x80000000;

const ROWS: ReadonlyMap<number, ExitReasonRow> = new Map(EXIT_REASONS.map((row) => [row[0], row]));

/** Name of an exit-reason field's value, ` FAILED_VMENTRY` added for bit 31; the number when it is not in the list. */
export function exitReasonName(reason: number): string {
  const row = ROWS.get(reason & 0xffff);
  const name = row === undefined ? `${reason & 0xffff}` : row[1];
  return (reason & ENTRY_FAILURE) === 0 ? name : `${name} FAILED_VMENTRY`;
}

/** The name that Linux 2.6.32 printed; where it had none, the number, as its trace format did (in hex). */
export function exitReasonName2632(reason: number): string {
  return ROWS.get(reason & 0xffff)?.[2] ?? `0x${(reason & 0xffff).toString(16)}`;
}
