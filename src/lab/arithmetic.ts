/** The arithmetic of the tables: ratios, changes, errors, medians. Undefined stands for what can't be computed. */

/** How many times as much `before` is as `after`: what halves has a ratio of 2. */
export function ratioOf(before: number, after: number): number | undefined {
  return after === 0 ? undefined : before / after;
}

/** From `before` to `after`, in percent of `before`. */
export function changeInPercent(before: number, after: number): number | undefined {
  return before === 0 ? undefined : (100 * (after - before)) / before;
}

/** A figure as it was published: a number, or a range. */
export type PublishedValue = number | { readonly from: number; readonly to: number };

/** Error of `measured` in percent of the published figure; inside a published range there is none. */
export function errorInPercent(measured: number, published: PublishedValue): number | undefined {
  if (typeof published === 'number') return relativeError(measured, published);
  if (measured < published.from) return relativeError(measured, published.from);
  if (measured > published.to) return relativeError(measured, published.to);
  return 0;
}

function relativeError(measured: number, published: number): number | undefined {
  return published === 0 ? undefined : (100 * (measured - published)) / Math.abs(published);
}

/** The middle one in order of size; of an even number the upper of the two, so that it is one of them. */
export function medianBy<Item>(items: readonly Item[], key: (item: Item) => number): Item | undefined {
  return [...items].sort((a, b) => key(a) - key(b))[items.length >> 1];
}
