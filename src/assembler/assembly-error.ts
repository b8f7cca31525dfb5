/** The error that ends the work on one source line; the line driver turns it into a diagnostic. */

import type { Token } from './token.js';

export class AssemblyError extends Error {
  readonly code: string;
  /** Where in the line; undefined means the statement as a whole. */
  readonly token: Token | undefined;

  constructor(code: string, message: string, token?: Token) {
    super(message);
    this.code = code;
    this.token = token;
  }
}

/** Ends the work on the current line. `token` is the place the caret points at. */
export function fail(code: string, message: string, token?: Token): never {
  throw new AssemblyError(code, message, token);
}
