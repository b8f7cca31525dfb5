/** The instructions that run as plain TypeScript: everything that needs the whole processor. */

import { SEGMENT } from '../../architecture/registers.js';
import type { Encoding } from '../../instruction-set/encoding.js';
import type { SystemInstruction } from '../core.js';
import { raiseInvalidOpcode } from '../events/faults.js';
import { floatingPointInstructionFor } from '../floating-point/index.js';
import * as controlRegisters from './control-registers.js';
import * as controlTransfer from './control-transfer.js';
import * as debugRegisters from './debug-registers.js';
import * as descriptorTables from './descriptor-tables.js';
import * as fastSystemCall from './fast-system-call.js';
import * as flag from './flag.js';
import * as io from './io.js';
import * as msr from './msr.js';
import * as processorControl from './processor-control.js';
import * as segment from './segment.js';
import * as selectorChecks from './selector-checks.js';
import { vmxInstruction } from './vmx-instruction.js';

/** Instructions of features that the processor does not have: CPUID does not report them and they raise #UD. */
const absentFeature: SystemInstruction = () => raiseInvalidOpcode();

const ABSENT = [
  ...['RSM', 'INVPCID', 'CLAC', 'STAC', 'RDRAND', 'RDSEED'],
  ...['XSAVE', 'XSAVE64', 'XRSTOR', 'XRSTOR64', 'XSAVEOPT', 'XSAVEOPT64', 'XSAVEC', 'XSAVEC64'],
  ...['XSAVES', 'XSAVES64', 'XRSTORS', 'XRSTORS64'],
];

/** By upper-case mnemonic; mnemonics that ordinary instructions share are in `systemInstructionFor`. */
export const SYSTEM_INSTRUCTIONS: ReadonlyMap<string, SystemInstruction> = new Map<string, SystemInstruction>(
  [
    ['CLI', flag.cli],
    ['STI', flag.sti],
    ['POPFW', flag.popf],
    ['POPFD', flag.popf],
    ['POPFQ', flag.popf],

    ['RETF', controlTransfer.retFar],
    ['IRETW', controlTransfer.iret],
    ['IRETD', controlTransfer.iret],
    ['IRETQ', controlTransfer.iret],
    ['INT', controlTransfer.int],
    ['INT3', controlTransfer.int3],
    ['INT1', controlTransfer.int1],
    ['INTO', controlTransfer.into],

    ['IN', io.input],
    ['OUT', io.output],
    ['INSB', io.inputString(1)],
    ['INSW', io.inputString(2)],
    ['INSD', io.inputString(4)],
    ['OUTSB', io.outputString(1)],
    ['OUTSW', io.outputString(2)],
    ['OUTSD', io.outputString(4)],

    ['LES', segment.loadFarPointer(SEGMENT.ES)],
    ['LDS', segment.loadFarPointer(SEGMENT.DS)],
    ['LSS', segment.loadFarPointer(SEGMENT.SS)],
    ['LFS', segment.loadFarPointer(SEGMENT.FS)],
    ['LGS', segment.loadFarPointer(SEGMENT.GS)],
    ['RDFSBASE', segment.readBase(SEGMENT.FS)],
    ['RDGSBASE', segment.readBase(SEGMENT.GS)],
    ['WRFSBASE', segment.writeBase(SEGMENT.FS)],
    ['WRGSBASE', segment.writeBase(SEGMENT.GS)],
    ['LAR', selectorChecks.lar],
    ['LSL', selectorChecks.lsl],
    ['VERR', selectorChecks.verr],
    ['VERW', selectorChecks.verw],
    ['ARPL', selectorChecks.arpl],

    ['LGDT', descriptorTables.lgdt],
    ['LIDT', descriptorTables.lidt],
    ['SGDT', descriptorTables.sgdt],
    ['SIDT', descriptorTables.sidt],
    ['LLDT', descriptorTables.lldt],
    ['LTR', descriptorTables.ltr],
    ['SLDT', descriptorTables.sldt],
    ['STR', descriptorTables.str],

    ['CLTS', controlRegisters.clts],
    ['LMSW', controlRegisters.lmsw],
    ['SMSW', controlRegisters.smsw],

    ['RDMSR', msr.rdmsr],
    ['WRMSR', msr.wrmsr],
    ['RDTSC', msr.rdtsc],
    ['RDTSCP', msr.rdtscp],
    ['RDPMC', msr.rdpmc],

    ['SYSCALL', fastSystemCall.syscall],
    ['SYSRET', fastSystemCall.sysret],
    ['SYSRETQ', fastSystemCall.sysret],
    ['SYSENTER', fastSystemCall.sysenter],
    ['SYSEXIT', fastSystemCall.sysexit],
    ['SYSEXITQ', fastSystemCall.sysexit],
    ['SWAPGS', fastSystemCall.swapgs],

    ['HLT', processorControl.hlt],
    ['CPUID', processorControl.cpuid],
    ['PAUSE', processorControl.pause],
    ['INVD', processorControl.invd],
    ['WBINVD', processorControl.wbinvd],
    ['INVLPG', processorControl.invlpg],
    ['MONITOR', processorControl.monitor],
    ['MWAIT', processorControl.mwait],
    ['XGETBV', processorControl.xgetbv],
    ['XSETBV', processorControl.xsetbv],

    ...ABSENT.map((mnemonic): [string, SystemInstruction] => [mnemonic, absentFeature]),
  ],
);

/** Rows of MOV, PUSH, POP, JMP and CALL that belong here, told by their operands. */
function sharedMnemonic(encoding: Encoding): SystemInstruction | undefined {
  const [first, second] = encoding.operands;
  switch (encoding.mnemonic) {
    case 'MOV':
      if (first?.registerClass === 'segment') return segment.movToSegment;
      if (second?.registerClass === 'segment') return segment.movFromSegment;
      if (first?.registerClass === 'control') return controlRegisters.movToControlRegister;
      if (second?.registerClass === 'control') return controlRegisters.movFromControlRegister;
      if (first?.registerClass === 'debug') return debugRegisters.movToDebugRegister;
      if (second?.registerClass === 'debug') return debugRegisters.movFromDebugRegister;
      return undefined;
    case 'PUSH':
      return first?.registerClass === 'segment' ? segment.pushSegment : undefined;
    case 'POP':
      return first?.registerClass === 'segment' ? segment.popSegment : undefined;
    case 'JMP':
    case 'CALL': {
      const far = first?.slot === 'far' || first?.text.startsWith('m16:');
      if (!far) return undefined;
      return encoding.mnemonic === 'JMP' ? controlTransfer.jmpFar : controlTransfer.callFar;
    }
    default:
      return undefined;
  }
}

/** The TypeScript implementation of a row, undefined when it is built as WebAssembly (or not at all). */
export function systemInstructionFor(encoding: Encoding): SystemInstruction | undefined {
  if (encoding.family === 'vmx') return vmxInstruction;
  return (
    SYSTEM_INSTRUCTIONS.get(encoding.mnemonic) ??
    floatingPointInstructionFor(encoding) ??
    sharedMnemonic(encoding)
  );
}
