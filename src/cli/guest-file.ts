/** From a file named on the command line to a guest image: assembled, or read as it is. */

import { extname } from 'node:path';
import type { GuestImage } from '../machine/guest-image.js';
import { readGuestImage } from '../machine/load-image.js';
import { LOAD_ADDRESS } from '../machine/memory-map.js';
import { assembleFile } from './assemble-file.js';
import { CommandError } from './command-error.js';
import { EXIT } from './exit-codes.js';
import { readBytes } from './files.js';
import { talk } from './standard-streams.js';

const ELF_MAGIC = [0x7f, 0x45, 0x4c, 0x46] as const;
const ASSEMBLY_EXTENSIONS = new Set(['.asm', '.nasm', '.s']);
const FLAT_EXTENSIONS = new Set(['.bin', '.img', '.com']);

export type GuestFormat = 'auto' | 'asm' | 'flat' | 'elf64';

/** @throws CommandError, MachineError */
export function readGuestFile(path: string, format: GuestFormat): GuestImage {
  const extension = extname(path).toLowerCase();
  if (format === 'asm' || (format === 'auto' && ASSEMBLY_EXTENSIONS.has(extension)))
    return assembledGuest(path);
  const bytes = readBytes(path);
  if (format !== 'auto') return readGuestImage(bytes, format);
  if (ELF_MAGIC.every((byte, index) => bytes[index] === byte)) return readGuestImage(bytes, 'elf64');
  if (FLAT_EXTENSIONS.has(extension)) return readGuestImage(bytes, 'flat');
  throw new CommandError(
    EXIT.FAILURE,
    `${path}: not a guest: it is no .asm source and does not start with the ELF magic 7f 45 4c 46; ` +
      'if it is a flat image, say --format flat',
  );
}

/** The image goes where the source's ORG says. */
function assembledGuest(path: string): GuestImage {
  const { image, origin } = assembleFile(path, { format: 'bin' });
  if (origin !== 0n) return readGuestImage(image, 'flat', Number(origin));
  const address = `0x${LOAD_ADDRESS.toString(16)}`;
  talk.line(
    `exitscope: ${path} says no org; it is loaded at ${address}, absolute addresses in it are off by that much`,
  );
  return readGuestImage(image, 'flat');
}
