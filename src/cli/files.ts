/** Reading and writing files, with errors that say what, where, and what to do. */

import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, resolve } from 'node:path';
import { CommandError } from './command-error.js';
import { EXIT } from './exit-codes.js';
import { output } from './standard-streams.js';
import { systemReason } from './system-reason.js';

/** As a file name: standard input, or standard output. */
export const STANDARD_STREAM = '-';
const STANDARD_INPUT = 0;

const STOPPING_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** How messages call a file that was named on the command line. */
export const nameOf = (path: string): string => (path === STANDARD_STREAM ? '<stdin>' : path);

/** @throws CommandError */
export function readBytes(path: string): Uint8Array {
  try {
    return readFileSync(path === STANDARD_STREAM ? STANDARD_INPUT : named(path));
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError(EXIT.FAILURE, `${nameOf(path)} can't be read: ${systemReason(error)}`);
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

/** There is something of that name that has bytes: a file, a device, a pipe. */
export function isReadable(path: string): boolean {
  return path === STANDARD_STREAM || statusOf(path)?.isDirectory() === false;
}

export interface FileToWrite {
  readonly path: string;
  readonly data: Uint8Array;
}

/**
 * Writes all files whole, or none: new files beside them take their names when all are complete. Devices (`/dev/null`)
 * and standard output are written to directly, last.
 * @param sources files that must not be overwritten, as the data comes from them
 * @throws CommandError
 */
export function writeTogether(files: readonly FileToWrite[], sources: readonly string[] = []): void {
  for (const [index, { path }] of files.entries()) {
    checkWritable(path);
    if ([...sources, ...files.slice(0, index).map((file) => file.path)].some((other) => isSame(path, other)))
      throw new CommandError(EXIT.USAGE, `${path} is named twice: nothing was written`);
  }
  const partial = files
    .filter(({ path }) => isPlain(path))
    .map(({ path, data }) => {
      const place = existsSync(path) ? realpathSync(path) : path;
      return { path: place, data, beside: `${place}.${process.pid}.partial` };
    });
  // Who interrupts waits for the little that is left, and finds no partial file.
  const wait = (): void => {};
  for (const signal of STOPPING_SIGNALS) process.on(signal, wait);
  try {
    for (const { path, data, beside } of partial) attempt(path, () => writeNew(beside, data));
    for (const { path, beside } of partial) attempt(path, () => renameSync(beside, path));
  } finally {
    for (const { beside } of partial) rmSync(beside, { force: true });
    for (const signal of STOPPING_SIGNALS) process.off(signal, wait);
  }
  for (const { path, data } of files)
    if (path === STANDARD_STREAM) output.bytes(data);
    else if (!isPlain(path)) attempt(path, () => writeNew(path, data));
}

/** For commands that work long for what they will write. @throws CommandError when it can't be written for sure */
export function checkWritable(path: string): void {
  if (path === STANDARD_STREAM) return;
  attempt(path, () => {
    if (statusOf(named(path))?.isDirectory()) throw refused(path, 'it is a directory, a file is needed');
    if (!existsSync(dirname(path))) throw refused(path, `no directory ${dirname(path)}`);
    accessSync(isPlain(path) ? dirname(path) : path, constants.W_OK);
  });
}

const statusOf = (path: string): Stats | undefined => statSync(path, { throwIfNoEntry: false });

/** A file, there or not yet there, rather than a device or a stream. */
const isPlain = (path: string): boolean => path !== STANDARD_STREAM && statusOf(path)?.isFile() !== false;

function isSame(path: string, other: string): boolean {
  if (path === STANDARD_STREAM || other === STANDARD_STREAM) return false;
  if (resolve(path) === resolve(other)) return true;
  const [one, two] = [statusOf(path), statusOf(other)];
  return one?.isFile() === true && one.dev === two?.dev && one.ino === two.ino;
}

function named(path: string): string {
  if (path === '') throw new CommandError(EXIT.USAGE, 'the name of a file is needed, not an empty one');
  return path;
}

function writeNew(path: string, data: Uint8Array): void {
  const descriptor = openSync(path, 'w');
  try {
    for (let written = 0; written < data.length; ) written += writeSync(descriptor, data, written);
    if (statusOf(path)?.isFile()) fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function attempt(path: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    if (error instanceof CommandError) throw error;
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw refused(path, isMissing ? 'no file can be made there' : systemReason(error));
  }
}

const refused = (path: string, reason: string): CommandError =>
  new CommandError(EXIT.FAILURE, `${path} can't be written: ${reason}`);
