/** The guest programs of the project, with their headers. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type AssemblyResult, assemble, formatDiagnostic } from '../../src/assembler/index.js';
import { readGuestImage } from '../../src/machine/load-image.js';
import type { VmOptions } from '../../src/machine/virtual-machine.js';
import { type GuestHeader, readGuestHeader } from './guest-header.js';

export const GUEST_PROGRAMS = join(import.meta.dirname, '..', '..', 'guest-programs');

export interface GuestProgram {
  /** File name without `.asm`. */
  readonly name: string;
  readonly path: string;
  readonly source: string;
  readonly header: GuestHeader;
}

export function guestPrograms(): GuestProgram[] {
  return readdirSync(GUEST_PROGRAMS)
    .filter((file) => file.endsWith('.asm'))
    .map((file) => {
      const path = join(GUEST_PROGRAMS, file);
      const source = readFileSync(path, 'utf8');
      return { name: file.slice(0, -'.asm'.length), path, source, header: readGuestHeader(source) };
    });
}

/** Assembles a program with what it includes. */
export function assembleGuest({ path, source }: GuestProgram): AssemblyResult {
  const result = assemble(source, {
    fileName: path,
    includePaths: [GUEST_PROGRAMS],
    readFile: (file) => (existsSync(file) ? readFileSync(file) : undefined),
  });
  if (!result.ok) throw new Error(result.diagnostics.map(formatDiagnostic).join('\n'));
  return result;
}

/** The machine that a program's header asks for. */
export function optionsFor(program: GuestProgram): VmOptions {
  const { image, origin } = assembleGuest(program);
  const { vcpus, needs } = program.header;
  return {
    image: readGuestImage(image, 'flat', Number(origin)),
    vcpus,
    vgaWindow: needs.includes('vga'),
  };
}
