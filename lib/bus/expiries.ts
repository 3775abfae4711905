/**
 * When the retained messages of a topic expire.
 *
 * @module
 */

import type { Message } from "../message.ts";
import { Heap, type HeapEntry } from "./heap.ts";
import type { Log } from "./log.ts";

/**
 * Knows which message of a log expires first; of several at the same time the one with the lowest id. Messages that live
 * as long as their topic says expire in the order of their ids and cost next to nothing; the others are sorted.
 */
export class Expiries {
  readonly #log: Log;
  readonly #usualTtlMs: number;
  /** No retained message before this one lives as long as its topic says. */
  #usualFrom = 0;
  /** How many retained messages don't. */
  #unusual = 0;
  /** Those of them that expire, by when they do. */
  #others: Heap<Message> | undefined;
  /** Their places there, by id. */
  #places: Map<number, HeapEntry<Message>> | undefined;
  /** The first of all to expire, as long as there are unusual ones. */
  #first: Message | undefined;
  /** Whether that has to be found again. */
  #isStale = true;

  /** Begins with an empty log, in a topic whose messages live `ttlMs`; `0` is for ever. */
  constructor(log: Log, ttlMs: number) {
    this.#log = log;
    this.#usualTtlMs = ttlMs;
  }

  /** The message that expires first; `undefined` if none does. */
  get first(): Message | undefined {
    if (this.#unusual === 0) return this.#usualTtlMs === 0 ? undefined : this.#log.oldest;
    if (this.#isStale) {
      this.#first = this.#find();
      this.#isStale = false;
    }
    return this.#first;
  }

  /** A message was appended to the log. */
  add(message: Message): void {
    if (message.ttlMs !== this.#usualTtlMs) return this.#addUnusual(message);
    if (this.#unusual === 0) return;
    if (this.#first === undefined || this.#first.expiresMs > message.expiresMs) this.#isStale = true;
  }

  #addUnusual(message: Message): void {
    const { id, expiresMs } = message;
    this.#unusual++;
    this.#isStale = true;
    if (expiresMs === Infinity) return;
    this.#others ??= new Heap();
    this.#places ??= new Map();
    this.#places.set(id, this.#others.add(message, expiresMs, id));
  }

  /** A message was dropped from the log. */
  remove(message: Message): void {
    if (message.ttlMs !== this.#usualTtlMs) this.#removeUnusual(message);
    if (message !== this.#first) return;
    this.#first = undefined;
    this.#isStale = true;
  }

  #removeUnusual({ id }: Message): void {
    this.#unusual--;
    const place = this.#places?.get(id);
    if (place === undefined) return;
    this.#others!.remove(place);
    this.#places!.delete(id);
  }

  #find(): Message | undefined {
    const usual = this.#usualTtlMs === 0 ? undefined : this.#oldestUsual();
    const other = this.#others?.peek()?.value;
    if (usual === undefined || other === undefined) return usual ?? other;
    const leadMs = other.expiresMs - usual.expiresMs;
    return leadMs > 0 || (leadMs === 0 && usual.id < other.id) ? usual : other;
  }

  #oldestUsual(): Message | undefined {
    let message = this.#log.from(this.#usualFrom);
    while (message !== undefined && message.ttlMs !== this.#usualTtlMs) message = this.#log.from(message.seq);
    // Never back: what was passed over is not looked at again.
    this.#usualFrom = message?.id ?? this.#log.next;
    return message;
  }
}
