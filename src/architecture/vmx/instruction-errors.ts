/** VM-instruction error numbers and their texts (SDM Vol. 3C, 30.4 VM Instruction Error Numbers). */

const INSTRUCTION_ERRORS = [
  [1, 'VMCALL_IN_ROOT_OPERATION', 'VMCALL executed in VMX root operation'],
  [2, 'VMCLEAR_INVALID_ADDRESS', 'VMCLEAR with invalid physical address'],
  [3, 'VMCLEAR_VMXON_POINTER', 'VMCLEAR with VMXON pointer'],
  [4, 'VMLAUNCH_NON_CLEAR_VMCS', 'VMLAUNCH with non-clear VMCS'],
  [5, 'VMRESUME_NON_LAUNCHED_VMCS', 'VMRESUME with non-launched VMCS'],
  [6, 'VMRESUME_AFTER_VMXOFF', 'VMRESUME after VMXOFF (VMXOFF and VMXON between VMLAUNCH and VMRESUME)'],
  [7, 'ENTRY_INVALID_CONTROL_FIELDS', 'VM entry with invalid control field(s)'],
  [8, 'ENTRY_INVALID_HOST_STATE_FIELDS', 'VM entry with invalid host-state field(s)'],
  [9, 'VMPTRLD_INVALID_ADDRESS', 'VMPTRLD with invalid physical address'],
  [10, 'VMPTRLD_VMXON_POINTER', 'VMPTRLD with VMXON pointer'],
  [11, 'VMPTRLD_INCORRECT_REVISION_IDENTIFIER', 'VMPTRLD with incorrect VMCS revision identifier'],
  [12, 'UNSUPPORTED_VMCS_COMPONENT', 'VMREAD/VMWRITE from/to unsupported VMCS component'],
  [13, 'VMWRITE_READ_ONLY_VMCS_COMPONENT', 'VMWRITE to read-only VMCS component'],
  [15, 'VMXON_IN_ROOT_OPERATION', 'VMXON executed in VMX root operation'],
  [16, 'ENTRY_INVALID_EXECUTIVE_VMCS_POINTER', 'VM entry with invalid executive-VMCS pointer'],
  [17, 'ENTRY_NON_LAUNCHED_EXECUTIVE_VMCS', 'VM entry with non-launched executive VMCS'],
  [
    18,
    'ENTRY_EXECUTIVE_VMCS_POINTER_NOT_VMXON_POINTER',
    'VM entry with executive-VMCS pointer not VMXON pointer (when attempting to deactivate the dual-monitor treatment of SMIs and SMM)',
  ],
  [
    19,
    'VMCALL_NON_CLEAR_VMCS',
    'VMCALL with non-clear VMCS (when attempting to activate the dual-monitor treatment of SMIs and SMM)',
  ],
  [20, 'VMCALL_INVALID_EXIT_CONTROL_FIELDS', 'VMCALL with invalid VM-exit control fields'],
  [
    22,
    'VMCALL_INCORRECT_MSEG_REVISION_IDENTIFIER',
    'VMCALL with incorrect MSEG revision identifier (when attempting to activate the dual-monitor treatment of SMIs and SMM)',
  ],
  [23, 'VMXOFF_UNDER_DUAL_MONITOR', 'VMXOFF under dual-monitor treatment of SMIs and SMM'],
  [
    24,
    'VMCALL_INVALID_SMM_MONITOR_FEATURES',
    'VMCALL with invalid SMM-monitor features (when attempting to activate the dual-monitor treatment of SMIs and SMM)',
  ],
  [
    25,
    'ENTRY_INVALID_EXECUTION_CONTROLS_IN_EXECUTIVE_VMCS',
    'VM entry with invalid VM-execution control fields in executive VMCS (when attempting to return from SMM)',
  ],
  [26, 'ENTRY_EVENTS_BLOCKED_BY_MOV_SS', 'VM entry with events blocked by MOV SS'],
  [28, 'INVALID_OPERAND_TO_INVEPT_INVVPID', 'Invalid operand to INVEPT/INVVPID'],
] as const;

type InstructionErrorRow = (typeof INSTRUCTION_ERRORS)[number];

/** Numbers by name. */
export const INSTRUCTION_ERROR = Object.fromEntries(
  INSTRUCTION_ERRORS.map(([number, name]) => [name, number]),
) as { readonly [Row in InstructionErrorRow as Row[1]]: Row[0] };

/** The manual's description of a VM-instruction error number. */
export function instructionErrorText(error: number): string {
  return INSTRUCTION_ERRORS.find(([number]) => number === error)?.[2] ?? `VM-instruction error ${error}`;
}
