/** The tokens of a source line, and small questions about them. */

export type TokenKind =
  | 'identifier'
  | 'integer'
  | 'float'
  | 'string'
  | 'operator'
  /** Everything that starts with a per cent sign and means something to the preprocessor: `%define`, `%1`, `%%x`. */
  | 'preprocessor'
  /** Text that is no token; `message` says why. It is an error only where it is used. */
  | 'invalid';

export interface Token {
  readonly kind: TokenKind;
  /** As written, except that an escaped identifier `$eax` has lost its dollar sign. */
  readonly text: string;
  /** 1-based column in the line that it comes from. */
  readonly column: number;
  readonly spaceBefore: boolean;
  /** Value of an integer. */
  readonly value?: bigint;
  /** Content of a string. */
  readonly bytes?: Uint8Array;
  /** An identifier written with a leading dollar sign: never a register, a macro or a keyword. */
  readonly escaped?: boolean;
  readonly message?: string;
}

/** The empty string, or the text of an operator token. */
export function operatorText(token: Token | undefined): string {
  return token?.kind === 'operator' ? token.text : '';
}

/** Lower-case text of an identifier that may be a keyword, otherwise the empty string. */
export function keywordText(token: Token | undefined): string {
  return token?.kind === 'identifier' && !token.escaped ? token.text.toLowerCase() : '';
}

/** The tokens as one line of text, blanks where the source had some. */
export function tokensToText(tokens: readonly Token[]): string {
  let text = '';
  for (const token of tokens) {
    if (token.spaceBefore && text !== '') text += ' ';
    text += (token.escaped ? '$' : '') + token.text;
  }
  return text;
}

/** Splits at top-level commas; brackets of the given kinds protect what they enclose. An empty list gives no part. */
export function splitAtCommas(tokens: readonly Token[], opening: string, closing: string): Token[][] {
  if (tokens.length === 0) return [];
  const parts: Token[][] = [[]];
  let depth = 0;
  for (const token of tokens) {
    const operator = operatorText(token);
    if (operator !== '' && opening.includes(operator)) depth++;
    else if (operator !== '' && closing.includes(operator)) depth--;
    if (operator === ',' && depth <= 0) parts.push([]);
    else parts[parts.length - 1].push(token);
  }
  return parts;
}
