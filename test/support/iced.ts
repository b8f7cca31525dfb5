/** iced-x86 (npm) as an outside opinion on lengths, validity, flags and text. */

import {
  Code,
  CpuidFeature,
  Decoder,
  DecoderOptions,
  Formatter,
  FormatterSyntax,
  type Instruction,
} from 'iced-x86';

export interface IcedResult {
  /** Length in bytes, 0 when iced does not decode the bytes. */
  readonly length: number;
  /** iced's name of the encoding, `Add_rm32_r32`; `INVALID` when it decodes none. */
  readonly code: string;
  readonly features: readonly string[];
  /** Text in NASM syntax with 0x numbers. */
  readonly text: string;
  readonly flagsRead: number;
  readonly flagsWritten: number;
  readonly flagsUndefined: number;
}

function createFormatter(): Formatter {
  const formatter = new Formatter(FormatterSyntax.Nasm);
  formatter.hexPrefix = '0x';
  formatter.hexSuffix = '';
  formatter.uppercaseHex = false;
  formatter.smallHexNumbersInDecimal = false;
  formatter.addLeadingZeroToHexNumbers = false;
  formatter.showBranchSize = false;
  formatter.branchLeadingZeros = false;
  formatter.displacementLeadingZeros = false;
  formatter.ripRelativeAddresses = false;
  return formatter;
}

const formatter = createFormatter();

function resultOf(instruction: Instruction): IcedResult {
  const isInvalid = instruction.code === Code.INVALID;
  return {
    length: isInvalid ? 0 : instruction.length,
    code: Code[instruction.code]!,
    features: [...instruction.cpuidFeatures()].map((feature) => CpuidFeature[feature]!),
    text: formatter.format(instruction),
    flagsRead: instruction.rflagsRead,
    // What is cleared or set counts as written.
    flagsWritten: instruction.rflagsWritten | instruction.rflagsCleared | instruction.rflagsSet,
    flagsUndefined: instruction.rflagsUndefined,
  };
}

/** Decodes one instruction with iced; `ip` is the address of its first byte. */
export function decodeWithIced(bytes: Uint8Array, codeSize: number, ip = 0n): IcedResult {
  const decoder = new Decoder(codeSize, bytes, DecoderOptions.None);
  decoder.ip = ip;
  const instruction = decoder.decode();
  try {
    return resultOf(instruction);
  } finally {
    instruction.free();
    decoder.free();
  }
}

/** Length and encoding only, for loops over many byte sequences; 0 when iced decodes none. */
export function icedLength(bytes: Uint8Array, codeSize: number): number {
  const decoder = new Decoder(codeSize, bytes, DecoderOptions.None);
  const instruction = decoder.decode();
  const length = instruction.code === Code.INVALID ? 0 : instruction.length;
  instruction.free();
  decoder.free();
  return length;
}
