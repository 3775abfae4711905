/**
 * Gathers changes into batches: what comes while one is on its way to the disk waits, and goes together.
 *
 * @module
 */

import type { GroupChange } from "../bus/store.ts";
import { BusError } from "../errors.ts";
import type { TopicInfo } from "../message.ts";
import { ByteWriter } from "./bytes.ts";
import { combineChanges } from "./changes.ts";
import type { KnownTopics } from "./known_topics.ts";

/** The most changes that may wait to be stored, and how much they may have in all. */
const MAX_WAITING = 10_000;
const MAX_WAITING_BYTES = 64 * 1024 ** 2;
/** What a change is counted for beside its payloads. */
const CHANGE_BYTES = 256;
/** How many turns of the event loop may bring more to what is about to be stored. */
const MAX_TURNS = 8;

/** A change that waits, or is on its way. */
interface Change {
  /** Writes it; returns what it is answered with. May throw, and then it alone is refused. */
  readonly write: (to: ByteWriter) => unknown;
  readonly resolve: (answer: never) => void;
  readonly reject: (error: unknown) => void;
}

/** Changes that are on their way to the disk together. */
export class Batch {
  /** When it was sent, in milliseconds of `performance.now`. */
  readonly sentMs: number = performance.now();
  readonly #changes: readonly Change[];
  readonly #answers: readonly unknown[];

  /** Makes one of changes that were written, and what that returned. */
  constructor(changes: readonly Change[], answers: readonly unknown[]) {
    this.#changes = changes;
    this.#answers = answers;
  }

  /** How many changes it has. */
  get size(): number {
    return this.#changes.length;
  }

  /** Tells those who wait for it that it is on the disk. */
  resolve(): void {
    for (let at = 0; at < this.#changes.length; at++) this.#changes[at]!.resolve(this.#answers[at] as never);
  }

  /** Tells those who wait for it that it isn't. */
  reject(error: unknown): void {
    for (const { reject } of this.#changes) reject(error);
  }
}

/** What gathering takes. */
export interface GatheringOptions {
  /** The topics that changes are written of. What a batch does to them can be undone until the next one is sent. */
  readonly topics: KnownTopics;
  /** Why no change is taken now; `undefined` if one is. */
  readonly refusal: () => BusError | undefined;
  /** Sends a batch. Whoever hears that it is answered takes it, which may be before this returns. */
  readonly send: (batch: ArrayBuffer) => void;
}

/** The changes that wait, and the batch that is on its way. */
export class Gathering {
  readonly #topics: KnownTopics;
  readonly #refusal: GatheringOptions["refusal"];
  readonly #sendBatch: GatheringOptions["send"];
  #waiting: Change[] = [];
  #waitingBytes = 0;
  /** The notes that wait and to which later ones of their groups can be added. */
  readonly #openNotes = new Map<TopicInfo, Map<string, GroupChange[]>>();
  #batch: Batch | undefined;
  #isSendPlanned = false;
  #isPaused = false;

  /** Begins with nothing. */
  constructor({ topics, refusal, send }: GatheringOptions) {
    this.#topics = topics;
    this.#refusal = refusal;
    this.#sendBatch = send;
  }

  /** Whether nothing waits and nothing is on its way. */
  get isIdle(): boolean {
    return this.#batch === undefined && this.#waiting.length === 0;
  }

  /**
   * Adds a change whose payloads have so many bytes. `write` is called when its batch is sent, after those of all changes
   * before it; if it throws, it must have changed nothing but what it was given and what the topics can undo. Resolves with
   * what it returns when that is on the disk.
   */
  add<T>(payloadBytes: number, write: (to: ByteWriter) => T): Promise<T> {
    const refusal = this.#refuses();
    return refusal === undefined ? this.#put(payloadBytes, write) : Promise.reject(refusal);
  }

  /** Adds what has changed of a group; it is written as one with what waits of that group, unless that was ended. */
  note(topic: TopicInfo, change: GroupChange): Promise<void> {
    const refusal = this.#refuses();
    // What is refused must not be where a later one is added.
    if (refusal !== undefined) return Promise.reject(refusal);
    let ofTopic = this.#openNotes.get(topic);
    if (ofTopic === undefined) this.#openNotes.set(topic, ofTopic = new Map());
    const open = ofTopic.get(change.group);
    if (open !== undefined) {
      open.push(change);
      return this.#put(0, () => {});
    }
    const changes = [change];
    ofTopic.set(change.group, changes);
    return this.#put(0, (to) => this.#topics.writeNote(to, topic, combineChanges(changes)));
  }

  /** Adds nothing to what waits of a group any more: what comes now has to come after it. */
  endNote(topic: TopicInfo, group: string): void {
    this.#openNotes.get(topic)?.delete(group);
  }

  /** The same for all groups of a topic. */
  endNotes(topic: TopicInfo): void {
    this.#openNotes.delete(topic);
  }

  #refuses(): BusError | undefined {
    const refusal = this.#refusal();
    if (refusal !== undefined) return refusal;
    if (this.#waiting.length < MAX_WAITING && this.#waitingBytes < MAX_WAITING_BYTES) return undefined;
    return new BusError("overloaded", `Cannot store: ${this.#waiting.length} changes wait for the disk`);
  }

  #put<T>(payloadBytes: number, write: (to: ByteWriter) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ write, resolve, reject });
      this.#waitingBytes += CHANGE_BYTES + payloadBytes;
      this.#sendSoon();
    });
  }

  /** Sends what waits soon, unless something is on its way: then it is sent when that is there. */
  #sendSoon(): void {
    if (this.#batch !== undefined || this.#isSendPlanned) return;
    this.#isSendPlanned = true;
    this.#sendAfter(0, MAX_TURNS);
  }

  /** Sends what waits when a turn of the event loop has brought nothing more: a commit costs as much as many publishes. */
  #sendAfter(count: number, turns: number): void {
    setImmediate(() => {
      const { length } = this.#waiting;
      if (length > count && turns > 1) this.#sendAfter(length, turns - 1);
      else this.send();
    });
  }

  /** Sends what waits now, unless something is on its way, or it is paused. */
  send(): void {
    this.#isSendPlanned = false;
    if (this.#batch !== undefined || this.#isPaused || this.#waiting.length === 0) return;
    const to = new ByteWriter(this.#waitingBytes);
    const changes: Change[] = [];
    const answers: unknown[] = [];
    this.#topics.keep();
    for (const change of this.#takeWaiting()) {
      const { length } = to;
      const { undoable } = this.#topics;
      try {
        answers.push(change.write(to));
        changes.push(change);
      } catch (error) {
        // Nothing of it is left.
        to.cut(length);
        this.#topics.undo(undoable);
        change.reject(error);
      }
    }
    this.#batch = new Batch(changes, answers);
    this.#sendBatch(to.finish());
  }

  /** Sends nothing until it goes on. */
  pause(): void {
    this.#isPaused = true;
  }

  /** Goes on, with what waits at once. */
  resume(): void {
    this.#isPaused = false;
    this.send();
  }

  /** Takes the batch that was on its way, if one was: another one can be sent then. */
  take(): Batch | undefined {
    const batch = this.#batch;
    this.#batch = undefined;
    return batch;
  }

  /** Refuses what waits. */
  rejectWaiting(error: unknown): void {
    for (const { reject } of this.#takeWaiting()) reject(error);
  }

  #takeWaiting(): Change[] {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#openNotes.clear();
    return waiting;
  }
}
