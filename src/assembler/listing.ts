/** The listing: every line that was read, with the address and the bytes that it made. */

import type { ListedLine } from './pass.js';

export interface ListingLine {
  readonly file: string;
  /** 1-based line number in the file. */
  readonly line: number;
  /** Address of the first byte; undefined for a line that makes none. */
  readonly address: bigint | undefined;
  readonly bytes: Uint8Array;
  /** Bytes that the line only reserves, in a section without content. */
  readonly reserved: number;
  readonly source: string;
  /** Macros around the line. */
  readonly depth: number;
}

/** Completes the listed lines with addresses and final bytes. */
export function buildListing(
  lines: readonly ListedLine[],
  addressOf: (line: ListedLine) => bigint,
  bytesOf: (line: ListedLine) => Uint8Array,
): ListingLine[] {
  return lines.map((line) => {
    const { file, number, text, depth, length, section } = line;
    const bytes = section === undefined || section.nobits || length === 0 ? new Uint8Array(0) : bytesOf(line);
    return {
      file,
      line: number,
      address: length === 0 ? undefined : addressOf(line),
      bytes,
      reserved: length - bytes.length,
      source: text,
      depth,
    };
  });
}

const BYTES_PER_ROW = 9;

const hexadecimal = (bytes: Uint8Array): string =>
  [...bytes].map((byte) => byte.toString(16).toUpperCase().padStart(2, '0')).join('');

function addressText(address: bigint): string {
  return address.toString(16).toUpperCase().padStart(8, '0');
}

/** One line of the listing as text: number, address, bytes, source; long data goes on in further rows. */
function formatLine(line: ListingLine): string {
  const number = String(line.line).padStart(6);
  const mark = line.depth > 0 ? `<${line.depth}>`.padStart(4) : '    ';
  const { address, bytes, reserved, source } = line;
  if (address === undefined) return `${number} ${''.padEnd(28)}${mark} ${source}`.trimEnd();
  if (bytes.length === 0) {
    const text = `<res ${reserved.toString(16).toUpperCase()}h>`;
    return `${number} ${addressText(address)} ${text.padEnd(19)}${mark} ${source}`.trimEnd();
  }
  const rows: string[] = [];
  for (let offset = 0; offset < bytes.length; offset += BYTES_PER_ROW) {
    const last = offset + BYTES_PER_ROW >= bytes.length;
    const hex = hexadecimal(bytes.subarray(offset, offset + BYTES_PER_ROW)) + (last ? '' : '-');
    const row = `${number} ${addressText(address + BigInt(offset))} ${hex.padEnd(19)}`;
    rows.push((offset === 0 ? `${row}${mark} ${source}` : row).trimEnd());
  }
  return rows.join('\n');
}

/** The whole listing as text, one line per source line, ending in a line end. */
export function formatListing(result: { readonly listing: readonly ListingLine[] }): string {
  return result.listing.map((line) => `${formatLine(line)}\n`).join('');
}
