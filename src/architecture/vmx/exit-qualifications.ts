/** Exit qualifications: encoded by VM exits, decoded and put into words for traces (SDM Vol. 3C, 27.2.1). */

import { APIC_REGISTER_NAMES } from '../apic-registers.js';
import { REGISTER_NAMES } from '../registers.js';

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

/** I/O instructions (Table 27-5). */
export interface IoQualification {
  readonly port: number;
  /** 1, 2 or 4. */
  readonly sizeInBytes: number;
  readonly direction: 'in' | 'out';
  readonly string: boolean;
  readonly rep: boolean;
  /** The port is an immediate operand (otherwise DX). */
  readonly immediate: boolean;
}

export function encodeIoQualification(q: IoQualification): number {
  return (
    ((q.port << 16) |
      (q.immediate ? 1 << 6 : 0) |
      (q.rep ? 1 << 5 : 0) |
      (q.string ? 1 << 4 : 0) |
      (q.direction === 'in' ? 1 << 3 : 0) |
      (q.sizeInBytes - 1)) >>>
    0
  );
}

export function decodeIoQualification(value: number): IoQualification {
  return {
    port: value >>> 16,
    sizeInBytes: (value & 7) + 1,
    direction: (value & 8) !== 0 ? 'in' : 'out',
    string: (value & 0x10) !== 0,
    rep: (value & 0x20) !== 0,
    immediate: (value & 0x40) !== 0,
  };
}

export function describeIoQualification(value: number): string {
  const q = decodeIoQualification(value);
  const mnemonic = q.string ? `${q.rep ? 'rep ' : ''}${q.direction}s` : q.direction;
  return `${mnemonic} port ${hex(q.port)}, ${q.sizeInBytes} byte${q.sizeInBytes === 1 ? '' : 's'}${q.immediate ? ', immediate' : ''}`;
}

/** Control-register accesses (Table 27-3). */
export const CR_ACCESS_TYPE = { MOV_TO: 0, MOV_FROM: 1, CLTS: 2, LMSW: 3 } as const;

export interface CrQualification {
  /** 0, 3, 4 or 8. */
  readonly register: number;
  readonly type: number;
  readonly gpr: number;
  readonly lmswFromMemory: boolean;
  readonly lmswSource: number;
}

export function encodeCrQualification(register: number, type: number, gpr: number): number {
  return register | (type << 4) | (gpr << 8);
}

export function encodeLmswQualification(source: number, fromMemory: boolean): number {
  return ((source << 16) | (fromMemory ? 1 << 6 : 0) | (CR_ACCESS_TYPE.LMSW << 4)) >>> 0;
}

export function decodeCrQualification(value: number): CrQualification {
  return {
    register: value & 15,
    type: (value >> 4) & 3,
    gpr: (value >> 8) & 15,
    lmswFromMemory: (value & 0x40) !== 0,
    lmswSource: value >>> 16,
  };
}

export function describeCrQualification(value: number): string {
  const q = decodeCrQualification(value);
  switch (q.type) {
    case CR_ACCESS_TYPE.MOV_TO:
      return `mov cr${q.register} from ${REGISTER_NAMES.gpr64[q.gpr]}`;
    case CR_ACCESS_TYPE.MOV_FROM:
      return `mov cr${q.register} to ${REGISTER_NAMES.gpr64[q.gpr]}`;
    case CR_ACCESS_TYPE.CLTS:
      return 'clts';
    default:
      return `lmsw ${hex(q.lmswSource)}${q.lmswFromMemory ? ' from memory' : ''}`;
  }
}

/** MOV DR (Table 27-4). */
export function encodeDrQualification(register: number, fromDebugRegister: boolean, gpr: number): number {
  return register | (fromDebugRegister ? 1 << 4 : 0) | (gpr << 8);
}

export function describeDrQualification(value: number): string {
  const gpr = REGISTER_NAMES.gpr64[(value >> 8) & 15];
  return `mov dr${value & 7} ${(value & 0x10) !== 0 ? 'to' : 'from'} ${gpr}`;
}

/** Task switches (Table 27-2). */
export const TASK_SWITCH_SOURCE = { call: 0, iret: 1, jmp: 2, gate: 3 } as const;

export function encodeTaskSwitchQualification(
  selector: number,
  source: keyof typeof TASK_SWITCH_SOURCE,
): number {
  return ((TASK_SWITCH_SOURCE[source] << 30) | selector) >>> 0;
}

export function describeTaskSwitchQualification(value: number): string {
  const source = ['CALL', 'IRET', 'JMP', 'task gate in the IDT'][value >>> 30];
  return `to TSS selector ${hex(value & 0xffff)} by ${source}`;
}

/** EPT violations (Table 27-7). */
export const EPT_VIOLATION = {
  READ: 1 << 0,
  WRITE: 1 << 1,
  FETCH: 1 << 2,
  /** The guest-physical address was readable, writable, executable (bits 5:3). */
  PERMISSIONS_SHIFT: 3,
  LINEAR_ADDRESS_VALID: 1 << 7,
  /** With a valid linear address: 1 for the access itself, 0 for an access to a paging-structure entry. */
  FINAL_TRANSLATION: 1 << 8,
  NMI_UNBLOCKING_DUE_TO_IRET: 1 << 12,
} as const;

export function describeEptQualification(value: number): string {
  const access = [
    (value & EPT_VIOLATION.READ) !== 0 ? 'read' : '',
    (value & EPT_VIOLATION.WRITE) !== 0 ? 'write' : '',
    (value & EPT_VIOLATION.FETCH) !== 0 ? 'fetch' : '',
  ].filter((word) => word !== '');
  const permissions = (value >> EPT_VIOLATION.PERMISSIONS_SHIFT) & 7;
  const page =
    permissions === 0
      ? 'not present'
      : `allows ${(permissions & 1) !== 0 ? 'r' : '-'}${(permissions & 2) !== 0 ? 'w' : '-'}${(permissions & 4) !== 0 ? 'x' : '-'}`;
  const walk =
    (value & EPT_VIOLATION.LINEAR_ADDRESS_VALID) === 0
      ? ', no linear address'
      : (value & EPT_VIOLATION.FINAL_TRANSLATION) === 0
        ? ', during page walk'
        : '';
  return `${access.join('+')}, ${page}${walk}`;
}

/** APIC-access VM exits (Table 27-6): bits 11:0 offset, 15:12 type. */
export const APIC_ACCESS_TYPE = {
  LINEAR_READ: 0,
  LINEAR_WRITE: 1,
  LINEAR_FETCH: 2,
  LINEAR_EVENT_DELIVERY: 3,
  PHYSICAL_EVENT_DELIVERY: 10,
  PHYSICAL_INSTRUCTION: 15,
} as const;

export const encodeApicAccessQualification = (offset: number, type: number): number => (type << 12) | offset;

export function decodeApicAccessQualification(value: number): {
  readonly offset: number;
  readonly type: number;
} {
  return { offset: value & 0xfff, type: (value >> 12) & 15 };
}

function apicPlace(offset: number): string {
  const register = APIC_REGISTER_NAMES.get(offset);
  return register === undefined ? `offset ${hex(offset)}` : `offset ${hex(offset)} (${register})`;
}

/** APIC writes (exit 56): the offset of the register that has been written. */
export const describeApicWriteQualification = (value: number): string =>
  `written ${apicPlace(value & 0xff0)}`;

export function describeApicAccessQualification(value: number): string {
  const { offset, type } = decodeApicAccessQualification(value);
  const place = apicPlace(offset);
  switch (type) {
    case APIC_ACCESS_TYPE.LINEAR_READ:
      return `read ${place}`;
    case APIC_ACCESS_TYPE.LINEAR_WRITE:
      return `write ${place}`;
    case APIC_ACCESS_TYPE.LINEAR_FETCH:
      return `fetch ${place}`;
    case APIC_ACCESS_TYPE.LINEAR_EVENT_DELIVERY:
      return `event delivery, ${place}`;
    case APIC_ACCESS_TYPE.PHYSICAL_EVENT_DELIVERY:
      return 'physical access during event delivery';
    case APIC_ACCESS_TYPE.PHYSICAL_INSTRUCTION:
      return 'physical access by an instruction';
    default:
      return `type ${type}, ${place}`;
  }
}
