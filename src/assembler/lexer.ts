/** One line of text to tokens. Comments end the line; nothing here knows macros or instructions. */

import { parseInteger, textToBytes, unescapeBackquoted } from './literals.js';
import type { Token, TokenKind } from './token.js';

const IDENTIFIER = /[A-Za-z_.?@][A-Za-z0-9_.?@$#~]*/y;
const NUMBER = /\$?[0-9][0-9A-Za-z_.]*/y;
const EXPONENT = /[+-][0-9][0-9_]*/y;
const DECIMAL_EXPONENT_OPEN = /^[0-9][0-9_]*(\.[0-9_]*)?e$/i;
const HEXADECIMAL_EXPONENT_OPEN = /^0[xh](?=\.?[0-9a-f])[0-9a-f_]*(\.[0-9a-f_]*)?p$/i;
const DECIMAL_FLOAT = /^[0-9][0-9_]*(\.[0-9_]*(e[+-]?[0-9_]+)?|e[+-]?[0-9_]+)$/i;
const HEXADECIMAL_FLOAT = /^0[xh](?=\.?[0-9a-f])[0-9a-f_]*(\.[0-9a-f_]*(p[+-]?[0-9_]+)?|p[+-]?[0-9_]+)$/i;
const OPERATORS = [
  '<=>',
  '<<<',
  '>>>',
  '<<',
  '>>',
  '//',
  '==',
  '!=',
  '<>',
  '<=',
  '>=',
  '&&',
  '||',
  '^^',
  '$$',
  '%%',
];

/** Blank, comment or end of line may follow. */
function isBlank(character: string): boolean {
  return (
    character === ' ' || character === '\t' || character === '\r' || character === '\f' || character === '\v'
  );
}

class Lexer {
  private readonly text: string;
  private position = 0;
  private spaceBefore = false;
  readonly tokens: Token[] = [];

  constructor(text: string) {
    this.text = text;
  }

  run(): void {
    const { text } = this;
    while (this.position < text.length) {
      const character = text[this.position];
      if (isBlank(character)) {
        this.spaceBefore = true;
        this.position++;
      } else if (character === ';') {
        return;
      } else {
        this.next(character);
        this.spaceBefore = false;
      }
    }
  }

  private push(kind: TokenKind, length: number, extra: Partial<Token> = {}): void {
    const text = this.text.slice(this.position, this.position + length);
    this.tokens.push({ kind, text, column: this.position + 1, spaceBefore: this.spaceBefore, ...extra });
    this.position += length;
  }

  private match(pattern: RegExp, position = this.position): string {
    pattern.lastIndex = position;
    return pattern.exec(this.text)?.[0] ?? '';
  }

  private next(character: string): void {
    if (character === '"' || character === "'" || character === '`') {
      this.string(character);
      return;
    }
    const number = this.match(NUMBER);
    if (number !== '') {
      this.number(number);
      return;
    }
    if (character === '$') {
      const escaped = this.match(IDENTIFIER, this.position + 1);
      if (escaped !== '') {
        this.push('identifier', escaped.length + 1, { text: escaped, escaped: true });
        return;
      }
    }
    const identifier = this.match(IDENTIFIER);
    if (identifier !== '' && identifier !== '?') {
      this.push('identifier', identifier.length);
      return;
    }
    if (character === '%' && this.preprocessor()) return;
    for (const operator of OPERATORS)
      if (this.text.startsWith(operator, this.position)) {
        this.push('operator', operator.length);
        return;
      }
    if ('+-*/%&|^~!<>=()[]{},:$?\\'.includes(character)) {
      this.push('operator', 1);
      return;
    }
    const length = (this.text.codePointAt(this.position) as number) > 0xffff ? 2 : 1;
    this.push('invalid', length, {
      message: `unexpected character '${this.text.substr(this.position, length)}'`,
    });
  }

  private string(quote: string): void {
    let end = this.position + 1;
    while (end < this.text.length && this.text[end] !== quote)
      end += quote === '`' && this.text[end] === '\\' ? 2 : 1;
    if (end >= this.text.length) {
      const message = `unterminated string (missing ${quote})`;
      this.push('invalid', this.text.length - this.position, { message });
      return;
    }
    const content = this.text.slice(this.position + 1, end);
    const bytes = quote === '`' ? unescapeBackquoted(content) : textToBytes(content);
    this.push('string', end + 1 - this.position, { bytes });
  }

  private number(start: string): void {
    let text = start;
    if (DECIMAL_EXPONENT_OPEN.test(text) || HEXADECIMAL_EXPONENT_OPEN.test(text))
      text += this.match(EXPONENT, this.position + text.length);
    if (DECIMAL_FLOAT.test(text) || HEXADECIMAL_FLOAT.test(text)) {
      this.push('float', text.length);
      return;
    }
    const value = parseInteger(text);
    if (value === undefined) this.push('invalid', text.length, { message: `invalid number '${text}'` });
    else this.push('integer', text.length, { value });
  }

  /** Per cent forms; false when the sign is the modulo operator. */
  private preprocessor(): boolean {
    const rest = this.text.slice(this.position);
    const braced = /^%\{([^}]*)\}/.exec(rest);
    if (braced) {
      this.push('preprocessor', braced[0].length, { text: '%' + braced[1].trim() });
      return true;
    }
    const form =
      /^%(?:\d+|[+-]\d+|%[A-Za-z_.?@][\w.?@$#~]*|\$+[A-Za-z_.?@][\w.?@$#~]*|[A-Za-z_][\w]*|\*|\?\??|\+|\[)/.exec(
        rest,
      );
    if (form === null || (form[0] === '%*' && !/^%\*\d/.test(rest))) return false;
    this.push('preprocessor', form[0].length);
    return true;
  }
}

/** The tokens of one line (without its line end), comment dropped. Never fails: bad text becomes `invalid` tokens. */
export function tokenizeLine(text: string): Token[] {
  const lexer = new Lexer(text);
  lexer.run();
  return lexer.tokens;
}
