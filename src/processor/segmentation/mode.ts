/** Operating modes (SDM Vol. 3A, 2.2 Modes of Operation), as the processor state tells them. */

import { CR0, EFER } from '../../architecture/control-registers.js';
import { ACCESS_RIGHTS } from '../../architecture/descriptors.js';
import { SEGMENT } from '../../architecture/registers.js';
import { RFLAGS } from '../../architecture/rflags.js';
import { STATE } from '../state/layout.js';
import type { ProcessorState } from '../state/processor-state.js';

export const isProtectedMode = (state: ProcessorState): boolean => (state.cr0 & CR0.PE) !== 0;

/** IA-32e mode: 64-bit mode or compatibility mode. */
export const isLongMode = (state: ProcessorState): boolean => (state.efer & EFER.LMA) !== 0;

export const is64BitMode = (state: ProcessorState): boolean =>
  isLongMode(state) && (state.segment(SEGMENT.CS).accessRights & ACCESS_RIGHTS.LONG) !== 0;

export const isVirtual8086Mode = (state: ProcessorState): boolean =>
  isProtectedMode(state) && (state.read32(STATE.RFLAGS_OTHER) & RFLAGS.VM) !== 0;

/** Real-address mode and virtual-8086 mode form segment bases from selectors. */
export const hasRealModeSegments = (state: ProcessorState): boolean =>
  !isProtectedMode(state) || isVirtual8086Mode(state);

/** I/O privilege level of RFLAGS. */
export const ioPrivilegeLevel = (state: ProcessorState): number =>
  (state.read32(STATE.RFLAGS_OTHER) >> 12) & 3;
