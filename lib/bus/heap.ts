/**
 * A binary min-heap whose entries can be moved and removed by their handle.
 *
 * @module
 */

/** An entry of a {@linkcode Heap}; belongs to the heap that made it. */
export interface HeapEntry<T> {
  /** What was put in. */
  readonly value: T;
  /** The key it is ordered by. */
  readonly key: number;
}

interface Slot<T> {
  value: T;
  key: number;
  order: number;
  index: number;
}

const REMOVED = -1;

/** Keeps the entry with the smallest key at hand; every change costs O(log n). */
export class Heap<T> {
  readonly #slots: Slot<T>[] = [];

  /** How many entries there are. */
  get size(): number {
    return this.#slots.length;
  }

  /** The entry with the smallest key, or `undefined` if there is none. */
  peek(): HeapEntry<T> | undefined {
    return this.#slots[0];
  }

  /** The smallest key of all entries but {@linkcode Heap.peek}'s; `Infinity` if there is no other. */
  get secondKey(): number {
    const [, left, right] = this.#slots;
    return Math.min(left?.key ?? Infinity, right?.key ?? Infinity);
  }

  /** Puts a value in; of those with the same key the one with the smallest `order` is first. */
  add(value: T, key: number, order: number = 0): HeapEntry<T> {
    const slot: Slot<T> = { value, key, order, index: this.#slots.length };
    this.#slots.push(slot);
    this.#rise(slot);
    return slot;
  }

  /** Gives an entry of this heap another key; does nothing if it was removed. */
  move(entry: HeapEntry<T>, key: number): void {
    const slot = entry as Slot<T>;
    const before = slot.key;
    if (key === before || slot.index === REMOVED) return;
    slot.key = key;
    if (key < before) this.#rise(slot);
    else this.#sink(slot);
  }

  /** Takes an entry of this heap out; a second call does nothing. */
  remove(entry: HeapEntry<T>): void {
    const slot = entry as Slot<T>;
    const { index } = slot;
    if (index === REMOVED) return;
    slot.index = REMOVED;
    const last = this.#slots.pop()!;
    if (last === slot) return;
    this.#place(last, index);
    if (isBefore(last, slot)) this.#rise(last);
    else this.#sink(last);
  }

  #place(slot: Slot<T>, index: number): void {
    this.#slots[index] = slot;
    slot.index = index;
  }

  #rise(slot: Slot<T>): void {
    let { index } = slot;
    while (index > 0) {
      const up = (index - 1) >> 1;
      const parent = this.#slots[up]!;
      if (!isBefore(slot, parent)) break;
      this.#place(parent, index);
      index = up;
    }
    this.#place(slot, index);
  }

  #sink(slot: Slot<T>): void {
    let { index } = slot;
    for (;;) {
      let down = 2 * index + 1;
      if (down >= this.#slots.length) break;
      if (down + 1 < this.#slots.length && isBefore(this.#slots[down + 1]!, this.#slots[down]!)) down++;
      const child = this.#slots[down]!;
      if (!isBefore(child, slot)) break;
      this.#place(child, index);
      index = down;
    }
    this.#place(slot, index);
  }
}

function isBefore<T>(a: Slot<T>, b: Slot<T>): boolean {
  return a.key < b.key || (a.key === b.key && a.order < b.order);
}
