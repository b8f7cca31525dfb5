/** Numbers as people type them at a command line. */

import { InvalidArgumentError } from 'commander';

const SUFFIXES: Record<string, number> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/** A non-negative integer: `64`, `0x100000`. For commander options. */
export function parseCount(text: string): number {
  const value = /^(0x[0-9a-f]+|\d+)$/i.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError('A number is needed, such as 64 or 0x40.');
  return value;
}

/** A size in bytes: `67108864`, `65536K`, `64M`, `64MiB`, `1G`. For commander options. */
export function parseSize(text: string): number {
  const parts = /^(\d+)([kmg]?)(?:i?b)?$/i.exec(text);
  const value = parts === null ? Number.NaN : Number(parts[1]) * (SUFFIXES[parts[2].toLowerCase()] as number);
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError('A size is needed, such as 64M.');
  return value;
}

/** An address of up to 64 bits. For commander options. */
export function parseAddress(text: string): bigint {
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(text) || BigInt(text) >= 1n << 64n)
    throw new InvalidArgumentError('An address is needed, such as 0x100000.');
  return BigInt(text);
}
