/**
 * Segments: what a log is made of. A hot one has its messages; a cold one only what retention needs to know of them.
 *
 * @module
 */

import type { Message } from "../message.ts";
import { retainedBytes } from "./limits.ts";
import type { StoredIndex } from "./store.ts";

const NO_MESSAGES: readonly Message[] = Object.freeze([]);

/** Messages that follow each other, perhaps with holes between them; at least one, which are in memory. */
export class HotSegment {
  /** Tells it from a {@linkcode ColdSegment}. */
  readonly isCold = false;
  /** The slot of a message is its id minus this, or a lower one if there are holes before it. */
  readonly base: number;
  /** The messages, each in the slot after that of the one before. */
  readonly messages: Message[];
  /** The first slot in use: what was before it was dropped from the front. */
  start = 0;
  /** What its messages are counted for. */
  bytes: number;
  /** Whether it is new, or a message was looked at, since this was last set to `false`. */
  isUsed = true;

  /** Makes one of messages that are counted for so many bytes. */
  constructor(base: number, messages: Message[], bytes: number) {
    this.base = base;
    this.messages = messages;
    this.bytes = bytes;
  }

  /** The slot behind the last one in use. */
  get end(): number {
    return this.messages.length;
  }

  /** The id of the message in a slot. */
  idAt(slot: number): number {
    return this.messages[slot]!.id;
  }

  /** When it was created. */
  createdAt(slot: number): number {
    return this.messages[slot]!.createdMs;
  }

  /** What it is counted for. */
  bytesAt(slot: number): number {
    const message = this.messages[slot]!;
    return retainedBytes(message.topic, message);
  }

  /** Forgets the message in the first slot, and returns what it was counted for. */
  shift(): number {
    const bytes = this.bytesAt(this.start);
    this.bytes -= bytes;
    // A dropped message must not live on in its segment.
    this.messages[this.start++] = undefined as unknown as Message;
    return bytes;
  }

  /** Forgets the message in a slot, and returns what it was counted for. */
  cut(slot: number): number {
    const bytes = this.bytesAt(slot);
    this.bytes -= bytes;
    this.messages.splice(slot, 1);
    return bytes;
  }
}

/** The same without the messages: 12 bytes a message if there are no holes, 20 if there are. */
export class ColdSegment {
  /** Tells it from a {@linkcode HotSegment}. */
  readonly isCold = true;
  /** See {@linkcode HotSegment.base}. */
  readonly base: number;
  /** None. */
  readonly messages: readonly Message[] = NO_MESSAGES;
  /** See {@linkcode HotSegment.start}. */
  start = 0;
  /** See {@linkcode HotSegment.end}. */
  end: number;
  /** See {@linkcode HotSegment.bytes}. */
  bytes = 0;
  /** `undefined` as long as there are no holes. */
  #ids: Float64Array | undefined;
  readonly #createdMs: Float64Array;
  readonly #bytes: Uint32Array;

  /** Makes one of columns, which are its own from then on. */
  constructor({ ids, createdMs, bytes }: SegmentColumns) {
    this.base = ids[0]!;
    this.end = ids.length;
    this.#createdMs = createdMs;
    this.#bytes = bytes;
    if (ids[this.end - 1] !== this.base + this.end - 1) this.#ids = ids;
    for (const each of bytes) this.bytes += each;
  }

  /** See {@linkcode HotSegment.idAt}. */
  idAt(slot: number): number {
    return this.#ids === undefined ? this.base + slot : this.#ids[slot]!;
  }

  /** See {@linkcode HotSegment.createdAt}. */
  createdAt(slot: number): number {
    return this.#createdMs[slot]!;
  }

  /** See {@linkcode HotSegment.bytesAt}. */
  bytesAt(slot: number): number {
    return this.#bytes[slot]!;
  }

  /** See {@linkcode HotSegment.shift}. */
  shift(): number {
    const bytes = this.bytesAt(this.start++);
    this.bytes -= bytes;
    return bytes;
  }

  /** See {@linkcode HotSegment.cut}. */
  cut(slot: number): number {
    const bytes = this.bytesAt(slot);
    this.bytes -= bytes;
    this.#ids ??= Float64Array.from({ length: this.end }, (_, slot) => this.base + slot);
    for (const column of [this.#ids, this.#createdMs, this.#bytes]) column.copyWithin(slot, slot + 1, this.end);
    this.end--;
    return bytes;
  }
}

/** A part of a log. */
export type Segment = HotSegment | ColdSegment;

/** What a {@linkcode ColdSegment} knows, one column for each property, in the order of the ids. */
export type SegmentColumns = Omit<StoredIndex, "ttlMs">;

/** The columns of what is in segments, which follow each other. */
export function columnsOf(...segments: readonly Segment[]): SegmentColumns {
  const length = segments.reduce((sum, { start, end }) => sum + end - start, 0);
  const ids = new Float64Array(length);
  const createdMs = new Float64Array(length);
  const bytes = new Uint32Array(length);
  let at = 0;
  for (const segment of segments) {
    for (let slot = segment.start; slot < segment.end; slot++, at++) {
      ids[at] = segment.idAt(slot);
      createdMs[at] = segment.createdAt(slot);
      bytes[at] = segment.bytesAt(slot);
    }
  }
  return { ids, createdMs, bytes };
}

/** The slot of the first message of a segment with this id or a later one; the one behind all if there is none. */
export function slotFrom(segment: Segment, id: number): number {
  const { start, end, base } = segment;
  return search(start, Math.min(end, id - base), (slot) => segment.idAt(slot) < id);
}

/** The slot of the message of this id; -1 if the segment has none. */
export function slotOf(segment: Segment, id: number): number {
  const slot = slotFrom(segment, id);
  return slot < segment.end && segment.idAt(slot) === id ? slot : -1;
}

/** The first of the numbers from `low` to before `high` that is not `before` what is searched; `high` if all are. */
export function search(low: number, high: number, before: (at: number) => boolean): number {
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (before(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}
