/**
 * The log: the retained messages of one topic, in the order of their ids.
 *
 * @module
 */

import type { Message } from "../message.ts";

// Dropping a full segment gives its memory back in one step; shifting one array would move a million references.
const SEGMENT_LENGTH = 1024;
// Neighbours that have no more than this together are joined, so that a log of few messages has few segments.
const JOINED_LENGTH = SEGMENT_LENGTH / 2;

/** Messages that follow each other, perhaps with holes between them; at least one. */
interface Segment {
  /** The slot of a message is its id minus this, or a lower one if there are holes before it. */
  readonly base: number;
  /** The messages, each in the slot after that of the one before. */
  readonly messages: Message[];
  /** The first slot in use: what was before it was dropped from the front. */
  start: number;
}

/**
 * A log that appends at its end and forgets anywhere, mostly from its front. Appending a message, and dropping the
 * oldest, cost O(1); so does reading as long as nothing was dropped from the middle, and O(log n) after that. Its memory
 * is that of what it retains, however far apart the ids of that are.
 */
export class Log {
  #segments: Segment[] = [];
  /** How many segments are followed by one whose base is not the length of a segment higher. */
  #uneven = 0;
  /** Which segment was found last, if there are any; what is read next is most often there. */
  #hint = 0;
  #first = 0;
  /** From here on every message is retained. */
  #wholeFrom = 0;
  #next = 0;
  #length = 0;
  #cuts = 0;
  /** When the newest message before the oldest retained one was created. */
  #lostMs = -Infinity;
  /** When the newest message of each hole behind that was created, by the id that follows the hole. */
  #holes: Map<number, number> | undefined;

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
    return this.#length;
  }

  /** The oldest retained message. */
  get oldest(): Message | undefined {
    const segment = this.#segments[0];
    return segment?.messages[segment.start];
  }

  /** The newest retained message. */
  get newest(): Message | undefined {
    return this.#segments.at(-1)?.messages.at(-1);
  }

  /**
   * How many messages were dropped that were not the oldest. As long as it stays the same, what is retained is followed by
   * all that it was followed by.
   */
  get cuts(): number {
    return this.#cuts;
  }

  /** The retained message of this id. */
  get(id: number): Message | undefined {
    if (id < this.#first || id >= this.#next) return undefined;
    if (this.#uneven > 0) return this.#find(id);
    const offset = id - this.#segments[0]!.base;
    const message = this.#segments[Math.floor(offset / SEGMENT_LENGTH)]?.messages[offset % SEGMENT_LENGTH];
    return message?.id === id ? message : this.#find(id);
  }

  /** The oldest retained message with this id or a later one. */
  from(id: number): Message | undefined {
    return id >= this.#wholeFrom ? this.get(id) : this.#findFrom(id);
  }

  /** The id of {@linkcode Log.from}; {@linkcode Log.next} if there is none. */
  idFrom(id: number): number {
    return id >= this.#wholeFrom ? Math.min(id, this.#next) : this.#findFrom(id)?.id ?? this.#next;
  }

  /** How many messages with this id or a later one are retained. */
  countFrom(id: number): number {
    if (id >= this.#wholeFrom) return Math.max(this.#next - id, 0);
    if (id <= this.#first) return this.#length;
    const at = this.#indexOf(id);
    const segment = this.#segments[at]!;
    let count = segment.messages.length - slotFrom(segment, id);
    for (let i = at + 1; i < this.#segments.length; i++) count += this.#segments[i]!.messages.length;
    return count;
  }

  /** The id of the oldest of the newest `count` retained messages; {@linkcode Log.next} if those are none. */
  firstOfLast(count: number): number {
    if (count >= this.#length) return this.#first;
    let id = this.#next;
    let rest = count;
    for (let at = this.#segments.length - 1; rest > 0; at--) {
      const { messages } = this.#segments[at]!;
      id = messages[Math.max(messages.length - rest, 0)]!.id;
      rest -= messages.length;
    }
    return id;
  }

  /** The id of the oldest retained message created at or after a time; {@linkcode Log.next} if none is. */
  firstSince(createdMs: number): number {
    const segments = this.#segments;
    const at = search(0, segments.length, (at) => segments[at]!.messages.at(-1)!.createdMs < createdMs);
    const segment = segments[at];
    if (segment === undefined) return this.#next;
    const { messages, start } = segment;
    return messages[search(start, messages.length, (slot) => messages[slot]!.createdMs < createdMs)]!.id;
  }

  /**
   * When the newest message was created that was dropped from directly before the retained message `id`, or from the end
   * if `id` is {@linkcode Log.next}; `-Infinity` if none was.
   */
  lostBefore(id: number): number {
    if (id === this.#first) return this.#lostMs;
    return this.#holes?.get(id) ?? -Infinity;
  }

  /** Appends a message whose id is {@linkcode Log.next}. */
  append(message: Message): void {
    const last = this.#segments.at(-1);
    if (last !== undefined && this.#next - last.base < SEGMENT_LENGTH) last.messages.push(message);
    else this.#replace(this.#segments.length, 0, { base: this.#next, messages: [message], start: 0 });
    this.#next++;
    this.#length++;
  }

  /** Forgets the oldest retained message and returns it. There must be one. */
  dropOldest(): Message {
    const segment = this.#segments[0]!;
    const { messages, start } = segment;
    const message = messages[start]!;
    this.#length--;
    if (start === messages.length - 1) {
      this.#replace(0, 1);
    } else {
      // A dropped message must not live on in its segment.
      messages[start] = undefined as unknown as Message;
      segment.start++;
    }
    if (this.#first === this.#wholeFrom) this.#first = this.#wholeFrom = this.#first + 1;
    else this.#first = this.oldest?.id ?? this.#next;
    this.#lostMs = this.#holes?.get(this.#first) ?? message.createdMs;
    this.#holes?.delete(this.#first);
    return message;
  }

  /** Forgets the retained message of this id, wherever it is, and returns it; `undefined` if there is none. */
  drop(id: number): Message | undefined {
    return id === this.#first && this.#length > 0 ? this.dropOldest() : this.#cut(id);
  }

  #cut(id: number): Message | undefined {
    if (id < this.#first || id >= this.#next) return undefined;
    const at = this.#indexOf(id);
    const segment = this.#segments[at]!;
    const slot = slotFrom(segment, id);
    const message = segment.messages[slot];
    if (message?.id !== id) return undefined;
    segment.messages.splice(slot, 1);
    this.#length--;
    this.#cuts++;
    const after = (segment.messages[slot] ?? this.#segments[at + 1]?.messages[0])?.id ?? this.#next;
    const holes = this.#holes ??= new Map();
    // What was dropped from behind it is newer.
    if (!holes.has(after)) holes.set(after, message.createdMs);
    holes.delete(id);
    this.#wholeFrom = Math.max(this.#wholeFrom, after);
    if (segment.messages.length === 0) {
      this.#replace(at, 1);
    } else {
      this.#join(at);
      this.#join(at - 1);
    }
    return message;
  }

  #find(id: number): Message | undefined {
    const segment = this.#segments[this.#indexOf(id)]!;
    const message = segment.messages[slotFrom(segment, id)];
    return message?.id === id ? message : undefined;
  }

  #findFrom(id: number): Message | undefined {
    if (id <= this.#first) return this.oldest;
    const at = this.#indexOf(id);
    const segment = this.#segments[at]!;
    return segment.messages[slotFrom(segment, id)] ?? this.#segments[at + 1]?.messages[0];
  }

  /** Which segment has the message of an id between the oldest retained one's and the end, if any has. */
  #indexOf(id: number): number {
    const segments = this.#segments;
    if (this.#uneven === 0) {
      return Math.min(Math.floor((id - segments[0]!.base) / SEGMENT_LENGTH), segments.length - 1);
    }
    const { base = Infinity } = segments[this.#hint] ?? {};
    const { base: nextBase = Infinity } = segments[this.#hint + 1] ?? {};
    if (id < base || id >= nextBase) this.#hint = lastUpTo(segments, id);
    return this.#hint;
  }

  /** Puts segments in the place of others. */
  #replace(at: number, count: number, ...added: readonly Segment[]): void {
    this.#uneven -= this.#countUneven(at - 1, at + count);
    this.#segments.splice(at, count, ...added);
    this.#uneven += this.#countUneven(at - 1, at + added.length);
  }

  #countUneven(from: number, to: number): number {
    let count = 0;
    for (let at = Math.max(from, 0); at < Math.min(to, this.#segments.length - 1); at++) {
      if (this.#segments[at + 1]!.base - this.#segments[at]!.base !== SEGMENT_LENGTH) count++;
    }
    return count;
  }

  /** Makes one of a segment and the one that follows, if there are both and both are small. */
  #join(at: number): void {
    const left = this.#segments[at];
    const right = this.#segments[at + 1];
    if (left === undefined || right === undefined) return;
    if (left.messages.length - left.start + right.messages.length > JOINED_LENGTH) return;
    const messages = [...left.messages.slice(left.start), ...right.messages];
    this.#replace(at, 2, { base: left.base, messages, start: 0 });
  }
}

/** The last segment that begins with an id or before it; the first one does. */
function lastUpTo(segments: readonly Segment[], id: number): number {
  return search(1, segments.length, (at) => segments[at]!.base <= id) - 1;
}

/** The slot of the first message of a segment with this id or a later one; the one behind all if there is none. */
function slotFrom({ messages, base, start }: Segment, id: number): number {
  return search(start, Math.min(messages.length, id - base), (slot) => messages[slot]!.id < id);
}

/** The first of the numbers from `low` to before `high` that is not `before` what is searched; `high` if all are. */
function search(low: number, high: number, before: (at: number) => boolean): number {
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (before(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}
