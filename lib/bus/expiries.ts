/**
 * When the retained messages of a topic expire.
 *
 * @module
 */

import { Heap, type HeapEntry } from "./heap.ts";
import type { Log } from "./log.ts";
import type { Timeline } from "./timeline.ts";

/** When a message was created and how long it is kept, in milliseconds; `0` is for ever. */
export interface Lifetime {
  readonly id: number;
  readonly createdMs: number;
  readonly ttlMs: number;
}

/** Which message expires, and when, in milliseconds since the Unix epoch as the bus's clock says the time. */
export interface Expiry {
  readonly id: number;
  readonly expiresMs: number;
}

/** How a message is kept that isn't kept as long as its topic says. */
interface Unusual {
  readonly ttlMs: number;
  /** Its place among those that expire; none if it never does. */
  readonly place: HeapEntry<number> | undefined;
}

/**
 * Knows which message of a log expires first; of several at the same time the one with the lowest id. Messages that live
 * as long as their topic says expire in the order of their ids and cost nothing; the others are sorted.
 */
export class Expiries {
  readonly #log: Log;
  readonly #usualTtlMs: number;
  readonly #timeline: Timeline;
  /** No retained message before this one lives as long as its topic says. */
  #usualFrom = 0;
  /** The retained messages that don't, by id. */
  readonly #unusual = new Map<number, Unusual>();
  /** Those of them that expire, by when they do. */
  #others: Heap<number> | undefined;
  /** The first of all to expire, as long as there are unusual ones. */
  #first: Expiry | undefined;
  /** Whether that has to be found again. */
  #isStale = true;

  /** Begins with an empty log, in a topic whose messages live `ttlMs`; `0` is for ever. */
  constructor(log: Log, ttlMs: number, timeline: Timeline) {
    this.#log = log;
    this.#usualTtlMs = ttlMs;
    this.#timeline = timeline;
  }

  /** The message that expires first; `undefined` if none does. */
  get first(): Expiry | undefined {
    if (this.#unusual.size === 0) {
      const expiresMs = this.expiresMs;
      return expiresMs === Infinity ? undefined : { id: this.#log.first, expiresMs };
    }
    if (this.#isStale) {
      this.#first = this.#find();
      this.#isStale = false;
    }
    return this.#first;
  }

  /** When that is; `Infinity` if none does. */
  get expiresMs(): number {
    if (this.#unusual.size > 0) return this.first?.expiresMs ?? Infinity;
    const { oldestMs } = this.#log;
    return oldestMs === undefined || this.#usualTtlMs === 0
      ? Infinity
      : this.#timeline.passedAt(oldestMs) + this.#usualTtlMs;
  }

  /** How long a retained message is kept, in milliseconds; `0` is for ever. */
  ttlOf(id: number): number {
    return this.#unusual.get(id)?.ttlMs ?? this.#usualTtlMs;
  }

  /** A message was appended to the log. */
  add(message: Lifetime): void {
    if (message.ttlMs !== this.#usualTtlMs) return this.#addUnusual(message);
    if (this.#unusual.size === 0) return;
    if (this.#first === undefined || this.#first.expiresMs > this.#expiryOf(message)) this.#isStale = true;
  }

  #addUnusual(message: Lifetime): void {
    const { id, ttlMs } = message;
    this.#isStale = true;
    const place = ttlMs === 0 ? undefined : (this.#others ??= new Heap()).add(id, this.#expiryOf(message), id);
    this.#unusual.set(id, { ttlMs, place });
  }

  #expiryOf({ createdMs, ttlMs }: Omit<Lifetime, "id">): number {
    return this.#timeline.passedAt(createdMs) + ttlMs;
  }

  /** A message was dropped from the log. */
  remove(id: number): void {
    if (this.#unusual.size === 0) return;
    const place = this.#unusual.get(id)?.place;
    if (place !== undefined) this.#others!.remove(place);
    this.#unusual.delete(id);
    if (id === this.#first?.id) this.#isStale = true;
  }

  #find(): Expiry | undefined {
    const usual = this.#usualTtlMs === 0 ? undefined : this.#oldestUsual();
    const place = this.#others?.peek();
    const other = place === undefined ? undefined : { id: place.value, expiresMs: place.key };
    if (usual === undefined || other === undefined) return usual ?? other;
    const leadMs = other.expiresMs - usual.expiresMs;
    return leadMs > 0 || (leadMs === 0 && usual.id < other.id) ? usual : other;
  }

  #oldestUsual(): Expiry | undefined {
    let id = this.#log.idFrom(this.#usualFrom);
    while (this.#unusual.has(id)) id = this.#log.idFrom(id + 1);
    // Never back: what was passed over is not looked at again.
    this.#usualFrom = id;
    const createdMs = this.#log.createdAt(id);
    if (createdMs === undefined) return undefined;
    return { id, expiresMs: this.#expiryOf({ createdMs, ttlMs: this.#usualTtlMs }) };
  }
}
