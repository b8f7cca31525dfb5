/** The interrupt command register (SDM Vol. 3A, 11.6.1 Interrupt Command Register, Figure 11-12). */

import { DELIVERY_MODE, type InterruptMessage, SHORTHAND } from './interrupt-message.js';

/** Bits of the low half that software can write. */
export const ICR_WRITABLE = 0xccfff;

const LOGICAL = 1 << 11;
const ASSERT = 1 << 14;
const LEVEL = 1 << 15;
const SHORTHAND_SHIFT = 18;

/**
 * @param low the low half
 * @param destination 8 bits from the high half in xAPIC mode, all of it in x2APIC mode
 */
export function decodeInterruptCommand(low: number, destination: number): InterruptMessage {
  const deliveryMode = (low >> 8) & 7;
  return {
    vector: low & 0xff,
    deliveryMode,
    destination,
    logicalDestination: (low & LOGICAL) !== 0,
    shorthand: (low >> SHORTHAND_SHIFT) & 3,
    // The trigger mode matters for INIT level de-assert only; other IPIs are edges.
    levelTriggered: deliveryMode === DELIVERY_MODE.INIT && (low & LEVEL) !== 0,
    assert: (low & ASSERT) !== 0,
  };
}

/** What a write of the x2APIC self IPI register stands for (11.12.11 SELF IPI Register). */
export const selfInterruptCommand = (vector: number): number =>
  vector | (SHORTHAND.SELF << SHORTHAND_SHIFT) | ASSERT;

/** True where the vector is an interrupt vector that has to be legal. */
export const carriesVector = ({ deliveryMode }: InterruptMessage): boolean =>
  deliveryMode === DELIVERY_MODE.FIXED || deliveryMode === DELIVERY_MODE.LOWEST_PRIORITY;
