/** Who may use a port (SDM Vol. 1, 18.5 Protected-Mode I/O). */

import { SYSTEM_TYPE } from '../../architecture/descriptors.js';
import { SEGMENT } from '../../architecture/registers.js';
import { TSS64 } from '../../architecture/task-state-segment.js';
import type { ProcessorCore } from '../core.js';
import { raiseGeneralProtection } from '../events/faults.js';
import { ioPrivilegeLevel, isProtectedMode, isVirtual8086Mode } from '../segmentation/mode.js';

function isPermittedByBitmap(core: ProcessorCore, port: number, size: number): boolean {
  const task = core.state.segment(SEGMENT.TR);
  const isWide = (task.accessRights & 15 & ~2) === SYSTEM_TYPE.TSS_AVAILABLE;
  if (task.unusable || !isWide || task.limit < TSS64.IO_MAP_BASE + 1) return false;
  const map = Number(core.linear.read(task.base + BigInt(TSS64.IO_MAP_BASE), 2, 'system'));
  const offset = map + (port >> 3);
  // The processor always reads two bytes, so the map ends with a byte beyond the last port.
  if (offset + 1 > task.limit) return false;
  const bits = Number(core.linear.read(BigInt.asUintN(64, task.base + BigInt(offset)), 2, 'system'));
  return ((bits >> (port & 7)) & ((1 << size) - 1)) === 0;
}

/** #GP(0) when CPL > IOPL (or in virtual-8086 mode) and the I/O permission bitmap does not allow all bytes. */
export function requirePortPermission(core: ProcessorCore, port: number, size: number): void {
  const { state } = core;
  if (!isProtectedMode(state)) return;
  if (!isVirtual8086Mode(state) && state.cpl <= ioPrivilegeLevel(state)) return;
  if (!isPermittedByBitmap(core, port, size)) raiseGeneralProtection();
}
