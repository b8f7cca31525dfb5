/** Guest-physical mappings of one EPT pointer that were walked before (SDM Vol. 3C, 28.3.1 Information That May Be Cached). */

const ENTRIES = 1024;
const EMPTY = -1;

export class TranslationCache {
  private readonly pages = new Float64Array(ENTRIES).fill(EMPTY);
  private readonly hostPages = new Float64Array(ENTRIES);
  private readonly rights = new Uint8Array(ENTRIES);

  /** Slot that holds the page of `address`, or -1. */
  find(page: number): number {
    const slot = page % ENTRIES;
    return this.pages[slot] === page ? slot : -1;
  }
  /** Host-physical page number in a slot. */
  hostPage(slot: number): number {
    return this.hostPages[slot]!;
  }
  /** Read, write, execute permissions in bits 2:0. */
  permissions(slot: number): number {
    return this.rights[slot]!;
  }
  insert(page: number, hostPage: number, permissions: number): void {
    const slot = page % ENTRIES;
    this.pages[slot] = page;
    this.hostPages[slot] = hostPage;
    this.rights[slot] = permissions;
  }
  /** EPT violations and misconfigurations forget the mapping that led to them (28.3.3.1). */
  forget(page: number): void {
    const slot = page % ENTRIES;
    if (this.pages[slot] === page) this.pages[slot] = EMPTY;
  }
  clear(): void {
    this.pages.fill(EMPTY);
  }
}
