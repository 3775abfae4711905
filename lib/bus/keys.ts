/**
 * The keys of a group: the messages of each are handed out one after the other.
 *
 * @module
 */

import { Heap } from "./heap.ts";
import type { Item } from "./item.ts";

interface HeldKey {
  /** The one that is handed out, or may be. */
  holder: Item;
  /** Those that wait for it, by id; made for the first. */
  blocked: Heap<Item> | undefined;
}

/** Knows which message has each key, and which others of a group wait for it. */
export class HeldKeys {
  readonly #held = new Map<string, HeldKey>();

  /** Whether another message has this key. */
  has(key: string): boolean {
    return this.#held.has(key);
  }

  /** Gives an item its key, which no other has; does nothing if it has none. */
  hold(item: Item): void {
    if (item.key !== undefined) this.#held.set(item.key, { holder: item, blocked: undefined });
  }

  /** Lets an item wait for its key, which another has. */
  block(item: Item): void {
    const held = this.#held.get(item.key!)!;
    item.place = (held.blocked ??= new Heap()).add(item, item.id);
  }

  /** Lets an item wait no more. */
  unblock(item: Item): void {
    this.#held.get(item.key!)!.blocked!.remove(item.place!);
    item.place = undefined;
  }

  /**
   * Lets the one of the lowest id have the key of an item that isn't handed out: others have come after it was taken, and
   * went back before it. Returns the one that has it now; the item waits for that then, unless it is that.
   */
  yield(item: Item): Item {
    const held = item.key === undefined ? undefined : this.#held.get(item.key);
    const first = held?.blocked?.peek()?.value;
    if (held?.holder !== item || first === undefined || first.id > item.id) return item;
    this.unblock(first);
    held.holder = first;
    this.block(item);
    return first;
  }

  /** Which item has a key. */
  holderOf(key: string): Item | undefined {
    return this.#held.get(key)?.holder;
  }

  /** Takes the key of an item away, if it has it; returns the item that has waited longest, and has it now. */
  release(item: Item): Item | undefined {
    if (item.key === undefined) return undefined;
    const held = this.#held.get(item.key);
    if (held?.holder !== item) return undefined;
    const next = held.blocked?.peek()?.value;
    if (next === undefined) {
      this.#held.delete(item.key);
      return undefined;
    }
    this.unblock(next);
    return held.holder = next;
  }
}
