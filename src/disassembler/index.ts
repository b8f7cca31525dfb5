/** Instructions → text. */

export { type FormatOptions, formatInstruction } from './format.js';
export type { SymbolLookup } from './memory-text.js';
