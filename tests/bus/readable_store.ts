/**
 * A store that gives back what it keeps, when a test says so.
 *
 * @module
 */

import type { Append, Dropped } from "../../lib/bus/store.ts";
import type { MessageInit, TopicInfo } from "../../lib/message.ts";
import { MemoryStore } from "../../lib/store/memory.ts";
import { assert } from "../deps.ts";
import { LaterStore } from "./later_store.ts";

/** Keeps messages, for reading them back, by the epoch of their topic and by id. */
export class KeptMessages {
  readonly #topics = new Map<string, Map<number, MessageInit>>();

  /** Keeps what was appended. */
  append(append: Append, firstId: number): void {
    const { topic, payloads, createdMs, ttlMs, attributes, drops } = append;
    let kept = this.#topics.get(topic.epoch);
    if (kept === undefined) this.#topics.set(topic.epoch, kept = new Map());
    let id = firstId;
    for (const payload of payloads) kept.set(id, { id: id++, payload: payload.slice(), createdMs, ttlMs, attributes });
    if (drops !== undefined) this.#topics.get(drops.topic.epoch)?.delete(drops.id);
  }

  /** What is kept with an id from the first to the last. */
  read({ epoch }: TopicInfo, { first, last }: { readonly first: number; readonly last: number }): MessageInit[] {
    return [...this.#topics.get(epoch)?.values() ?? []].filter(({ id }) => id >= first && id <= last);
  }

  /** Forgets what has left its log. */
  drop({ epoch }: TopicInfo, { before, ids }: Dropped): void {
    const kept = this.#topics.get(epoch);
    assert(
      ids.every((id, i) => id >= before && id > (ids[i - 1] ?? -1)),
      `${ids} is not in order, or before ${before}`,
    );
    for (const id of kept?.keys() ?? []) if (id < before) kept!.delete(id);
    for (const id of ids) kept?.delete(id);
  }

  /** Forgets a message as a bad disk does. */
  lose({ epoch }: TopicInfo, id: number): void {
    assert(this.#topics.get(epoch)?.delete(id), `${id} is not kept`);
  }

  /** Forgets a topic. */
  remove({ epoch }: TopicInfo): void {
    this.#topics.delete(epoch);
  }

  /** The ids that are kept of a topic. */
  idsOf(epoch: string): number[] {
    return [...this.#topics.get(epoch)?.keys() ?? []];
  }
}

/** A store that keeps everything at once, and gives it back a little later. */
export class ReadableMemoryStore extends MemoryStore {
  override readonly readsBack = true;
  readonly #messages = new KeptMessages();

  override append(append: Append): number {
    this.#messages.append(append, append.expectedId);
    return append.expectedId;
  }

  override read(topic: TopicInfo, ids: { first: number; last: number }): Promise<readonly MessageInit[]> {
    return Promise.resolve(this.#messages.read(topic, ids));
  }

  override drop(topic: TopicInfo, dropped: Dropped): void {
    this.#messages.drop(topic, dropped);
  }

  override remove(topic: TopicInfo): void {
    this.#messages.remove(topic);
  }
}

/** A {@linkcode LaterStore} that reads back. What a read gives is what was kept when it was asked. */
export class ReadableStore extends LaterStore {
  override readonly readsBack = true;
  /** What it keeps. */
  readonly messages: KeptMessages = new KeptMessages();
  /** What it was asked to read. */
  readonly reads: string[] = [];
  readonly #promptReads: boolean;

  /** Makes an empty store, which answers by itself, though later, if `prompt`, and gives back by itself if `promptReads`. */
  constructor({ prompt = false, promptReads = false } = {}) {
    super({ prompt });
    this.#promptReads = promptReads;
  }

  override async append(append: Append): Promise<number> {
    const firstId = await super.append(append);
    this.messages.append(append, firstId);
    return firstId;
  }

  override read(topic: TopicInfo, ids: { first: number; last: number }): Promise<readonly MessageInit[]> {
    const name = `read ${topic.name} ${ids.first}-${ids.last}`;
    this.reads.push(name);
    const found = this.messages.read(topic, ids);
    // In an order of its own: appends don't wait for reads.
    return this.ask(name, { epoch: `${topic.epoch} read` }, () => found, this.#promptReads);
  }

  override drop(topic: TopicInfo, dropped: Dropped): void {
    this.messages.drop(topic, dropped);
  }

  override async remove(topic: TopicInfo): Promise<void> {
    await super.remove(topic);
    this.messages.remove(topic);
  }

  /** Whether a reader may have to wait: a read waits for its answer, or the removal of a topic, without which nobody knows what is damaged. */
  get isReading(): boolean {
    return this.waiting.some((name) => /^(read|remove) /.test(name));
  }
}
