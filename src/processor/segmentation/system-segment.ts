/** Loading LDTR and TR (SDM Vol. 2A, LLDT and LTR; 16-byte descriptors in IA-32e mode: Vol. 3A, 7.2.3). */

import { isCanonical } from '../../architecture/canonical-address.js';
import {
  type Descriptor,
  isPresent,
  parseDescriptor,
  SELECTOR,
  SYSTEM_TYPE,
  systemTypeOf,
} from '../../architecture/descriptors.js';
import { SEGMENT } from '../../architecture/registers.js';
import type { LinearAddress } from '../../memory/addresses.js';
import type { ProcessorCore } from '../core.js';
import { raiseGeneralProtection, raiseNotPresent } from '../events/faults.js';
import { descriptorAddress, isNullSelector, selectorErrorCode } from './descriptor-table.js';
import { is64BitMode, isLongMode } from './mode.js';
import { setNullSegment, setSegment } from './segment-register.js';

interface SystemDescriptor {
  readonly descriptor: Descriptor;
  readonly address: LinearAddress;
}

/** A descriptor out of the GDT with one of the given types; 16 bytes long in 64-bit mode. */
function readSystemDescriptor(
  core: ProcessorCore,
  selector: number,
  types: readonly number[],
): SystemDescriptor {
  const errorCode = selectorErrorCode(selector);
  const wide = is64BitMode(core.state);
  if ((selector & SELECTOR.LOCAL) !== 0) raiseGeneralProtection(errorCode);
  const address = descriptorAddress(core, selector, wide ? 16 : 8);
  if (address === undefined) raiseGeneralProtection(errorCode);
  const descriptor = parseDescriptor(core.linear.read(address, 8, 'system'));
  const upper = wide ? core.linear.read(address + 8n, 8, 'system') : 0n;
  if (!types.includes(systemTypeOf(descriptor.accessRights))) raiseGeneralProtection(errorCode);
  if (((upper >> 40n) & 0x1fn) !== 0n) raiseGeneralProtection(errorCode);
  const base = descriptor.base | ((upper & 0xffffffffn) << 32n);
  if (!isCanonical(base)) raiseGeneralProtection(errorCode);
  if (!isPresent(descriptor.accessRights)) raiseNotPresent(errorCode);
  return { descriptor: { ...descriptor, base }, address };
}

export function loadLocalDescriptorTable(core: ProcessorCore, selector: number): void {
  if (isNullSelector(selector)) {
    setNullSegment(core, SEGMENT.LDTR, selector);
    return;
  }
  const { descriptor } = readSystemDescriptor(core, selector, [SYSTEM_TYPE.LDT]);
  setSegment(core, SEGMENT.LDTR, selector, descriptor);
}

/** Loads TR and marks the TSS busy. */
export function loadTaskRegister(core: ProcessorCore, selector: number): void {
  if (isNullSelector(selector)) raiseGeneralProtection();
  const types = isLongMode(core.state)
    ? [SYSTEM_TYPE.TSS_AVAILABLE]
    : [SYSTEM_TYPE.TSS_AVAILABLE, SYSTEM_TYPE.TSS16_AVAILABLE];
  const { descriptor, address } = readSystemDescriptor(core, selector, types);
  const accessRights = descriptor.accessRights | 2;
  core.linear.write(address + 5n, 1, BigInt(accessRights & 0xff), 'system');
  setSegment(core, SEGMENT.TR, selector, { ...descriptor, accessRights });
}
