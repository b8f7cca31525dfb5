/**
 * The VM-exit instruction-information field (SDM Vol. 3C, 27.2.5 Information for VM Exits Due to Instruction
 * Execution, Tables 27-8 to 27-14). The tables agree on the place of what they share.
 */

export interface InstructionInformation {
  /** Index scaling: 0 … 3 for ×1 … ×8. */
  readonly scaling: number;
  /** 16, 32 or 64 bits. */
  readonly addressSize: number;
  /** Operand 1 is a register (VMREAD, VMWRITE, LLDT, LTR, SLDT, STR). */
  readonly registerForm: boolean;
  /** Register number of operand 1 in the register form. */
  readonly register1: number;
  /** LGDT, LIDT, SGDT, SIDT: 32-bit operand size. */
  readonly operandSize32: boolean;
  readonly segment: number;
  /** -1 for none. */
  readonly indexRegister: number;
  readonly baseRegister: number;
  /** Bits 31:28: second register operand, or for descriptor-table instructions the instruction's identity in 29:28. */
  readonly register2: number;
}

export function encodeInstructionInformation(i: InstructionInformation): number {
  const size = i.addressSize === 64 ? 2 : i.addressSize === 32 ? 1 : 0;
  if (i.registerForm) return ((1 << 10) | (i.register1 << 3) | (i.register2 << 28)) >>> 0;
  return (
    (i.scaling |
      (size << 7) |
      (i.operandSize32 ? 1 << 11 : 0) |
      (i.segment << 15) |
      (i.indexRegister < 0 ? 1 << 22 : i.indexRegister << 18) |
      (i.baseRegister < 0 ? 1 << 27 : i.baseRegister << 23) |
      (i.register2 << 28)) >>>
    0
  );
}

/** INS and OUTS (Table 27-8): address size in 9:7, segment register in 17:15 (OUTS only). */
export function encodeStringIoInformation(addressSize: number, segment: number): number {
  return ((addressSize === 64 ? 2 : addressSize === 32 ? 1 : 0) << 7) | (segment << 15);
}
