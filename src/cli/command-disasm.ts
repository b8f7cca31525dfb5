/** `exitscope disasm`: bytes of a file, or hex digits of the command line, as instructions. */

import { Command, Option } from 'commander';
import { choiceOption } from './choices.js';
import { CommandError } from './command-error.js';
import { EXIT } from './exit-codes.js';
import { isReadable, readBytes } from './files.js';
import { parseAddress } from './numbers.js';

interface DisasmOptions {
  readonly bits: string;
  readonly org: bigint;
}

export function disasmCommand(): Command {
  return new Command('disasm')
    .summary('print bytes as instructions')
    .description('Prints the bytes of a file, or hex digits given directly, as instructions in NASM syntax.')
    .argument('<file|hex...>', 'a file of machine code (- for standard input), or hex digits: 48 89 e5')
    .addOption(choiceOption('-b, --bits <size>', 'code size', ['16', '32', '64']).default('64'))
    .addOption(
      new Option('-o, --org <address>', 'address of the first byte').argParser(parseAddress).default(0n, '0'),
    )
    .addHelpText('after', '\nExample:\n  $ exitscope disasm 0f 01 c2 --org 0x100000')
    .action(async (words: string[], { bits, org }: DisasmOptions) => {
      const bytes = bytesOf(words);
      const { disassemble } = await import('./disassemble.js');
      disassemble(bytes, Number(bits) as 16 | 32 | 64, org);
    });
}

function bytesOf(words: readonly string[]): Uint8Array {
  if (words.length === 1 && isReadable(words[0])) return bytesOfFile(words[0]);
  const digits = words
    .map((word) => word.replace(/^0x/i, ''))
    .join('')
    .replace(/[\s,_]/g, '');
  if (/^([0-9a-f]{2})+$/i.test(digits)) return Buffer.from(digits, 'hex');
  if (/^[0-9a-f]+$/i.test(digits))
    throw new CommandError(EXIT.USAGE, `${digits}: an even number of hex digits is needed`);
  if (words.length === 1) readBytes(words[0]);
  throw new CommandError(EXIT.USAGE, `${words.join(' ')}: neither a file nor hex digits`);
}

function bytesOfFile(path: string): Uint8Array {
  const bytes = readBytes(path);
  if (bytes.length === 0)
    throw new CommandError(EXIT.FAILURE, `${path} is empty: there is nothing to disassemble`);
  return bytes;
}
