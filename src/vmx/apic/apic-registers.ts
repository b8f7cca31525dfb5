/** Which accesses to the APIC-access page the processor virtualizes, by offset (SDM Vol. 3C, 29.4.2 and 29.4.3). */

export const APIC_OFFSET = {
  TASK_PRIORITY: 0x080,
  PROCESSOR_PRIORITY: 0x0a0,
  EOI: 0x0b0,
  IN_SERVICE: 0x100,
  REQUEST: 0x200,
  INTERRUPT_COMMAND_LOW: 0x300,
  INTERRUPT_COMMAND_HIGH: 0x310,
  SELF_IPI: 0x3f0,
} as const;

const range = (first: number, last: number): number[] =>
  Array.from({ length: (last - first) / 16 + 1 }, (_, index) => first + index * 16);

/** Registers that can be read from the page under APIC-register virtualization (29.4.2). */
const READABLE: ReadonlySet<number> = new Set([
  0x020,
  0x030,
  0x080,
  0x0b0,
  0x0d0,
  0x0e0,
  0x0f0,
  ...range(0x100, 0x270),
  0x280,
  0x300,
  0x310,
  ...range(0x320, 0x370),
  0x380,
  0x3e0,
]);

/** Registers that can be written to it (29.4.3.1). */
const WRITABLE: ReadonlySet<number> = new Set([
  0x020,
  0x080,
  0x0b0,
  0x0d0,
  0x0e0,
  0x0f0,
  0x280,
  0x300,
  0x310,
  ...range(0x320, 0x370),
  0x380,
  0x3e0,
]);

/** Only the four bytes of a register are virtualized. */
const registerOf = (offset: number): number => ((offset & 0xf) < 4 ? offset & 0xff0 : -1);

export const isReadableThroughPage = (offset: number): boolean => READABLE.has(registerOf(offset));
export const isWritableThroughPage = (offset: number): boolean => WRITABLE.has(registerOf(offset));

/** A write of the interrupt-command register's low half that is self-IPI virtualized: fixed, edge, to itself (29.4.3.2). */
export const isSelfInterrupt = (command: number): boolean =>
  (command & 0xffffbf00) >>> 0 === 0x00040000 && (command & 0xf0) !== 0;
