/** The one error of the table itself. */

/** A row of the table that cannot be understood: a mistake in the source, found when the table loads. */
export class MalformedRowError extends Error {
  readonly code = 'MALFORMED_ROW';
  readonly row: string;

  constructor(row: string, reason: string) {
    super(`malformed encoding row: ${reason}: ${row}`);
    this.name = 'MalformedRowError';
    this.row = row;
  }
}
