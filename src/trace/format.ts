/** How the sinks write numbers and colours. */

/** Receives one line of text, without its line end. */
export type WriteLine = (line: string) => void;

/** Text of the instruction that starts at `rip` with these bytes; injected, as the sinks know no encodings. */
export type DescribeInstruction = (bytes: Uint8Array, rip: bigint) => string;

/** Marks a part of a line: with terminal colours, or not at all. */
export interface Palette {
  readonly quiet: (text: string) => string;
  readonly strong: (text: string) => string;
  readonly light: (text: string) => string;
  readonly heavy: (text: string) => string;
}

const unchanged = (text: string): string => text;
export const PLAIN: Palette = { quiet: unchanged, strong: unchanged, light: unchanged, heavy: unchanged };

/** `10400` → `10,400`. For integers. */
export function grouped(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, ',');
}

export function hexadecimal(value: bigint | number): string {
  return `0x${value.toString(16)}`;
}

/** Bytes as hex digits without separators: `e680`. */
export function hexadecimalBytes(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Text cut or padded to exactly `width` characters. */
export function column(text: string, width: number): string {
  return text.length > width ? `${text.slice(0, width - 1)}…` : text.padEnd(width);
}
