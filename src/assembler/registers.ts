/** Register names as the assembler reads them. */

import { REGISTER_NAMES, type RegisterClass } from '../architecture/registers.js';

export interface RegisterReference {
  readonly name: string;
  readonly registerClass: RegisterClass;
  readonly number: number;
  /** Width in bits; 0 where the width is no matter of choice (control and debug registers). */
  readonly width: number;
}

const WIDTHS: Record<RegisterClass, number> = {
  gpr8: 8,
  gpr16: 16,
  gpr32: 32,
  gpr64: 64,
  segment: 16,
  control: 0,
  debug: 0,
  st: 80,
  mm: 64,
  xmm: 128,
};

const BY_NAME = new Map<string, RegisterReference>();
for (const [registerClass, names] of Object.entries(REGISTER_NAMES) as [RegisterClass, readonly string[]][])
  for (const [number, name] of names.entries())
    BY_NAME.set(name, { name, registerClass, number, width: WIDTHS[registerClass] });
for (let number = 8; number < 16; number++) BY_NAME.set(`r${number}l`, BY_NAME.get(`r${number}b`)!);

/** The register of that lower-case name, or undefined. */
export function findRegister(name: string): RegisterReference | undefined {
  return BY_NAME.get(name);
}

/** May be the base or index of an effective address. */
export function isAddressRegister(register: RegisterReference): boolean {
  const { registerClass } = register;
  return registerClass === 'gpr16' || registerClass === 'gpr32' || registerClass === 'gpr64';
}
