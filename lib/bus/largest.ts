/**
 * The few largest of many.
 *
 * @module
 */

/**
 * The `count` values with the largest keys, largest first; of equal ones those that come first. One pass that sorts
 * only what may be among them.
 */
export function largest<T>(values: Iterable<T>, count: number, keyOf: (value: T) => number): T[] {
  if (count <= 0) return [];
  const kept: { value: T; key: number }[] = [];
  let smallest = -Infinity;
  const select = () => {
    kept.sort((a, b) => b.key - a.key);
    if (kept.length < count) return;
    kept.length = count;
    smallest = kept[count - 1]!.key;
  };
  for (const value of values) {
    const key = keyOf(value);
    // One that is equal comes later than all that are kept.
    if (key <= smallest) continue;
    kept.push({ value, key });
    if (kept.length === 2 * count) select();
  }
  select();
  return kept.map(({ value }) => value);
}
