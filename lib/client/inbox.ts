/**
 * What a client has received and its reader has not taken yet.
 *
 * @module
 */

/** A queue that knows its size. */
export class Inbox<T> {
  #items: (T | undefined)[] = [];
  #sizes: number[] = [];
  #first = 0;
  #size = 0;

  /** The sum of the sizes of what waits. */
  get size(): number {
    return this.#size;
  }

  /** Appends an item of this size. */
  push(item: T, size: number): void {
    this.#items.push(item);
    this.#sizes.push(size);
    this.#size += size;
  }

  /** Takes the first item, or `undefined` if there is none. */
  shift(): T | undefined {
    if (this.#first === this.#items.length) return undefined;
    const item = this.#items[this.#first];
    this.#items[this.#first] = undefined;
    this.#size -= this.#sizes[this.#first++]!;
    if (this.#first === this.#items.length) this.clear();
    else if (this.#first >= 1024 && this.#first * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#first);
      this.#sizes = this.#sizes.slice(this.#first);
      this.#first = 0;
    }
    return item;
  }

  /** Forgets everything. */
  clear(): void {
    this.#items = [];
    this.#sizes = [];
    this.#first = 0;
    this.#size = 0;
  }
}
