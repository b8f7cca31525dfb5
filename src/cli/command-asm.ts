/** `exitscope asm`: NASM source to a flat binary or an ELF object. */

import { Command, InvalidArgumentError } from 'commander';
import type { AssembleFileOptions } from './assemble-file.js';
import { choiceOption } from './choices.js';
import { writeTogether } from './files.js';

interface AsmOptions {
  readonly output: string;
  readonly format: NonNullable<AssembleFileOptions['format']>;
  readonly listing?: string;
  readonly includePath: string[];
  readonly define: Record<string, string>;
}

export function asmCommand(): Command {
  return new Command('asm')
    .summary('assemble NASM source')
    .description('Assembles NASM source. Nothing is written when the source has errors.')
    .argument('<file>', 'assembly source; - for standard input')
    .requiredOption('-o, --output <file>', 'file to write; - for standard output')
    .addOption(
      choiceOption('-f, --format <format>', 'output format', ['bin', 'elf32', 'elf64']).default('bin'),
    )
    .option('-l, --listing <file>', 'also write a listing: addresses and bytes beside the source')
    .option('-I, --include-path <folder>', 'where to look for included files; may be repeated', collect, [])
    .option('-D, --define <name[=value]>', 'define a macro; may be repeated', define, {})
    .addHelpText(
      'after',
      '\nExample:\n  $ exitscope asm guest-programs/pio-write.asm -o pio-write.bin -l pio-write.lst',
    )
    .action(async (file: string, { output, format, listing, includePath, define }: AsmOptions) => {
      const { assembleFile, formatListing } = await import('./assemble-file.js');
      const result = assembleFile(file, { format, includePaths: includePath, defines: define });
      const files = [{ path: output, data: result.image }];
      if (listing !== undefined) files.push({ path: listing, data: Buffer.from(formatListing(result)) });
      writeTogether(files, [file]);
    });
}

function collect(value: string, previous: string[]): string[] {
  return [...previous, value];
}

function define(text: string, previous: Record<string, string>): Record<string, string> {
  const [, name, value] = /^([A-Za-z_.?@][\w.?@$#~]*)(?:=(.*))?$/s.exec(text) ?? [];
  if (name === undefined) throw new InvalidArgumentError('A name is needed, such as ITERATIONS=64.');
  return { ...previous, [name]: value ?? '' };
}
