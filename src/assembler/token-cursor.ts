/** A reading position in a list of tokens. */

import { operatorText, type Token } from './token.js';

export class TokenCursor {
  readonly tokens: readonly Token[];
  position = 0;

  constructor(tokens: readonly Token[]) {
    this.tokens = tokens;
  }

  get atEnd(): boolean {
    return this.position >= this.tokens.length;
  }

  peek(ahead = 0): Token | undefined {
    return this.tokens[this.position + ahead];
  }

  next(): Token | undefined {
    return this.tokens[this.position++];
  }

  /** The last token of the list: the place of what is missing after it. */
  last(): Token | undefined {
    return this.tokens[this.tokens.length - 1];
  }

  takeOperator(text: string): boolean {
    if (operatorText(this.peek()) !== text) return false;
    this.position++;
    return true;
  }

  /** What is left, without moving. */
  rest(): readonly Token[] {
    return this.tokens.slice(this.position);
  }
}
