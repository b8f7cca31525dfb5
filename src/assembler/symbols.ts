/** Symbols over all passes: what is defined in this pass, and what the pass before said about the rest. */

import type { Token } from './token.js';
import type { AddressBase, Value } from './value.js';

export class ExternalSymbol implements AddressBase {
  readonly kind = 'external';
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

export interface SymbolEntry {
  readonly name: string;
  value: Value | undefined;
  /** The pass that defined it last; 0 while it is only referred to or declared. */
  definedInPass: number;
  /** Its definition was in error: references say nothing more about it. */
  failed: boolean;
  isConstant: boolean;
  isGlobal: boolean;
  /** Type and size given with GLOBAL for an ELF object (`:function`, `:data`). */
  elfType: string;
  /** Declared by EXTERN or COMMON. */
  external: ExternalSymbol | undefined;
  /** Size in bytes and alignment of a common variable. */
  common: { size: bigint; alignment: bigint } | undefined;
  /** Where it was defined in this pass, for the message about a second definition. */
  definition: { file: string; line: number } | undefined;
}

function sameValue(left: Value | undefined, right: Value): boolean {
  if (left === undefined || left.unknown !== right.unknown || left.constant !== right.constant) return false;
  const sameTerms = (a: Value['bases'], b: Value['bases']): boolean =>
    a.length === b.length && a.every((term, i) => term.of === b[i].of && term.factor === b[i].factor);
  return sameTerms(left.bases, right.bases);
}

export class SymbolTable {
  private readonly entries = new Map<string, SymbolEntry>();
  /** Something in this pass differs from the pass before. */
  changed = false;

  /** In order of first mention. */
  get all(): IterableIterator<SymbolEntry> {
    return this.entries.values();
  }

  find(name: string): SymbolEntry | undefined {
    return this.entries.get(name);
  }

  /** The entry of that name, made when it is new. */
  entry(name: string): SymbolEntry {
    let entry = this.entries.get(name);
    if (entry === undefined) {
      entry = {
        name,
        value: undefined,
        definedInPass: 0,
        failed: false,
        isConstant: false,
        isGlobal: false,
        elfType: '',
        external: undefined,
        common: undefined,
        definition: undefined,
      };
      this.entries.set(name, entry);
    }
    return entry;
  }

  /** Records a definition; the caller has checked that it is the first of this pass. */
  define(
    name: string,
    value: Value,
    pass: number,
    isConstant: boolean,
    place: { file: string; line: number },
  ): void {
    const entry = this.entry(name);
    if (!sameValue(entry.value, value)) this.changed = true;
    entry.value = value;
    entry.definedInPass = pass;
    entry.isConstant = isConstant;
    entry.definition = place;
  }

  /** Ends a pass: a symbol that the pass no longer defined has no value any more. */
  dropUndefined(pass: number): void {
    for (const entry of this.entries.values())
      if (entry.value !== undefined && entry.definedInPass !== pass) {
        entry.value = undefined;
        this.changed = true;
      }
  }
}

/** Full names: `.x` belongs to the last label that is not local; `..@x` and `..start` are names of their own. */
export class LabelScope {
  private parent = '';

  reset(): void {
    this.parent = '';
  }

  isLocal(name: string): boolean {
    return name.startsWith('.') && !name.startsWith('..');
  }

  fullName(token: Token): string {
    return this.isLocal(token.text) ? this.parent + token.text : token.text;
  }

  /** Notes a label definition. */
  enter(fullName: string): void {
    if (!fullName.startsWith('..') && !fullName.startsWith('.') && !this.isLocalPart(fullName))
      this.parent = fullName;
  }

  private isLocalPart(fullName: string): boolean {
    return this.parent !== '' && fullName.startsWith(this.parent + '.');
  }
}
