/** Interrupt messages between I/O APIC, local APICs and message-signalled devices (SDM Vol. 3A, 11.6 and 11.11). */

export const DELIVERY_MODE = {
  FIXED: 0,
  LOWEST_PRIORITY: 1,
  SMI: 2,
  NMI: 4,
  INIT: 5,
  STARTUP: 6,
  EXTINT: 7,
} as const;

/** Destination shorthands of the interrupt command register. */
export const SHORTHAND = { NONE: 0, SELF: 1, ALL: 2, ALL_BUT_SELF: 3 } as const;

export interface InterruptMessage {
  readonly vector: number;
  /** One of `DELIVERY_MODE`. */
  readonly deliveryMode: number;
  /** APIC ID or logical destination: 8 bits from xAPIC and I/O APIC, 32 bits from x2APIC. */
  readonly destination: number;
  readonly logicalDestination: boolean;
  /** One of `SHORTHAND`; always NONE except from an interrupt command register. */
  readonly shorthand: number;
  readonly levelTriggered: boolean;
  /** Assert (true) or, for INIT level de-assert only, false. */
  readonly assert: boolean;
}
