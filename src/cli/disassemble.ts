/** Prints bytes as instructions, one line each. */

import { sweep } from '../decoder/index.js';
import { formatInstruction } from '../disassembler/index.js';
import { output } from './standard-streams.js';

/** Bytes per line at most, as many as an instruction can have. */
const BYTES_WIDTH = 15 * 2;

/** Address, bytes and text, in the columns of ndisasm. */
export function disassemble(bytes: Uint8Array, codeSize: 16 | 32 | 64, org: bigint): void {
  const end = org + BigInt(bytes.length);
  const addressWidth = end > 0xffffffffn ? 16 : 8;
  for (const { offset, length, instruction } of sweep(bytes, codeSize)) {
    const address = BigInt.asUintN(64, org + BigInt(offset));
    const digits = Buffer.from(bytes.subarray(offset, offset + length)).toString('hex');
    const text = instruction === undefined ? `db 0x${digits}` : formatInstruction(instruction, address);
    output.line(
      `${address.toString(16).padStart(addressWidth, '0')}  ${digits.padEnd(BYTES_WIDTH)}  ${text}`,
    );
  }
}
