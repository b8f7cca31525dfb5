/** From a file named on the command line to a guest image: assembled, or read as it is. */

import { extname } from 'node:path';
import type { GuestImage } from '../machine/guest-image.js';
import { readGuestImage } from '../machine/load-image.js';
import { LOAD_ADDRESS, MAXIMUM_MEMORY_BYTES } from '../machine/memory-map.js';
import { assembleSource } from './assemble-file.js';
import { CommandError } from './command-error.js';
import { EXIT } from './exit-codes.js';
import { nameOf, readBytes, STANDARD_STREAM } from './files.js';
import { commandErrorFor } from './host-errors.js';
import { talk } from './standard-streams.js';

const ELF_MAGIC = [0x7f, 0x45, 0x4c, 0x46] as const;
const ASSEMBLY_EXTENSIONS = new Set(['.asm', '.nasm', '.s']);
const FLAT_EXTENSIONS = new Set(['.bin', '.img', '.com']);

export type GuestFormat = 'auto' | 'asm' | 'flat' | 'elf64';

export interface Guest {
  /** For messages. */
  readonly path: string;
  readonly image: GuestImage;
}

/** @throws CommandError */
export function readGuest(path: string, format: GuestFormat): Guest {
  const bytes = readBytes(path);
  const name = nameOf(path);
  try {
    return { path: name, image: imageOf(name, bytes, format === 'auto' ? formatOf(path, bytes) : format) };
  } catch (error) {
    throw commandErrorFor(error, name);
  }
}

function formatOf(path: string, bytes: Uint8Array): Exclude<GuestFormat, 'auto'> {
  const extension = extname(path).toLowerCase();
  if (ASSEMBLY_EXTENSIONS.has(extension)) return 'asm';
  if (ELF_MAGIC.every((byte, index) => bytes[index] === byte)) return 'elf64';
  if (FLAT_EXTENSIONS.has(extension)) return 'flat';
  if (path === STANDARD_STREAM) return 'asm';
  throw new CommandError(
    EXIT.FAILURE,
    `${path}: not a guest: it is no .asm source and does not start with the ELF magic 7f 45 4c 46; ` +
      'if it is a flat image, say --format flat',
  );
}

function imageOf(path: string, bytes: Uint8Array, format: Exclude<GuestFormat, 'auto'>): GuestImage {
  return format === 'asm' ? assembledGuest(path, bytes) : readGuestImage(bytes, format);
}

/** The image goes where the source's ORG says. */
function assembledGuest(path: string, source: Uint8Array): GuestImage {
  const { image, origin, codeSizes } = assembleSource(path, source, { format: 'bin' });
  const [other] = [...codeSizes].filter((size) => size !== 64);
  if (other !== undefined)
    talk.line(
      `exitscope: ${path} has ${other}-bit code, and runs in 64-bit mode, where it means something else: say bits 64`,
    );
  if (origin > BigInt(MAXIMUM_MEMORY_BYTES))
    throw new CommandError(
      EXIT.FAILURE,
      `${path}: org 0x${origin.toString(16)} is behind the end of any RAM (at most ${MAXIMUM_MEMORY_BYTES / 2 ** 20}M)`,
    );
  if (origin !== 0n) return readGuestImage(image, 'flat', Number(origin));
  const guest = readGuestImage(image, 'flat');
  const address = `0x${LOAD_ADDRESS.toString(16)}`;
  talk.line(
    `exitscope: ${path} says no org; it is loaded at ${address}, absolute addresses in it are off by that much`,
  );
  return guest;
}
