/** Assembles a file of the file system; diagnostics go to standard error. */

import { dirname } from 'node:path';
import { type AssemblyOptions, type AssemblyResult, assemble, formatDiagnostic } from '../assembler/index.js';
import { CommandError } from './command-error.js';
import { EXIT } from './exit-codes.js';
import { readBytes, readBytesIfPresent } from './files.js';
import { talk } from './standard-streams.js';

export { formatListing } from '../assembler/index.js';

export type AssembleFileOptions = Pick<AssemblyOptions, 'format' | 'includePaths' | 'defines'>;

/**
 * Files that the source includes are looked for as written, then beside the source, then in `includePaths`.
 * @throws CommandError when the source has errors
 */
export function assembleFile(path: string, options: AssembleFileOptions): AssemblyResult {
  const result = assemble(Buffer.from(readBytes(path)).toString('utf8'), {
    ...options,
    fileName: path,
    includePaths: [dirname(path), ...(options.includePaths ?? [])],
    readFile: readBytesIfPresent,
  });
  for (const diagnostic of result.diagnostics) talk.line(formatDiagnostic(diagnostic));
  if (!result.ok) {
    const errors = result.diagnostics.filter(({ severity }) => severity === 'error').length;
    throw new CommandError(
      EXIT.FAILURE,
      `${path}: ${errors} error${errors === 1 ? '' : 's'}, nothing was assembled`,
    );
  }
  return result;
}
