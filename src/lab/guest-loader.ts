/** Guest programs by name: the lab's own, and others assembled from sources that the caller reads. */

import { assemble, formatDiagnostic } from '../assembler/index.js';
import type { GuestImage } from '../machine/guest-image.js';
import { readGuestImage } from '../machine/load-image.js';
import type { GuestLoader } from './experiment.js';
import { LAB_GUESTS } from './guests.js';

/** Bytes of a file below the folder of guest programs (`eoi-xapic.asm`, `include/apic.inc`), if there is one. */
export type ReadProgramFile = (path: string) => Uint8Array | undefined;

/** A guest program of the project is missing, or has errors. */
export class GuestProgramError extends Error {
  readonly code = 'guest-program';
  constructor(message: string) {
    super(message);
    this.name = 'GuestProgramError';
  }
}

/** @returns a loader that assembles each program once for each set of defines */
export function guestLoader(readFile: ReadProgramFile): GuestLoader {
  const images = new Map<string, GuestImage>();
  return (program, defines = {}) => {
    const key = JSON.stringify([program, defines]);
    const image = images.get(key) ?? load(program, defines, readFile);
    images.set(key, image);
    return image;
  };
}

function load(
  program: string,
  defines: Readonly<Record<string, string>>,
  readFile: ReadProgramFile,
): GuestImage {
  const fileName = `${program}.asm`;
  const source = LAB_GUESTS[program] ?? textOf(readFile(fileName));
  if (source === undefined) throw new GuestProgramError(`there is no guest program ${fileName}`);
  const { image, origin, ok, diagnostics } = assemble(source, {
    fileName,
    defines,
    readFile,
  });
  if (!ok) throw new GuestProgramError(diagnostics.map(formatDiagnostic).join('\n'));
  return readGuestImage(image, 'flat', Number(origin));
}

function textOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
}
