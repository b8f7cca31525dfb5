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
  /** Counts up with the first definition or external declaration; 0 before it. */
  order: number;
  value: Value | undefined;
  /** The pass that defined it last; 0 while it is only referred to or declared. */
  definedInPass: number;
  /** Pass that has already complained about the symbol's missing value. */
  reportedInPass: number;
  /** Its definition was in error: references say nothing more about it. */
  failed: boolean;
  isConstant: boolean;
  isGlobal: boolean;
  /** Words given with GLOBAL for an ELF object: type and visibility (`function`, `data`, `hidden`). */
  elfWords: readonly string[];
  /** Size in bytes given with GLOBAL. */
  elfSize: bigint;
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
  private lastOrder = 0;
  /** Something in this pass differs from the pass before. */
  changed = false;

  /** In order of definition or declaration as external. */
  get all(): SymbolEntry[] {
    return [...this.entries.values()].filter(({ order }) => order > 0).sort((a, b) => a.order - b.order);
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
        order: 0,
        value: undefined,
        definedInPass: 0,
        reportedInPass: 0,
        failed: false,
        isConstant: false,
        isGlobal: false,
        elfWords: [],
        elfSize: 0n,
        external: undefined,
        common: undefined,
        definition: undefined,
      };
      this.entries.set(name, entry);
    }
    return entry;
  }

  private number(entry: SymbolEntry): void {
    if (entry.order === 0) entry.order = ++this.lastOrder;
  }

  /** Records that another object defines the symbol. */
  declareExternal(name: string): SymbolEntry {
    const entry = this.entry(name);
    this.number(entry);
    entry.external ??= new ExternalSymbol(name);
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
    this.number(entry);
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
