/** The guest that verifies its own processor state (guest/verifier.asm), with what it is to do. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { assemble, formatDiagnostic } from '../../../src/assembler/index.js';
import type { GuestImage } from '../../../src/machine/guest-image.js';
import { readGuestImage } from '../../../src/machine/load-image.js';

const DIRECTORY = join(import.meta.dirname, 'guest');

/** What the guest does, by index into its table. */
export const ACTIONS = [
  'port',
  'identify',
  'delay',
  'write-msrs',
  'verify-msrs',
  'swap-bases',
  'call-system',
  'enter-system',
  'use-fpu',
  'switch-task',
  'sleep',
  'window',
] as const;
export type Action = (typeof ACTIONS)[number];

/** Of guest memory: `PAGES` and `WINDOWS` of the guest. */
export const WINDOW_PAGES = 0x16_0000;
export const PAGES_PER_WINDOW = 4;
export const windowAddress = (window: number): number => 0x80_0000 + window * 0x10_0000;
/** What a page holds in its first words. */
export const pageMark = (vmNumber: number, page: number): number => 0x4000_0000 + (vmNumber << 8) + page;

export const MAP_PORT = 0xb1;
export const FREE_PORT = 0xb2;
export const VERIFIER_MEMORY = 2 * 2 ** 20;

export interface VerifierOptions {
  /** Decides all values and the order of the actions: equal seeds, equal values. */
  readonly seed: number;
  readonly rounds: number;
  readonly vmNumber: number;
  readonly vcpus: number;
  readonly lazyFpu: boolean;
  readonly x2apic: boolean;
  readonly pvEoi: boolean;
  readonly actions: readonly Action[];
}

/** Place of `parameters` in the image. */
const PARAMETERS = 16;
const ACTION_BYTES = 32;

const original: Uint8Array = (() => {
  const path = join(DIRECTORY, 'verifier.asm');
  const result = assemble(readFileSync(path, 'utf8'), {
    fileName: path,
    includePaths: [DIRECTORY],
    readFile: (file) => {
      try {
        return readFileSync(file);
      } catch {
        return undefined;
      }
    },
  });
  if (!result.ok) throw new Error(result.diagnostics.map(formatDiagnostic).join('\n'));
  return result.image;
})();

export function verifierGuest(options: VerifierOptions): GuestImage {
  const { seed, rounds, vmNumber, vcpus, lazyFpu, x2apic, pvEoi, actions } = options;
  if (actions.length === 0 || actions.length > ACTION_BYTES)
    throw new RangeError(`a guest with ${actions.length} actions`);
  const image = original.slice();
  const view = new DataView(image.buffer, image.byteOffset + PARAMETERS);
  const words = [
    seed,
    rounds,
    vmNumber,
    vcpus,
    Number(lazyFpu),
    Number(x2apic),
    Number(pvEoi),
    actions.length,
  ];
  for (const [index, word] of words.entries()) view.setUint32(index * 4, word, true);
  for (const [index, action] of actions.entries())
    view.setUint8(words.length * 4 + index, ACTIONS.indexOf(action));
  return readGuestImage(image, 'flat');
}
