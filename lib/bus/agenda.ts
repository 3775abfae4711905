/**
 * The agenda of a topic: what is to be published in it later, by when that is.
 *
 * @module
 */

import { Heap, type HeapEntry } from "./heap.ts";
import type { Appointment } from "./schedule.ts";
import type { DelayedMessage } from "./store.ts";
import type { Topic } from "./topic.ts";

/** One message, and what is being done with it. */
export interface Entry {
  /** The message. */
  readonly message: DelayedMessage;
  /** When it is due, as the bus's clock says the time. */
  readonly dueMs: number;
  /** What it is counted for. */
  readonly bytes: number;
  /** Its place in the order of acceptance. */
  readonly order: number;
  /** Settles when the store has answered for its publishing or its cancellation; `undefined` while it hasn't been asked. */
  work: Promise<unknown> | undefined;
}

/** The messages of a topic that are due at the same time. */
interface Moment {
  entries: Set<Entry>;
  /** Whether they are in the order in which they were accepted: one that could not be published comes back at the end. */
  isInOrder: boolean;
  place: HeapEntry<Moment> | undefined;
}

/** The messages of one topic. */
export class Agenda {
  /** The topic. */
  readonly topic: Topic;
  /** Those that wait, and those that something is being done with, by their tokens. */
  readonly entries: Map<string, Entry> = new Map<string, Entry>();
  /** How many the store has not answered for yet. */
  accepting = 0;
  /** When it is to be looked at next. */
  appointment: Appointment | undefined;
  /** Before that nothing is tried: something went wrong. */
  notBeforeMs = -Infinity;
  readonly #moments = new Heap<Moment>();
  readonly #byDue = new Map<number, Moment>();

  /** Makes one without messages. */
  constructor(topic: Topic) {
    this.topic = topic;
  }

  /** When there is something to do, in milliseconds since the Unix epoch; `Infinity` if never. */
  get nextMs(): number {
    return Math.max(this.#moments.peek()?.key ?? Infinity, this.notBeforeMs);
  }

  /** Lets a message wait for its time, for the first time or again. */
  put(entry: Entry, again = false): void {
    const { dueMs } = entry;
    let moment = this.#byDue.get(dueMs);
    if (moment === undefined) {
      this.#byDue.set(dueMs, moment = { entries: new Set(), isInOrder: true, place: undefined });
      moment.place = this.#moments.add(moment, dueMs);
    }
    moment.entries.add(entry);
    if (again) moment.isInOrder = false;
  }

  /** Takes a message that waits. */
  take(entry: Entry): void {
    const { dueMs } = entry;
    const moment = this.#byDue.get(dueMs)!;
    moment.entries.delete(entry);
    if (moment.entries.size > 0) return;
    this.#byDue.delete(dueMs);
    this.#moments.remove(moment.place!);
  }

  /**
   * The messages that wait and are due first, in the order in which they were accepted, if their time has come. They can
   * be taken on the way.
   */
  dueBy(nowMs: number): Iterable<Entry> | undefined {
    const first = this.#moments.peek();
    if (first === undefined || first.key > nowMs) return undefined;
    const moment = first.value;
    if (!moment.isInOrder) moment.entries = new Set([...moment.entries].sort((a, b) => a.order - b.order));
    moment.isInOrder = true;
    return moment.entries;
  }
}
