/** Text of generated instances of every row beside iced-x86's NASM formatter. */

import { describe, expect, it } from 'vitest';
import { decode } from '../../src/decoder/index.js';
import { formatInstruction } from '../../src/disassembler/index.js';
import { ENCODINGS, Instruction } from '../../src/instruction-set/index.js';
import { decodeWithIced } from '../support/iced.js';
import { type CodeSize, codeSizesOf, generateInstruction } from '../support/instruction-generator.js';
import { RandomSource } from '../support/random-source.js';

const CODE_SIZES: readonly CodeSize[] = [16, 32, 64];
const INSTANCES_PER_ROW = 8;
const RIP = 0x401000n;

/** Differences of spelling that carry no meaning, removed from both texts: each with its reason. */
const NEUTRAL: readonly (readonly [RegExp, string])[] = [
  // Operand sizes: we write them where nasm needs them or the reader is helped; nasm judges that (round trip).
  [/\b(byte|word|dword|qword|tword) (?=\[)/g, ''],
  [/\[(word|dword|qword) /g, '['],
  [/\b(push|jmp|call) (word|dword) /g, '$1 '],
  [/\b(j\w+) near (word|dword) /g, '$1 '],
  [/^o(16|32|64) (?=push|j|call|loop|ret)/g, ''],
  // iced marks unusual sizes of returns in the mnemonic.
  [/\b(retf?)[wdq]\b/g, '$1'],
  // Sizes in mnemonics that the code size implies anyway.
  [/\b(pusha|popa|pushf|popf|iret)[wdq]?\b/g, '$1'],
  [/\ba32 (?=.*\[)/g, ''],
  // A jump hint or CET prefix that the instruction does not look at.
  [/\bnotrack /g, ''],
  // The constant 1 of a shift.
  [/,1$/g, ',0x1'],
  // IMUL with an immediate onto its own source.
  [/\bimul (\w+),\1,/g, 'imul $1,'],
  // The stack top of x87 instructions: implied, or `to`.
  [/\b(f\w+) st0,(st\d)/g, '$1 $2'],
  [/\b(f\w+p) (st\d),st0/g, '$1 $2'],
  [/\b(f\w+) to (st\d)/g, '$1 $2,st0'],
  [/\b(fu?comp?|fxch|f(?:add|mul|subr?|divr?)p)$/g, '$1 st1'],
  // The /6 shift, which iced calls SAL.
  [/^sal /g, 'shl '],
  // Names of a few x87 instructions and of their second encodings.
  [/^fwait$/g, 'wait'],
  [/^fnsetpm$/g, 'fsetpm'],
  [/^fstpnce /g, 'fstp '],
  // Sixteen-bit sources of LAR, LSL and MOV Sreg, which iced names by the operand size.
  [/^(mov [c-gs]s|lar \w+|lsl \w+),[er]([a-ds][xpi]|bp)$/g, '$1,$2'],
  [/^(mov [c-gs]s|lar \w+|lsl \w+),(r\d+)d?$/g, '$1,$2w'],
];

function neutral(text: string): string {
  let result = text;
  for (const [pattern, replacement] of NEUTRAL) result = result.replace(pattern, replacement);
  // The operands of XCHG are interchangeable; iced puts the register of ModRM.reg first.
  const exchange = /^(lock )?xchg (.*),(.*)$/.exec(result);
  if (exchange) result = `${exchange[1] ?? ''}xchg ${[exchange[2], exchange[3]].sort().join()}`;
  // x87 instructions with both operands st0 look alike in both directions.
  return result.replace(/^(f\w+) st0,st0$/, '$1 st0');
}

/** iced prints reserved no-operations as `nop` with the register in ModRM.reg added. */
const isReservedNop = (id: string): boolean => /^(HINT_NOP|NOP_0F0D)/.test(id);

describe.each(CODE_SIZES)('text of every row in %i-bit code', (codeSize) => {
  it('is that of iced-x86', () => {
    const random = new RandomSource(31 * codeSize);
    const out = new Instruction();
    const differences: string[] = [];
    let compared = 0;
    for (const encoding of ENCODINGS) {
      if (!codeSizesOf(encoding).includes(codeSize) || isReservedNop(encoding.id)) continue;
      for (let n = 0; n < INSTANCES_PER_ROW; n++) {
        const bytes = generateInstruction(encoding, codeSize, random);
        decode(bytes, 0, bytes.length, codeSize, out);
        const ours = formatInstruction(out, RIP);
        const theirs = decodeWithIced(bytes, codeSize, RIP).text;
        compared++;
        if (neutral(ours) !== neutral(theirs))
          differences.push(`${encoding.id} ${Buffer.from(bytes).toString('hex')}: ${ours} | ${theirs}`);
      }
    }
    expect(differences).toEqual([]);
    expect(compared).toBeGreaterThan(5000);
  });
});
