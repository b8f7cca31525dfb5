/** Integer and string literals: their text to values. */

const DIGITS = '0123456789abcdef';

const PREFIX_RADIX: Record<string, number> = { x: 16, h: 16, d: 10, t: 10, o: 8, q: 8, b: 2, y: 2 };
const SUFFIX_RADIX: Record<string, number> = { h: 16, x: 16, d: 10, t: 10, o: 8, q: 8, b: 2, y: 2 };

/**
 * The value of an integer literal (`0x1f`, `1fh`, `0b1010`, `777q`, `1_000`, `$1f`), not reduced to any width, or
 * undefined when the text is none. Where prefix and suffix both name a radix (`0b1h`), the larger one counts.
 */
export function parseInteger(text: string): bigint | undefined {
  let digits = text.toLowerCase();
  let radix = 10;
  if (digits.startsWith('$')) {
    digits = digits.slice(1);
    radix = 16;
  } else {
    const prefix = digits.startsWith('0') && digits.length > 2 ? (PREFIX_RADIX[digits[1]] ?? 0) : 0;
    const suffix = SUFFIX_RADIX[digits[digits.length - 1]] ?? 0;
    if (prefix >= suffix && prefix !== 0) {
      radix = prefix;
      digits = digits.slice(2);
    } else if (suffix !== 0) {
      radix = suffix;
      digits = digits.slice(0, -1);
    }
  }
  digits = digits.replaceAll('_', '');
  if (digits === '') return undefined;
  const allowed = DIGITS.slice(0, radix);
  for (const digit of digits) if (!allowed.includes(digit)) return undefined;
  const radixPrefix = radix === 16 ? '0x' : radix === 8 ? '0o' : radix === 2 ? '0b' : '';
  return BigInt(radixPrefix + digits);
}

const encoder = new TextEncoder();

/** The bytes (UTF-8) of a text without escapes. */
export function textToBytes(text: string): Uint8Array {
  return encoder.encode(text);
}

const SIMPLE_ESCAPES: Record<string, number> = { a: 7, b: 8, t: 9, n: 10, v: 11, f: 12, r: 13, e: 27 };

/** The bytes between back quotes, with C-style escapes resolved: `\n`, `\x1b`, `\033`, `\u20ac`, `\U0001f600`. */
export function unescapeBackquoted(text: string): Uint8Array {
  const bytes: number[] = [];
  let position = 0;
  while (position < text.length) {
    if (text[position] !== '\\' || position + 1 === text.length) {
      const character = String.fromCodePoint(text.codePointAt(position) as number);
      bytes.push(...encoder.encode(character));
      position += character.length;
      continue;
    }
    const letter = text[position + 1];
    position += 2;
    const simple = SIMPLE_ESCAPES[letter];
    const hexDigits = letter === 'x' ? 2 : letter === 'u' ? 4 : letter === 'U' ? 8 : 0;
    const rest = text.slice(position);
    if (simple !== undefined) {
      bytes.push(simple);
    } else if (hexDigits > 0) {
      const digits = new RegExp(`^[0-9a-fA-F]{1,${hexDigits}}`).exec(rest)?.[0] ?? '';
      const value = Number.parseInt(digits, 16);
      if (digits === '') bytes.push(letter.charCodeAt(0));
      else if (letter === 'x') bytes.push(value);
      else if (value <= 0x10ffff) bytes.push(...encoder.encode(String.fromCodePoint(value)));
      position += digits.length;
    } else if (letter >= '0' && letter <= '7') {
      const digits = /^[0-7]{0,2}/.exec(rest)?.[0] ?? '';
      bytes.push(Number.parseInt(letter + digits, 8) & 0xff);
      position += digits.length;
    } else {
      bytes.push(...encoder.encode(letter));
    }
  }
  return Uint8Array.from(bytes);
}

/** The number that a character constant stands for: the first byte is the least significant. */
export function bytesToInteger(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let index = Math.min(bytes.length, 8) - 1; index >= 0; index--)
    value = (value << 8n) | BigInt(bytes[index]);
  return value;
}
