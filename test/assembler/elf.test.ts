import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { assemble, formatDiagnostic } from '../../src/assembler/index.js';
import { hasTool, inTemporaryFolder, skipNote } from '../support/tools.js';
import { runNasm } from './nasm.js';

const TOOLS = ['nasm', 'readelf', 'objdump', 'ld'];
const CORPUS = join(import.meta.dirname, 'corpus-elf');

function outputOf(tool: string, ...arguments_: string[]): string {
  const { stdout, stderr, status } = spawnSync(tool, arguments_, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${tool}: ${stderr}`);
  return stdout;
}

const lines = (text: string): string[] => text.split('\n').map((line) => line.replace(/\s+/g, ' ').trim());

/** What readelf and objdump see in an object, without what depends on where in the file things lie. */
function describeObject(image: Uint8Array): Record<string, string[]> {
  return inTemporaryFolder((folder) => {
    const file = join(folder, 'object.o');
    writeFileSync(file, image);
    const isTable = (line: string): boolean => /STRTAB|SYMTAB/.test(line);
    return {
      sections: lines(outputOf('readelf', '-SW', file))
        .filter((line) => /^\[ ?\d+\]/.test(line) && !isTable(line))
        .map((line) => line.replace(/^(\[ ?\d+\] \S+ \S+ \S+) \S+/, '$1')),
      symbols: lines(outputOf('readelf', '-sW', file)).filter((line) => /^\d+:/.test(line)),
      relocations: lines(outputOf('readelf', '-rW', file)).map((line) => line.replace(/ at offset \S+/, '')),
      contents: lines(outputOf('objdump', '-s', file)).slice(3),
    };
  });
}

describe.skipIf(!TOOLS.every(hasTool))(`ELF objects${skipNote(...TOOLS)}`, () => {
  const names = readdirSync(CORPUS).filter((name) => name.endsWith('.asm'));
  it.each(names)('%s has the sections, symbols and relocations that nasm gives it', (name) => {
    const format = name.includes('32') ? 'elf32' : 'elf64';
    const file = join(CORPUS, name);
    const ours = assemble(readFileSync(file, 'utf8'), { fileName: name, format });
    expect(ours.diagnostics.filter(({ severity }) => severity === 'error').map(formatDiagnostic)).toEqual([]);
    const theirs = runNasm(file, format);
    expect(theirs.image, theirs.messages).toBeDefined();
    expect(describeObject(ours.image)).toEqual(describeObject(theirs.image as Uint8Array));
  });

  it('an object links and the linked program has the right addresses', () => {
    const source =
      'global _start\nsection .text\n_start: mov rax, value\nlea rbx, [rel value]\nsection .data\nvalue: dq _start\n';
    inTemporaryFolder((folder) => {
      const object = join(folder, 'a.o');
      const program = join(folder, 'a.out');
      writeFileSync(object, assemble(source, { fileName: 'a.asm', format: 'elf64' }).image);
      outputOf('ld', '-o', program, object, '-Ttext=0x401000', '-Tdata=0x402000');
      const text = outputOf('objdump', '-d', '-M', 'intel', program);
      expect(text).toMatch(/movabs rax,0x402000/);
      expect(text).toMatch(/lea +rbx,\[rip\+0x[0-9a-f]+\] +# 402000/);
    });
  });
});
