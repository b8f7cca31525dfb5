/** Exception vectors (SDM Vol. 3A, 6.3.1 External Interrupts and Table 6-1). */

export const VECTOR = {
  DE: 0,
  DB: 1,
  NMI: 2,
  BP: 3,
  OF: 4,
  BR: 5,
  UD: 6,
  NM: 7,
  DF: 8,
  TS: 10,
  NP: 11,
  SS: 12,
  GP: 13,
  PF: 14,
  MF: 16,
  AC: 17,
  MC: 18,
  XM: 19,
  VE: 20,
} as const;

/** Vectors that push an error code. */
export const VECTORS_WITH_ERROR_CODE: ReadonlySet<number> = new Set([8, 10, 11, 12, 13, 14, 17]);

/** Name of an exception or of NMI as the manual prints it, `#PF`; other vectors give `vector N`. */
export function exceptionName(vector: number): string {
  for (const [name, number] of Object.entries(VECTOR))
    if (number === vector) return vector === VECTOR.NMI ? name : `#${name}`;
  return `vector ${vector}`;
}
