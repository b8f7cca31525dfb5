/**
 * Which translations the processor's TLB holds. The TLB has no tags, so it is emptied where a tagged one would have
 * no use for its contents (SDM Vol. 3C, 28.3 Caching Translation Information).
 */

import type { ProcessorCore } from '../processor/core.js';
import { STATE } from '../processor/state/layout.js';
import type { ExecutionControls } from './intercepts/execution-controls.js';

/** CR0 (PE, WP, PG), CR4 (PSE, PAE, PGE, PCIDE, SMEP, SMAP) and EFER (LME, LMA, NXE) bits that decide translations. */
const CR0_PAGING = 0x80010001;
const CR4_PAGING = 0x3200b0;
const EFER_PAGING = 0xd00;

const word = (offset: number): number => offset >> 2;

export class TranslationTags {
  private readonly core: ProcessorCore;
  private readonly state: Int32Array;
  private sharedWithHost = false;
  private valid = false;
  private vpid = 0;
  private eptRoot = -1;
  private cr0 = 0;
  private cr3Low = 0;
  private cr3High = 0;
  private cr4 = 0;
  private efer = 0;

  constructor(core: ProcessorCore, state: Int32Array) {
    this.core = core;
    this.state = state;
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

  /** VM entry: guest state is loaded. Keeps the TLB when it holds translations of this very guest. */
  enter(controls: ExecutionControls): void {
    const reusable =
      this.valid &&
      !this.sharedWithHost &&
      controls.vpid !== 0 &&
      this.vpid === controls.vpid &&
      this.eptRoot === controls.eptRoot &&
      this.agrees();
    if (!reusable) this.core.caches.flushAll();
    this.vpid = controls.vpid;
    this.eptRoot = controls.eptRoot;
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

  /** Notes the registers that the guest's translations rest on; called before host state is loaded. */
  note(): void {
    const { state } = this;
    this.valid = true;
    this.cr0 = state[word(STATE.CR0)]! & CR0_PAGING;
    this.cr3Low = state[word(STATE.CR3)]!;
    this.cr3High = state[word(STATE.CR3) + 1]!;
    this.cr4 = state[word(STATE.CR4)]! & CR4_PAGING;
    this.efer = state[word(STATE.EFER)]! & EFER_PAGING;
  }

  private agrees(): boolean {
    const { state } = this;
    return (
      this.cr0 === (state[word(STATE.CR0)]! & CR0_PAGING) &&
      this.cr3Low === state[word(STATE.CR3)] &&
      this.cr3High === state[word(STATE.CR3) + 1] &&
      this.cr4 === (state[word(STATE.CR4)]! & CR4_PAGING) &&
      this.efer === (state[word(STATE.EFER)]! & EFER_PAGING)
    );
  }
}
