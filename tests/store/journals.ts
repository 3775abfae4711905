/**
 * Journals for tests: in a directory of their own, with what tests put into them.
 *
 * @module
 */

import type { Append, Store, Stored, StoredTopic } from "../../lib/bus/store.ts";
import { epochOf, type TopicInfo } from "../../lib/message.ts";
import { SqliteStore, type SqliteStoreOptions, type StoreWarning } from "../../lib/store/sqlite.ts";

/** When everything here happens. */
export const NOW_MS = Date.parse("2018-03-25T13:18:38.732Z");
/** What a group has counted that has done nothing. */
export const NO_COUNTS = { acked: 0, dead: 0, lost: 0 };

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The topic of this name. */
export function topicOf(name: string, createdMs = NOW_MS): TopicInfo {
  return { name, ttlMs: 60_000, createdMs, epoch: epochOf(createdMs) };
}

/** An append of texts. */
export function appendOf(topic: TopicInfo, ...texts: string[]): Append {
  return { topic, expectedId: 0, payloads: texts.map((text) => encoder.encode(text)), createdMs: NOW_MS };
}

/** A directory for a journal, and what is opened there; gone when it is disposed. */
export class TestDirectory implements AsyncDisposable {
  /** Where it is; there is nothing yet. */
  readonly path: string;
  readonly #root: string;
  readonly #stores: SqliteStore[] = [];
  /** What the stores have said. */
  readonly warnings: StoreWarning[] = [];

  /** Makes one. */
  constructor() {
    this.#root = Deno.makeTempDirSync({ prefix: "msgbus-journal-" });
    this.path = `${this.#root}/data`;
  }

  /** Where a file of the journal is. */
  file(name: string): string {
    return `${this.path}/${name}`;
  }

  /** Where there is room for something else. */
  beside(name: string): string {
    return `${this.#root}/${name}`;
  }

  /** Opens a store, and begins with it. */
  async open(options: Partial<SqliteStoreOptions> = {}): Promise<{ store: SqliteStore; stored: Stored }> {
    const onWarning = (warning: StoreWarning) => void this.warnings.push(warning);
    const store = await SqliteStore.create({ directory: this.path, now: () => NOW_MS, onWarning, ...options });
    this.#stores.push(store);
    return { store, stored: store.open() };
  }

  /** Does something with a store, and closes it. */
  async with<T>(run: (store: SqliteStore, stored: Stored) => Promise<T> | T): Promise<T> {
    const { store, stored } = await this.open();
    try {
      return await run(store, stored);
    } finally {
      await store.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const store of this.#stores) await store.close();
    await Deno.remove(this.#root, { recursive: true });
  }
}

/** The topic of a name among those that a store has kept. */
export function storedTopic({ topics }: Stored, name: string): StoredTopic {
  const found = topics.filter(({ info }) => info.name === name);
  if (found.length !== 1) throw new Error(`There are ${found.length} topics ${name}`);
  return found[0]!;
}

/** What can be read of a topic, as `<id> <text>`. */
export async function textsOf(store: Store, topic: TopicInfo, first = 0, last = 1e9): Promise<string[]> {
  const messages = await store.read(topic, { first, last });
  return messages.map(({ id, payload }) => `${id} ${decoder.decode(payload)}`);
}
