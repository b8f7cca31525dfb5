/** Registers of the local APIC by xAPIC offset (SDM Vol. 3A, Table 11-1 Local APIC Register Address Map). */

export const APIC_REGISTER = {
  ID: 0x020,
  VERSION: 0x030,
  TASK_PRIORITY: 0x080,
  ARBITRATION_PRIORITY: 0x090,
  PROCESSOR_PRIORITY: 0x0a0,
  EOI: 0x0b0,
  REMOTE_READ: 0x0c0,
  LOGICAL_DESTINATION: 0x0d0,
  DESTINATION_FORMAT: 0x0e0,
  SPURIOUS_VECTOR: 0x0f0,
  IN_SERVICE: 0x100, // eight registers, 0x10 apart
  TRIGGER_MODE: 0x180,
  REQUEST: 0x200,
  ERROR_STATUS: 0x280,
  INTERRUPT_COMMAND_LOW: 0x300,
  INTERRUPT_COMMAND_HIGH: 0x310,
  LVT_TIMER: 0x320,
  LVT_THERMAL: 0x330,
  LVT_PERFORMANCE: 0x340,
  LVT_LINT0: 0x350,
  LVT_LINT1: 0x360,
  LVT_ERROR: 0x370,
  INITIAL_COUNT: 0x380,
  CURRENT_COUNT: 0x390,
  DIVIDE_CONFIGURATION: 0x3e0,
  /** x2APIC only. */
  SELF_IPI: 0x3f0,
} as const;

/** Spurious-interrupt vector register (11.9). */
export const SPURIOUS = {
  SOFTWARE_ENABLE: 1 << 8,
  FOCUS_DISABLED: 1 << 9,
  SUPPRESS_EOI_BROADCAST: 1 << 12,
} as const;

/** Local vector table entries (11.5.1). */
export const LVT = {
  VECTOR: 0xff,
  DELIVERY_STATUS: 1 << 12,
  REMOTE_IRR: 1 << 14,
  LEVEL: 1 << 15,
  MASK: 1 << 16,
} as const;

/** Error status register (11.5.3 Error Handling). */
export const APIC_ERROR = {
  SEND_ILLEGAL_VECTOR: 1 << 5,
  RECEIVED_ILLEGAL_VECTOR: 1 << 6,
  ILLEGAL_REGISTER: 1 << 7,
} as const;

/** Bits of each LVT entry that software can write (11.5.1, Figure 11-8). */
export const LVT_WRITABLE: ReadonlyMap<number, number> = new Map([
  [APIC_REGISTER.LVT_TIMER, 0x700ff],
  [APIC_REGISTER.LVT_THERMAL, 0x107ff],
  [APIC_REGISTER.LVT_PERFORMANCE, 0x107ff],
  [APIC_REGISTER.LVT_LINT0, 0x1a7ff],
  [APIC_REGISTER.LVT_LINT1, 0x1a7ff],
  [APIC_REGISTER.LVT_ERROR, 0x100ff],
]);
