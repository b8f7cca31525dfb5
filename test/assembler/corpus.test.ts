import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { assemble, formatDiagnostic } from '../../src/assembler/index.js';
import { hasTool, skipNote } from '../support/tools.js';
import { runNasm, toHex } from './nasm.js';

function sourcesIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.asm'))
    .map((name) => join(folder, name));
}

/** Reads relative to a folder, as nasm does when it is started there. */
const readerIn =
  (folder: string) =>
  (path: string): Uint8Array | undefined => {
    try {
      return new Uint8Array(readFileSync(join(folder, path)));
    } catch {
      return undefined;
    }
  };

function expectSameAsNasm(file: string): void {
  const source = readFileSync(file, 'utf8');
  const ours = assemble(source, { fileName: basename(file), readFile: readerIn(dirname(file)) });
  const errors = ours.diagnostics.filter(({ severity }) => severity === 'error').map(formatDiagnostic);
  expect(errors).toEqual([]);
  const theirs = runNasm(file);
  expect(theirs.image, theirs.messages).toBeDefined();
  expect(toHex(ours.image)).toBe(toHex(theirs.image));
}

const FOLDERS = {
  'sources that use every feature': join(import.meta.dirname, 'corpus'),
  'guest programs': join(import.meta.dirname, '..', '..', 'guest-programs'),
};

for (const [title, folder] of Object.entries(FOLDERS))
  describe.skipIf(!hasTool('nasm'))(`nasm agrees byte for byte on ${title}${skipNote('nasm')}`, () => {
    it.each(sourcesIn(folder).map((file) => [basename(file), file]))('%s', (_, file) =>
      expectSameAsNasm(file),
    );
  });
