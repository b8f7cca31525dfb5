/**
 * Which translations the processor's TLB holds. The TLB has no tags, so it is emptied where a tagged one would have
 * no use for its contents (SDM Vol. 3C, 28.3 Caching Translation Information).
 */

import type { ProcessorCore } from '../processor/core.js';
import { MODE_INPUTS } from '../processor/execution-mode.js';
import { STATE } from '../processor/state/layout.js';
import { type I32, i32 } from '../wasm/expression.js';
import type { ExecutionControls } from './intercepts/execution-controls.js';
import type { TransferBuilder } from './transfer/transfer-builder.js';

type Inputs = readonly (readonly [offset: number, bits: number])[];

/** Words of the block that decide translations: CR0 (PE, WP, PG), CR3, CR4 (PSE, PAE, PGE, PCIDE, SMEP, SMAP), EFER (LME, LMA, NXE). */
const TRANSLATION_INPUTS: Inputs = [
  [STATE.CR0, 0x80010001],
  [STATE.CR3, -1],
  [STATE.CR3 + 4, -1],
  [STATE.CR4, 0x3200b0],
  [STATE.EFER, 0xd00],
];

/** Code for a VM exit, before host state is loaded: notes what the guest's translations rest on. */
export function noteTranslationInputs(t: TransferBuilder): void {
  for (const [n, [offset]] of TRANSLATION_INPUTS.entries())
    t.setRegister(STATE.TRANSLATION_INPUTS + n * 4, t.register(offset));
}

/** In what the guest that is entered differs from the one that the processor's caches were last used for. */
export const DIFFERENCE = {
  /** The TLB's translations are others. */
  TRANSLATIONS: 1 << 0,
  /** Execution mode or paging mode have to be worked out again. */
  MODE: 1 << 1,
} as const;

function differs(t: TransferBuilder, inputs: Inputs, notes: number): I32 {
  let difference = i32(0);
  for (const [n, [offset, bits]] of inputs.entries())
    difference = difference.or(
      t
        .register(offset)
        .xor(t.register(notes + n * 4))
        .and(bits),
    );
  return difference.notEquals(0);
}

/** Code for a VM entry, when guest state is loaded: `DIFFERENCE` bits. */
export function differences(t: TransferBuilder): I32 {
  return differs(t, TRANSLATION_INPUTS, STATE.TRANSLATION_INPUTS)
    .multiply(DIFFERENCE.TRANSLATIONS)
    .or(differs(t, MODE_INPUTS, STATE.MODE_INPUTS).multiply(DIFFERENCE.MODE));
}

export class TranslationTags {
  private readonly core: ProcessorCore;
  private sharedWithHost = false;
  private valid = false;
  private vpid = 0;
  private eptRoot = -1;

  constructor(core: ProcessorCore) {
    this.core = core;
  }

  /** Code of this processor runs in root operation, too: nothing is kept across entries and exits. */
  shareWithHost(): void {
    this.sharedWithHost = true;
  }

  /** INVEPT and INVVPID. */
  invalidate(): void {
    this.valid = false;
    this.core.caches.flushAll();
  }

  /**
   * VM entry: guest state is loaded. Keeps the TLB when it holds translations of this very guest.
   * @param found `DIFFERENCE` bits
   */
  enter(controls: ExecutionControls, found: number): void {
    const reusable =
      this.valid &&
      !this.sharedWithHost &&
      controls.vpid !== 0 &&
      this.vpid === controls.vpid &&
      this.eptRoot === controls.eptRoot &&
      (found & DIFFERENCE.TRANSLATIONS) === 0;
    if (!reusable) {
      this.core.caches.flushAll();
      this.vpid = controls.vpid;
      this.eptRoot = controls.eptRoot;
    }
    if ((found & DIFFERENCE.MODE) !== 0) this.core.caches.modeChanged();
  }

  /** VM exit, before host state is loaded: what is noted of the guest's registers holds. */
  note(): void {
    this.valid = true;
  }

  /**
   * VM exit: host state is loaded. Where the host is not code of this processor, nothing runs before the next VM entry,
   * and the caches stay as they are for the guest.
   */
  leave(): void {
    if (!this.sharedWithHost) return;
    this.core.caches.flushAll();
    this.core.caches.modeChanged();
  }
}
