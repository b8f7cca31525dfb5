/**
 * Instructions and bytes decoded per second, beside iced-x86 (WebAssembly) in the same run, over a mix of
 * 15,744 instructions drawn at random from compiled 64-bit programs (bench/data/code-mix.bin: about one MOV in
 * three, then CALL, LEA, CMP, TEST, JE, JMP …; average length 4.1 bytes).
 */

import { readFileSync } from 'node:fs';
import b from 'benny';
import iced from 'iced-x86';
import { DecodeStatus, decode } from '../dist/decoder/index.js';
import { Instruction } from '../dist/instruction-set/index.js';
import { sampling } from './sampling.js';

const code = new Uint8Array(readFileSync(new URL('./data/code-mix.bin', import.meta.url)));

/** Decodes the whole mix; the sum of lengths and rows is the proof that nothing was optimised away. */
function decodeWithOurs(out) {
  const end = code.length;
  let offset = 0;
  let count = 0;
  let sum = 0;
  while (offset < end) {
    if (decode(code, offset, end, 64, out) !== DecodeStatus.OK) throw new Error(`invalid at ${offset}`);
    sum += out.encoding.index + out.displacement + out.register0;
    offset += out.length;
    count++;
  }
  return { count, sum };
}

/** iced's fastest way: one Instruction reused, and of each one only its code read. */
function decodeWithIced(decoder, instruction) {
  decoder.position = 0;
  let count = 0;
  let sum = 0;
  while (decoder.canDecode) {
    decoder.decodeOut(instruction);
    sum += instruction.code;
    count++;
  }
  return { count, sum };
}

/** The same without reading anything of the instruction but its number. */
function decodeWithIcedUnread(decoder, instruction, total) {
  decoder.position = 0;
  for (let n = 0; n < total; n++) decoder.decodeOut(instruction);
  return { count: total, sum: decoder.position };
}

const number = (value) => Math.round(value).toLocaleString('en-US');

export async function decoder() {
  const out = new Instruction();
  const icedDecoder = new iced.Decoder(64, code, iced.DecoderOptions.None);
  const icedInstruction = new iced.Instruction();
  const { count } = decodeWithOurs(out);
  const other = decodeWithIced(icedDecoder, icedInstruction);
  if (other.count !== count) throw new Error(`iced-x86 sees ${other.count} instructions, not ${count}`);
  let consumed = 0;
  const summary = await b.suite(
    'decoder',
    ...sampling(),
    b.add('exitscope', () => {
      consumed += decodeWithOurs(out).sum;
    }),
    b.add('iced-x86, code read', () => {
      consumed += decodeWithIced(icedDecoder, icedInstruction).sum;
    }),
    b.add('iced-x86, nothing read', () => {
      consumed += decodeWithIcedUnread(icedDecoder, icedInstruction, count).sum;
    }),
  );
  if (!Number.isFinite(consumed)) throw new Error('nothing was decoded');
  // The median of a case's samples: other load on the machine pulls means, not medians.
  const rates = summary.results.map(({ details }) => 1 / details.median);
  for (const [index, { name }] of summary.results.entries())
    console.log(
      `${name}: ${number(rates[index] * count)} instructions/s, ${number(rates[index] * code.length)} bytes/s`,
    );
  const [ours, read, unread] = rates;
  console.log(
    `exitscope / iced-x86: ${(ours / read).toFixed(2)} (code read), ${(ours / unread).toFixed(2)} (nothing read)`,
  );
  icedInstruction.free();
  icedDecoder.free();
}
