/** Assembles a file of the file system; diagnostics go to standard error. */

import { dirname } from 'node:path';
import { type AssemblyOptions, type AssemblyResult, assemble, formatDiagnostic } from '../assembler/index.js';
import { CommandError } from './command-error.js';
import { EXIT } from './exit-codes.js';
import { nameOf, readBytes, readBytesIfPresent } from './files.js';
import { talk } from './standard-streams.js';

export { formatListing } from '../assembler/index.js';

export type AssembleFileOptions = Pick<AssemblyOptions, 'format' | 'includePaths' | 'defines'>;

/** Nobody reads more of them at once. */
const MOST_DIAGNOSTICS = 50;

/** @throws CommandError when the file can't be read, or has errors */
export function assembleFile(path: string, options: AssembleFileOptions): AssemblyResult {
  return assembleSource(nameOf(path), readBytes(path), options);
}

/**
 * Files that the source includes are looked for as written, then beside the source, then in `includePaths`.
 * @param path of the source, for messages and for what it includes; it is not read
 * @throws CommandError when the source has errors
 */
export function assembleSource(
  path: string,
  source: Uint8Array,
  options: AssembleFileOptions,
): AssemblyResult {
  const zero = source.indexOf(0);
  if (zero >= 0)
    throw new CommandError(
      EXIT.FAILURE,
      `${path}: not assembly source: byte ${zero} is zero, which no text has (ASCII or UTF-8 is needed)`,
    );
  const result = assemble(Buffer.from(source).toString('utf8'), {
    ...options,
    fileName: path,
    includePaths: [dirname(path), ...(options.includePaths ?? [])],
    readFile: readBytesIfPresent,
  });
  const { diagnostics } = result;
  for (const diagnostic of diagnostics.slice(0, MOST_DIAGNOSTICS)) talk.line(formatDiagnostic(diagnostic));
  if (diagnostics.length > MOST_DIAGNOSTICS)
    talk.line(`… and ${diagnostics.length - MOST_DIAGNOSTICS} more like these`);
  if (!result.ok) {
    const errors = diagnostics.filter(({ severity }) => severity === 'error').length;
    throw new CommandError(
      EXIT.FAILURE,
      `${path}: ${errors} error${errors === 1 ? '' : 's'}, nothing was assembled`,
    );
  }
  return result;
}
