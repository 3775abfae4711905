/**
 * The store of a bus that keeps its messages in this process and nowhere else.
 *
 * @module
 */

import type { Append, Dropped, Store, Stored } from "../bus/store.ts";
import type { MessageInit, TopicInfo } from "../message.ts";

/** Accepts every change at once; the bus's own log is all that remembers it. */
export class MemoryStore implements Store {
  readonly durability = "memory";
  readonly synchronous = true;
  readonly readsBack: boolean = false;
  readonly refusal = undefined;

  open(): Stored {
    return { startedMs: Infinity, lastCreatedMs: 0, topics: [], gone: [], goneFromMs: Infinity };
  }

  read(_topic: TopicInfo, _ids: { readonly first: number; readonly last: number }): Promise<readonly MessageInit[]> {
    return Promise.resolve([]);
  }

  append(append: Append): number {
    return append.expectedId;
  }

  note(): void {}

  forget(): void {}

  delay(): void {}

  cancel(): void {}

  drop(_topic: TopicInfo, _dropped: Dropped): void {}

  remove(_topic: TopicInfo): void {}

  close(): void {}
}
