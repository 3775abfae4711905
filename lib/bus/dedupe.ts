/**
 * Repeats: publishes that were asked for before, told by the key that their publisher gave them.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import { type Clock, wallOf } from "./clock.ts";
import { Heap, type HeapEntry } from "./heap.ts";
import { MAX_DEDUPE_KEYS } from "./limits.ts";
import type { Appointment, Schedule } from "./schedule.ts";
import type { Idempotency } from "./store.ts";
import type { Topic } from "./topic.ts";
import { whenSettled } from "./topic_table.ts";

/** What {@linkcode Dedupe} works with. */
export interface DedupeParts {
  readonly clock: Clock;
  readonly schedule: Schedule;
  /** How long a key is remembered, in milliseconds; `0` means not at all. */
  readonly windowMs: number;
  /** How many keys are remembered. Default {@linkcode MAX_DEDUPE_KEYS}. */
  readonly maxKeys?: number;
}

/** A publish as its key tells it. */
export interface Asked {
  /** What its publisher calls it. */
  readonly key: string;
  /** See `fingerprintOf`. */
  readonly fingerprint: string;
}

/** A publish that is remembered. */
interface Known {
  readonly topic: Topic;
  readonly idempotency: Idempotency;
  /** How long it is remembered, as the bus's clock says the time. */
  readonly untilMs: number;
  /** What it was answered; `undefined` as long as that isn't known. */
  answer: object | undefined;
  /** Settles when that is known, or when there is none because it failed. */
  settled: Promise<unknown> | undefined;
  place: HeapEntry<Known> | undefined;
}

// What waits for it is memory.
const MIN_SWEEP_MS = 1000;

/** Remembers the answers to publishes that have a key, by topic and key, each for the same time. */
export class Dedupe {
  readonly #parts: DedupeParts;
  readonly #maxKeys: number;
  // Never by joined texts: no topic and key must look like another topic and key.
  readonly #byTopic = new Map<Topic, Map<string, Known>>();
  /** Those that have been answered, by when they are forgotten. */
  readonly #answered = new Heap<Known>();
  readonly #appointment: Appointment;
  #duplicates = 0;
  #forgotten = 0;

  /** Makes one that remembers nothing. */
  constructor(parts: DedupeParts) {
    this.#parts = parts;
    this.#maxKeys = parts.maxKeys ?? MAX_DEDUPE_KEYS;
    this.#appointment = parts.schedule.add({ due: (nowMs) => this.#sweep(nowMs) }, Infinity);
  }

  /** Whether it remembers anything at all. */
  get isOn(): boolean {
    return this.#parts.windowMs > 0;
  }

  /** How many keys it remembers. */
  get size(): number {
    return this.#answered.size;
  }

  /** How many publishes were repeats. */
  get duplicates(): number {
    return this.#duplicates;
  }

  /** How many keys it had to forget before their time. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /** Whether it remembers publishes of a topic. */
  has(topic: Topic): boolean {
    return this.#byTopic.has(topic);
  }

  /**
   * Does what is asked, or, if it was done before, answers as it was answered then. A repeat that comes while the first
   * is on its way waits for what becomes of it; if that fails, the repeat is the first. `admit` gives the topic, again
   * after each wait, as for one that is being deleted; `act` does it.
   *
   * @throws {BusError} `idempotency_conflict` if something else was asked with the key, and what `admit` and `act` throw.
   */
  async once<T extends object>(
    asked: Asked,
    admit: () => Topic,
    act: (topic: Topic, idempotency: Idempotency) => T | Promise<T>,
  ): Promise<T & { duplicate?: true }> {
    return await whenSettled(admit, (topic) => {
      const known = this.#find(topic, asked.key);
      if (known === undefined) return this.#first(topic, asked, act);
      if (known.settled !== undefined) return known.settled.then(() => this.once(asked, admit, act));
      this.#assertSame(known, asked);
      return { ...known.answer as T, duplicate: true };
    });
  }

  /** The same at once, of what is done at once. Returns the answer, and when that was given, in ms since the Unix epoch. */
  onceNow<T extends object>(
    asked: Asked,
    topic: Topic,
    act: (idempotency: Idempotency) => T,
  ): { answer: T; askedMs: number } {
    let known = this.#find(topic, asked.key);
    if (known === undefined) {
      const idempotency = this.#idempotencyOf(asked);
      known = this.#known(topic, idempotency, act(idempotency));
      this.#enter(known);
      this.#remember(known);
    } else this.#assertSame(known, asked);
    return { answer: known.answer as T, askedMs: known.idempotency.untilMs - this.#parts.windowMs };
  }

  /** Takes note of a publish that somebody else was answered, or that was answered before the bus was opened. */
  learn(topic: Topic, idempotency: Idempotency, answer: object): void {
    const { key, untilMs } = idempotency;
    if (!this.isOn || untilMs <= wallOf(this.#parts.clock)) return;
    const other = this.#find(topic, key);
    // What was answered first counts. One that is on its way has been overtaken: it fails, or is the very same.
    if (other !== undefined && other.settled === undefined) return;
    const known = this.#known(topic, idempotency, answer);
    this.#enter(known);
    this.#remember(known);
  }

  /** Forgets everything of a topic. */
  forget(topic: Topic): void {
    for (const known of this.#byTopic.get(topic)?.values() ?? []) {
      if (known.place !== undefined) this.#answered.remove(known.place);
    }
    this.#byTopic.delete(topic);
  }

  async #first<T extends object>(
    topic: Topic,
    asked: Asked,
    act: (topic: Topic, idempotency: Idempotency) => T | Promise<T>,
  ): Promise<T> {
    const idempotency = this.#idempotencyOf(asked);
    const answer = act(topic, idempotency);
    const first = this.#known(topic, idempotency);
    this.#enter(first);
    // What was done at once is known at once: it may be asked for again in this very turn.
    if (answer instanceof Promise) {
      first.settled = answer.catch(() => this.#leave(first));
      first.answer = await answer;
      first.settled = undefined;
    } else {
      first.answer = answer;
    }
    this.#remember(first);
    return first.answer as T;
  }

  #idempotencyOf({ key, fingerprint }: Asked): Idempotency {
    return { key, fingerprint, untilMs: wallOf(this.#parts.clock) + this.#parts.windowMs };
  }

  #known(topic: Topic, idempotency: Idempotency, answer?: object): Known {
    const untilMs = idempotency.untilMs - this.#parts.clock.skewMs;
    return { topic, idempotency, untilMs, answer, settled: undefined, place: undefined };
  }

  /** Counts a repeat. */
  #assertSame({ idempotency }: Known, { key, fingerprint }: Asked): void {
    if (idempotency.fingerprint !== fingerprint) {
      throw new BusError(
        "idempotency_conflict",
        `Cannot publish with idempotency key ${quote(key)}: something else was published with it`,
      );
    }
    this.#duplicates++;
  }

  /** What is known by a key and has not been for too long. */
  #find(topic: Topic, key: string): Known | undefined {
    const known = this.#byTopic.get(topic)?.get(key);
    if (known === undefined || known.settled !== undefined) return known;
    if (this.#parts.clock.now() < known.untilMs) return known;
    this.#leave(known);
    return undefined;
  }

  #enter(known: Known): void {
    const { topic, idempotency: { key } } = known;
    const ofTopic = this.#byTopic.get(topic);
    if (ofTopic === undefined) this.#byTopic.set(topic, new Map([[key, known]]));
    else ofTopic.set(key, known);
  }

  /** Keeps what is known until it is forgotten, in favour of newer ones if there are too many. */
  #remember(known: Known): void {
    const { topic, idempotency: { key }, untilMs } = known;
    // It may have been deleted while the store was asked, and somebody else may have used the key.
    if (topic.deleted || this.#byTopic.get(topic)?.get(key) !== known) return;
    known.place = this.#answered.add(known, untilMs);
    if (this.#answered.size > this.#maxKeys) {
      const oldest = this.#answered.peek()!;
      if (oldest.key > this.#parts.clock.now()) this.#forgotten++;
      this.#leave(oldest.value);
    }
    if (untilMs < this.#appointment.key) this.#parts.schedule.move(this.#appointment, untilMs);
  }

  #leave(known: Known): void {
    const { topic, idempotency: { key }, place } = known;
    if (place !== undefined) this.#answered.remove(place);
    const ofTopic = this.#byTopic.get(topic);
    if (ofTopic?.get(key) === known) ofTopic.delete(key);
    if (ofTopic?.size === 0) this.#byTopic.delete(topic);
  }

  /** Forgets those whose time is over. Returns when to come back. */
  #sweep(nowMs: number): number {
    for (let first = this.#answered.peek(); first !== undefined && first.key <= nowMs; first = this.#answered.peek()) {
      this.#leave(first.value);
    }
    const next = this.#answered.peek()?.key ?? Infinity;
    return Math.max(next, nowMs + MIN_SWEEP_MS);
  }
}
