/** LGDT, LIDT, SGDT, SIDT, LLDT, SLDT, LTR, STR (SDM Vol. 2; exits: Vol. 3C, 25.1.3). */

import { isCanonical } from '../../architecture/canonical-address.js';
import { CR4 } from '../../architecture/control-registers.js';
import { SEGMENT } from '../../architecture/registers.js';
import type { Instruction } from '../../instruction-set/instruction.js';
import { OUTCOME, type ProcessorCore, type SystemInstruction } from '../core.js';
import { raiseGeneralProtection } from '../events/faults.js';
import { loadLocalDescriptorTable, loadTaskRegister } from '../segmentation/system-segment.js';
import { STATE } from '../state/layout.js';
import { qualificationDisplacement } from './displacement.js';
import { readOperand, requireProtectedMode, requireSupervisor, writeOperand } from './operands.js';

interface TableRegister {
  readonly base: number;
  readonly limit: number;
}
const GDTR: TableRegister = { base: STATE.GDTR_BASE, limit: STATE.GDTR_LIMIT };
const IDTR: TableRegister = { base: STATE.IDTR_BASE, limit: STATE.IDTR_LIMIT };

const exits = (core: ProcessorCore, instruction: Instruction): boolean =>
  core.intercepts?.descriptorTable(instruction, qualificationDisplacement(core, instruction)) ?? false;

/** User-mode instruction prevention covers the storing forms. */
function checkUserModePrevention(core: ProcessorCore): void {
  if ((core.state.cr4 & CR4.UMIP) !== 0 && core.state.cpl > 0) raiseGeneralProtection();
}

const loadTable =
  (register: TableRegister): SystemInstruction =>
  (core, instruction) => {
    requireSupervisor(core);
    if (exits(core, instruction)) return OUTCOME.EXITED;
    const size = instruction.codeSize === 64 ? 8 : 4;
    const address = core.operandAddress(instruction, 'read', size + 2);
    const limit = core.linear.read(address, 2);
    let base = core.linear.read(address + 2n, size);
    if (size === 8 && !isCanonical(base)) raiseGeneralProtection();
    // With a 16-bit operand size the base has 24 bits.
    if (size === 4 && instruction.operandSize === 16) base &= 0xffffffn;
    core.state.write64(register.base, base);
    core.state.write32(register.limit, Number(limit));
    return OUTCOME.NEXT;
  };

const storeTable =
  (register: TableRegister): SystemInstruction =>
  (core, instruction) => {
    checkUserModePrevention(core);
    if (exits(core, instruction)) return OUTCOME.EXITED;
    const size = instruction.codeSize === 64 ? 8 : 4;
    const address = core.operandAddress(instruction, 'write', size + 2);
    core.linear.probe(address, size + 2, 'write');
    core.linear.write(address, 2, BigInt(core.state.read32(register.limit) & 0xffff));
    core.linear.write(address + 2n, size, BigInt.asUintN(size * 8, core.state.read64(register.base)));
    return OUTCOME.NEXT;
  };

export const lgdt = loadTable(GDTR);
export const lidt = loadTable(IDTR);
export const sgdt = storeTable(GDTR);
export const sidt = storeTable(IDTR);

const loadSystemSegment =
  (load: (core: ProcessorCore, selector: number) => void): SystemInstruction =>
  (core, instruction) => {
    requireProtectedMode(core);
    requireSupervisor(core);
    if (exits(core, instruction)) return OUTCOME.EXITED;
    load(core, Number(readOperand(core, instruction, 0)));
    return OUTCOME.NEXT;
  };

const storeSystemSegment =
  (segment: number): SystemInstruction =>
  (core, instruction) => {
    requireProtectedMode(core);
    checkUserModePrevention(core);
    if (exits(core, instruction)) return OUTCOME.EXITED;
    writeOperand(core, instruction, 0, BigInt(core.state.segment(segment).selector));
    return OUTCOME.NEXT;
  };

export const lldt = loadSystemSegment(loadLocalDescriptorTable);
export const ltr = loadSystemSegment(loadTaskRegister);
export const sldt = storeSystemSegment(SEGMENT.LDTR);
export const str = storeSystemSegment(SEGMENT.TR);
