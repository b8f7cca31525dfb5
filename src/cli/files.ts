/** Reading and writing files, with errors that say what, where, and what to do. */

import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { CommandError } from './command-error.js';
import { EXIT } from './exit-codes.js';

const REASONS: Record<string, string> = {
  ENOENT: 'no such file',
  EISDIR: 'it is a directory, a file is needed',
  EACCES: 'permission denied',
  ENOTDIR: 'a part of the path is no directory',
  ENOSPC: 'no space left on the device',
  EROFS: 'the file system is read-only',
};

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return REASONS[code ?? ''] ?? message;
}

/** @throws CommandError */
export function readBytes(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new CommandError(EXIT.FAILURE, `${path} can't be read: ${reasonOf(error)}`);
  }
}

/** The file's bytes, or undefined when it can't be read: for paths that are tried in turn. */
export function readBytesIfPresent(path: string): Uint8Array | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

export function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

/**
 * Writes the whole file or nothing: a new file beside it takes its name when it is complete. Devices (`/dev/null`) are
 * written to directly.
 * @throws CommandError
 */
export function writeWhole(path: string, data: Uint8Array): void {
  const existing = statSync(path, { throwIfNoEntry: false });
  if (existing?.isDirectory())
    throw new CommandError(EXIT.FAILURE, `${path} can't be written: it is a directory`);
  const isDevice = existing !== undefined && !existing.isFile();
  const target = isDevice ? path : `${path}.${process.pid}.partial`;
  try {
    const descriptor = openSync(target, 'w');
    try {
      for (let written = 0; written < data.length; ) written += writeSync(descriptor, data, written);
      if (!isDevice) fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    if (!isDevice) renameSync(target, path);
  } catch (error) {
    if (!isDevice) rmSync(target, { force: true });
    const hint =
      (error as NodeJS.ErrnoException).code === 'ENOENT' ? `no directory ${dirname(path)}` : reasonOf(error);
    throw new CommandError(EXIT.FAILURE, `${path} can't be written: ${hint}`);
  }
}
