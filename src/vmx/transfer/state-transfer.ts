/**
 * The transfers of state at VM entry and VM exit, compiled to WebAssembly: once for all machines, instantiated once for
 * the linear memory of each.
 */

import { i32 } from '../../wasm/expression.js';
import { type FunctionBody, writeModule } from '../../wasm/module-writer.js';
import { loadGuestRegisters } from '../entry/load-guest-state.js';
import { unusualGuest, unusualState } from '../entry/unusual-state.js';
import { loadHostState } from '../exit/load-host-state.js';
import { saveGuestState } from '../exit/save-guest-state.js';
import { differences, noteTranslationInputs } from '../translation-tags.js';
import { TransferBuilder } from './transfer-builder.js';

/** `block` and `region` are addresses in linear memory: the processor's block, the current VMCS region. */
export interface StateTransfer {
  /** All `UNUSUAL` bits. */
  unusual(block: number, region: number): number;
  /** Loads guest registers unless something is unusual that matters at every VM entry. @returns `DIFFERENCE` bits, or `NOT_PLAIN` */
  loadPlainGuest(block: number, region: number): number;
  /** Loads guest registers. @returns `DIFFERENCE` bits */
  loadGuest(block: number, region: number): number;
  /** `DIFFERENCE` bits of the registers as they are. */
  differences(block: number, region: number): number;
  /**
   * Saves guest state; parameters are those of `SavedByCaller`.
   * @returns the `GROUP` bits of fields that changed
   */
  saveGuest(
    block: number,
    region: number,
    interruptibility: number,
    activity: number,
    flagsKept: number,
    flagsSet: number,
  ): number;
  loadHost(block: number, region: number): void;
  /** Saves guest state and loads host state. */
  exit: StateTransfer['saveGuest'];
}

/** Result of `loadPlainGuest` when something is unusual. */
export const NOT_PLAIN = -1;

const PLACES = 2;
const SAVED_PARAMETERS = 4;
/** Indices of the function types. */
const TYPE = { LOAD: 0, SAVE: 1, PROCEDURE: 2 } as const;
const places = ['i32', 'i32'] as const;
const TYPES = [
  { parameters: places, results: ['i32'] },
  { parameters: [...places, 'i32', 'i32', 'i32', 'i32'], results: ['i32'] },
  { parameters: places, results: [] },
] as const;

function load(build: (t: TransferBuilder) => void): FunctionBody {
  const t = new TransferBuilder(PLACES);
  build(t);
  return t.builder.finish(TYPE.LOAD);
}

function loadGuest(t: TransferBuilder): void {
  loadGuestRegisters(t);
  t.builder.return(differences(t));
}

function save(thenLoadHost: boolean): FunctionBody {
  const t = new TransferBuilder(PLACES + SAVED_PARAMETERS);
  noteTranslationInputs(t);
  saveGuestState(t, {
    interruptibility: t.parameter(0),
    activity: t.parameter(1),
    flagsKept: t.parameter(2),
    flagsSet: t.parameter(3),
  });
  if (thenLoadHost) loadHostState(t);
  t.builder.return(t.differing());
  return t.builder.finish(TYPE.SAVE);
}

function loadHost(): FunctionBody {
  const t = new TransferBuilder(PLACES);
  loadHostState(t);
  return t.builder.finish(TYPE.PROCEDURE);
}

function compile(): WebAssembly.Module {
  const functions: Record<keyof StateTransfer, FunctionBody> = {
    unusual: load((t) => t.builder.return(unusualGuest(t))),
    loadPlainGuest: load((t) => {
      t.builder.if(unusualState(t), () => t.builder.return(i32(NOT_PLAIN)));
      loadGuest(t);
    }),
    loadGuest: load(loadGuest),
    differences: load((t) => t.builder.return(differences(t))),
    saveGuest: save(false),
    loadHost: loadHost(),
    exit: save(true),
  };
  const bytes = writeModule({
    types: TYPES,
    importedFunctions: [],
    functions: Object.values(functions),
    exports: Object.keys(functions).map((name, index) => ({ name, index })),
    tableOffset: undefined,
  });
  return new WebAssembly.Module(bytes);
}

let compiled: WebAssembly.Module | undefined;
const instances = new WeakMap<WebAssembly.Memory, StateTransfer>();

/** The transfers within a linear memory. Processors that share one share them, too, so that calls have one target. */
export function stateTransferIn(memory: WebAssembly.Memory): StateTransfer {
  const known = instances.get(memory);
  if (known !== undefined) return known;
  compiled ??= compile();
  const { exports } = new WebAssembly.Instance(compiled, { env: { memory } });
  const transfer = exports as unknown as StateTransfer;
  instances.set(memory, transfer);
  return transfer;
}
