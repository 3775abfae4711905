/**
 * The log: the retained messages of one topic, in the order of their ids.
 *
 * @module
 */

import type { Message } from "../message.ts";

// Dropping a full segment gives its memory back in one step; shifting one array would move a million references.
const SEGMENT_BITS = 10;
const SEGMENT_LENGTH = 1 << SEGMENT_BITS;

/** An append-only log that forgets from its front. Ids are consecutive; appending, reading and dropping cost O(1). */
export class Log {
  #segments: Message[][] = [];
  /** The id that the first slot of the first segment stands for. */
  #base = 0;
  #first = 0;
  #next = 0;

  /** The id of the oldest retained message; equal to {@linkcode Log.next} if none is retained. */
  get first(): number {
    return this.#first;
  }

  /** The id of the next message. */
  get next(): number {
    return this.#next;
  }

  /** How many messages are retained. */
  get length(): number {
    return this.#next - this.#first;
  }

  /** The oldest retained message. */
  get oldest(): Message | undefined {
    return this.get(this.#first);
  }

  /** The retained message of this id. */
  get(id: number): Message | undefined {
    if (id < this.#first || id >= this.#next) return undefined;
    const slot = id - this.#base;
    return this.#segments[Math.floor(slot / SEGMENT_LENGTH)]![slot % SEGMENT_LENGTH];
  }

  /** The oldest retained message of this id or a later one. */
  from(id: number): Message | undefined {
    return this.get(Math.max(id, this.#first));
  }

  /** How many retained messages have this id or a later one. */
  countFrom(id: number): number {
    return this.#next - Math.max(id, this.#first);
  }

  /** The id of the oldest retained message created at or after a time; {@linkcode Log.next} if none is. */
  firstSince(createdMs: number): number {
    let low = this.#first;
    let high = this.#next;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.get(middle)!.createdMs < createdMs) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Appends a message whose id is {@linkcode Log.next}. */
  append(message: Message): void {
    const last = this.#segments.at(-1);
    if (last === undefined || last.length === SEGMENT_LENGTH) {
      if (this.#segments.length === 0) this.#base = this.#next;
      this.#segments.push([message]);
    } else {
      last.push(message);
    }
    this.#next++;
  }

  /** Forgets the oldest retained message and returns it. There must be one. */
  dropOldest(): Message {
    const slot = this.#first - this.#base;
    const segment = this.#segments[0]!;
    const message = segment[slot]!;
    this.#first++;
    if (this.#first === this.#next) {
      this.#segments = [];
    } else if (slot === SEGMENT_LENGTH - 1) {
      this.#segments.shift();
      this.#base += SEGMENT_LENGTH;
    } else {
      // A dropped message must not live on in its segment.
      segment[slot] = undefined as unknown as Message;
    }
    return message;
  }
}
