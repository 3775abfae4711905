/**
 * The store of a bus that keeps its messages in this process and nowhere else.
 *
 * @module
 */

import type { Append, Store } from "../bus/store.ts";

/** Accepts every change at once; the bus's own log is all that remembers it. */
export class MemoryStore implements Store {
  readonly durability = "memory";
  readonly synchronous = true;

  append(append: Append): number {
    return append.expectedId;
  }

  note(): void {}

  forget(): void {}

  delay(): void {}

  cancel(): void {}

  remove(): void {}

  close(): void {}
}
