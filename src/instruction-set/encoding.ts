/** The type of one row of the table of encodings: everything known of one encoding, in one record. */

import type { RegisterClass } from '../architecture/registers.js';
import type { Family } from './family.js';

/** Where the operand's value is encoded. */
export type OperandSlot =
  | 'reg' // ModRM.reg
  | 'rm' // ModRM.rm: register when mod = 3, otherwise memory
  | 'opcode' // low three bits of the last opcode byte
  | 'implicit' // fixed by the encoding: AL, DX, CL, ST0, DS:[rSI], ES:[rDI], the constant 1
  | 'immediate' // immediate bytes after ModRM/displacement
  | 'relative' // branch displacement relative to the next instruction
  | 'far' // ptr16:16 / ptr16:32
  | 'offset'; // moffs: an address-size displacement without ModRM

export type OperandAccess = 'r' | 'w' | 'rw' | 'n';

export interface OperandForm {
  /** As the manual writes it: `r/m32`, `r64`, `imm8`, `m`, `AL`, `rel32`, `Sreg`, `1`, … */
  readonly text: string;
  readonly slot: OperandSlot;
  /** May be a register (of this class); undefined for immediates, memory-only and branch operands. */
  readonly registerClass: RegisterClass | undefined;
  /** Number of the register for an implicit register operand, otherwise -1. */
  readonly fixedRegister: number;
  /** May be (or always is) a memory operand. */
  readonly memory: boolean;
  /** Width in bits of the value accessed; 0 where only the address counts (LEA, INVLPG). */
  readonly width: number;
  /** Width in bits of an immediate or displacement as encoded; 0 otherwise. */
  readonly encodedWidth: number;
  /** An immediate sign-extended from `encodedWidth` to the operand's width. */
  readonly signExtended: boolean;
  readonly access: OperandAccess;
}

/** Opcode maps: one-byte, 0F, 0F 38, 0F 3A. */
export type OpcodeMap = 0 | 1 | 2 | 3;

export interface Encoding {
  /** Stable identifier, `ADD_rm64_r64`: same name in table, handlers, tests and traces. */
  readonly id: string;
  /** Dense number of the row, 0 … number of rows - 1. */
  readonly index: number;
  /** Upper case, `ADD`. Aliases of a condition (JZ for JE) are assembler knowledge in `aliases`. */
  readonly mnemonic: string;
  readonly aliases: readonly string[];
  /** The row as written in the manual: `o64 01 /r`. */
  readonly pattern: string;
  readonly family: Family;
  readonly operands: readonly OperandForm[];

  readonly map: OpcodeMap;
  /** Last opcode byte; for `+r` rows the value with the low three bits clear. */
  readonly opcode: number;
  readonly opcodeRegister: boolean;
  /** 0x66, 0xF2 or 0xF3 when the prefix is part of the opcode; 0 when there is none required. */
  readonly mandatoryPrefix: 0 | 0x66 | 0xf2 | 0xf3;
  /** 66, F2 and F3 must all be absent (`NP` in the manual); with one of them the row does not match. */
  readonly noPrefix: boolean;
  /** F2 and F3 must be absent (`NFx` in the manual). */
  readonly noRepeatPrefix: boolean;
  readonly hasModrm: boolean;
  /** /0 … /7, or -1. */
  readonly modrmReg: number;
  /** A fully fixed ModRM byte (0F 01 C1), or -1. */
  readonly modrmFixed: number;
  /** 'memory': mod must not be 3; 'register': mod must be 3; 'any'. */
  readonly modrmMode: 'memory' | 'register' | 'any';
  /** ModRM.mod is ignored and ModRM.rm is a register whatever it says (MOV CR, MOV DR); encode mod = 3. */
  readonly modIgnored: boolean;
  /** Operand size that selects this row (16, 32, 64), or 0 when it does not matter. */
  readonly operandSize: 0 | 16 | 32 | 64;
  /** Address size that selects this row (JCXZ family, string instructions), or 0. */
  readonly addressSize: 0 | 16 | 32 | 64;
  /** Operand size is 64 in 64-bit mode without REX.W (PUSH, POP, near branches, …); 66 still gives 16. */
  readonly default64: boolean;
  /** Operand size is always 64 in 64-bit mode, a 66 prefix is ignored (near branches on Intel, MOV CR). */
  readonly forced64: boolean;
  /** Code sizes in which the encoding is valid. */
  readonly valid16: boolean;
  readonly valid32: boolean;
  readonly valid64: boolean;
  /** F0 allowed when the destination is memory. */
  readonly lockable: boolean;
  /** 'rep': F3 repeats (and F2 does the same); 'repcc': F3/F2 are REPE/REPNE; '': no meaning. */
  readonly repeat: '' | 'rep' | 'repcc';
  /** RFLAGS masks. A flag is in `written` when defined after the instruction, whatever the value. */
  readonly flagsRead: number;
  readonly flagsWritten: number;
  readonly flagsUndefined: number;
  /** Privileged at CPL 0 only; 'iopl': needs CPL <= IOPL (or the I/O bitmap for IN/OUT). */
  readonly privilege: '' | 'cpl0' | 'iopl';
  /** Exceptions besides memory faults that the manual lists: `UD`, `DE`, `GP`, `NM`, `MF`, … */
  readonly faults: readonly string[];
  /** CPUID feature that brings it, '' for the base set: `VMX`, `X87`, `FXSR`, `SSE2`, `RDTSCP`, … */
  readonly feature: string;
}
