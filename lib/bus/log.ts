/**
 * The log: the retained messages of one topic, in the order of their ids.
 *
 * @module
 */

import type { Message } from "../message.ts";
import { ColdSegment, columnsOf, HotSegment, search, type Segment, slotFrom, slotOf } from "./segment.ts";
import type { StoredTopic } from "./store.ts";

// Dropping a full segment gives its memory back in one step; shifting one array would move a million references.
const SEGMENT_LENGTH = 1024;
// Neighbours that have no more than this together are joined, so that a log of few messages has few segments.
const JOINED_LENGTH = SEGMENT_LENGTH / 2;

/** What a log shares its memory with. */
export interface LogPages {
  /** How many bytes a segment has at most, unless its only message has more: so much is read back at once. */
  readonly maxSegmentBytes: number;
  /** A segment of the log is in memory from now on. */
  added(log: Log, segment: HotSegment): void;
  /** That is over. */
  removed(segment: HotSegment): void;
}

/**
 * A log that appends at its end and forgets anywhere, mostly from its front. Appending a message, and dropping the
 * oldest, cost O(1); so does reading as long as nothing was dropped from the middle, and O(log n) after that. Its memory
 * is that of what it retains, however far apart the ids of that are.
 *
 * The messages of a segment may be evicted from memory and put back later; all but {@linkcode Log.get} works without them.
 */
export class Log {
  readonly #pages: LogPages | undefined;
  readonly #maxSegmentBytes: number;
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
  #residentBytes = 0;
  #cuts = 0;
  /** When the newest message before the oldest retained one was created. */
  #lostMs = -Infinity;
  /** When the newest message of each hole behind that was created, by the id that follows the hole. */
  #holes: Map<number, number> | undefined;

  /** Makes an empty log, all of which stays in memory if there are no `pages`. */
  constructor(pages?: LogPages) {
    this.#pages = pages;
    this.#maxSegmentBytes = pages?.maxSegmentBytes ?? Infinity;
  }

  /** Begins, empty until now, with what a store has kept; nothing of it is in memory. */
  restore({ index: { ids, createdMs, bytes }, next, before, lostMs }: RestoredLog, newestMs: number): void {
    for (let from = 0, to = 0; from < ids.length; from = to) {
      let sum = bytes[to++]!;
      while (to < ids.length && to - from < SEGMENT_LENGTH && sum + bytes[to]! <= this.#maxSegmentBytes) {
        sum += bytes[to++]!;
      }
      const columns = { ids: ids.slice(from, to), createdMs: createdMs.slice(from, to), bytes: bytes.slice(from, to) };
      this.#replace(this.#segments.length, 0, new ColdSegment(columns));
    }
    this.#length = ids.length;
    this.#next = next;
    this.#first = this.#wholeFrom = ids[0] ?? next;
    // When what was in a hole was created is not known any more: no later than what follows it.
    this.#lostMs = this.#first > before ? Math.max(lostMs, createdMs[0] ?? newestMs) : lostMs;
    for (let at = 1; at < ids.length; at++) {
      if (ids[at] !== ids[at - 1]! + 1) this.#noteHole(ids[at]!, createdMs[at]!);
    }
    if (ids.length > 0 && ids.at(-1) !== next - 1) this.#noteHole(next, newestMs);
  }

  #noteHole(before: number, newestMs: number): void {
    (this.#holes ??= new Map()).set(before, newestMs);
    this.#wholeFrom = Math.max(this.#wholeFrom, before);
  }

  /** The id of the oldest retained message; equal to {@linkcode Log.next} if none is retained. */
  get first(): number {
    return this.#first;
  }

  /** The id of the newest retained message; `undefined` if none is retained. */
  get last(): number | undefined {
    const segment = this.#segments.at(-1);
    return segment?.idAt(segment.end - 1);
  }

  /** The id of the next message. */
  get next(): number {
    return this.#next;
  }

  /** How many messages are retained. */
  get length(): number {
    return this.#length;
  }

  /** When the oldest retained message was created; `undefined` if none is retained. */
  get oldestMs(): number | undefined {
    const segment = this.#segments[0];
    return segment?.createdAt(segment.start);
  }

  /** When the newest retained message was created; `undefined` if none is retained. */
  get newestMs(): number | undefined {
    const segment = this.#segments.at(-1);
    return segment?.createdAt(segment.end - 1);
  }

  /** What the retained messages that are in memory are counted for. */
  get residentBytes(): number {
    return this.#residentBytes;
  }

  /**
   * How many messages were dropped that were not the oldest. As long as it stays the same, what is retained is followed by
   * all that it was followed by.
   */
  get cuts(): number {
    return this.#cuts;
  }

  /** The retained message of this id, if it is in memory. */
  get(id: number): Message | undefined {
    if (id < this.#first || id >= this.#next) return undefined;
    if (this.#uneven > 0) return this.#find(id);
    const offset = id - this.#segments[0]!.base;
    const segment = this.#segments[Math.floor(offset / SEGMENT_LENGTH)];
    const message = segment?.messages[offset % SEGMENT_LENGTH];
    if (message?.id !== id) return this.#find(id);
    (segment as HotSegment).isUsed = true;
    return message;
  }

  /** Whether the message of this id is retained. */
  has(id: number): boolean {
    return this.#segmentOf(id) !== undefined;
  }

  /** When the retained message of this id was created; `undefined` if there is none. */
  createdAt(id: number): number | undefined {
    const segment = this.#segmentOf(id);
    return segment?.createdAt(slotFrom(segment, id));
  }

  /** What the retained message of this id is counted for; `undefined` if there is none. */
  bytesAt(id: number): number | undefined {
    const segment = this.#segmentOf(id);
    return segment?.bytesAt(slotFrom(segment, id));
  }

  /** Whether the message of this id is retained, and not in memory. */
  isCold(id: number): boolean {
    return this.coldAt(id) !== undefined;
  }

  /** The segment that is to be put back for the retained message of this id; `undefined` if there is no need, or no message. */
  coldAt(id: number): ColdSegment | undefined {
    const segment = this.#segmentOf(id);
    return segment?.isCold ? segment : undefined;
  }

  /** The segment that is to be put back for what follows that with the retained message of this id; `undefined` if none is. */
  coldAfter(id: number): ColdSegment | undefined {
    if (this.#segmentOf(id) === undefined) return undefined;
    const next = this.#segments[this.#indexOf(id) + 1];
    return next?.isCold ? next : undefined;
  }

  /** The id of the oldest retained message with this id or a later one; {@linkcode Log.next} if there is none. */
  idFrom(id: number): number {
    if (id >= this.#wholeFrom) return Math.min(id, this.#next);
    if (id <= this.#first) return this.#first;
    const at = this.#indexOf(id);
    const segment = this.#segments[at]!;
    const slot = slotFrom(segment, id);
    if (slot < segment.end) return segment.idAt(slot);
    const next = this.#segments[at + 1];
    return next?.idAt(next.start) ?? this.#next;
  }

  /** How many messages with this id or a later one are retained. */
  countFrom(id: number): number {
    if (id >= this.#wholeFrom) return Math.max(this.#next - id, 0);
    if (id <= this.#first) return this.#length;
    const at = this.#indexOf(id);
    const segment = this.#segments[at]!;
    let count = segment.end - slotFrom(segment, id);
    for (let i = at + 1; i < this.#segments.length; i++) count += this.#segments[i]!.end - this.#segments[i]!.start;
    return count;
  }

  /** The id of the oldest of the newest `count` retained messages; {@linkcode Log.next} if those are none. */
  firstOfLast(count: number): number {
    if (count >= this.#length) return this.#first;
    let id = this.#next;
    let rest = count;
    for (let at = this.#segments.length - 1; rest > 0; at--) {
      const segment = this.#segments[at]!;
      const { start, end } = segment;
      id = segment.idAt(Math.max(end - rest, start));
      rest -= end - start;
    }
    return id;
  }

  /** The id of the oldest retained message created at or after a time; {@linkcode Log.next} if none is. */
  firstSince(createdMs: number): number {
    const segments = this.#segments;
    const at = search(0, segments.length, (at) => segments[at]!.createdAt(segments[at]!.end - 1) < createdMs);
    const segment = segments[at];
    if (segment === undefined) return this.#next;
    return segment.idAt(search(segment.start, segment.end, (slot) => segment.createdAt(slot) < createdMs));
  }

  /**
   * When the newest message was created that was dropped from directly before the retained message `id`, or from the end
   * if `id` is {@linkcode Log.next}; `-Infinity` if none was.
   */
  lostBefore(id: number): number {
    if (id === this.#first) return this.#lostMs;
    return this.#holes?.get(id) ?? -Infinity;
  }

  /** Appends a message whose id is {@linkcode Log.next}, and which is counted for so many bytes. */
  append(message: Message, bytes: number): void {
    const last = this.#segments.at(-1);
    if (last !== undefined && !last.isCold && this.#hasRoom(last, bytes)) {
      last.messages.push(message);
      last.bytes += bytes;
      this.#residentBytes += bytes;
    } else {
      this.#replace(this.#segments.length, 0, new HotSegment(this.#next, [message], bytes));
    }
    this.#next++;
    this.#length++;
  }

  #hasRoom(segment: HotSegment, bytes: number): boolean {
    return this.#next - segment.base < SEGMENT_LENGTH && segment.bytes + bytes <= this.#maxSegmentBytes;
  }

  /** Forgets the oldest retained message and returns what it was counted for. There must be one. */
  dropOldest(): number {
    const segment = this.#segments[0]!;
    const { start, end } = segment;
    const createdMs = segment.createdAt(start);
    let bytes: number;
    this.#length--;
    if (start === end - 1) {
      ({ bytes } = segment);
      this.#replace(0, 1);
    } else {
      bytes = segment.shift();
      if (!segment.isCold) this.#residentBytes -= bytes;
    }
    if (this.#first === this.#wholeFrom) {
      this.#first = this.#wholeFrom = this.#first + 1;
    } else {
      const oldest = this.#segments[0];
      this.#first = oldest?.idAt(oldest.start) ?? this.#next;
    }
    this.#lostMs = this.#holes?.get(this.#first) ?? createdMs;
    this.#holes?.delete(this.#first);
    return bytes;
  }

  /**
   * Forgets the retained message of this id, wherever it is, and returns what it was counted for; `undefined` if there is
   * none.
   */
  drop(id: number): number | undefined {
    return id === this.#first && this.#length > 0 ? this.dropOldest() : this.#cut(id);
  }

  #cut(id: number): number | undefined {
    const segment = this.#segmentOf(id);
    if (segment === undefined) return undefined;
    const at = this.#indexOf(id);
    const slot = slotFrom(segment, id);
    const createdMs = segment.createdAt(slot);
    const bytes = segment.cut(slot);
    if (!segment.isCold) this.#residentBytes -= bytes;
    this.#length--;
    this.#cuts++;
    const following = this.#segments[at + 1];
    const after = slot < segment.end ? segment.idAt(slot) : following?.idAt(following.start) ?? this.#next;
    const holes = this.#holes ??= new Map();
    // What was dropped from behind it is newer.
    if (!holes.has(after)) holes.set(after, createdMs);
    holes.delete(id);
    this.#wholeFrom = Math.max(this.#wholeFrom, after);
    if (segment.end === segment.start) {
      this.#replace(at, 1);
    } else {
      this.#join(at);
      this.#join(at - 1);
    }
    return bytes;
  }

  /** Takes the messages of a segment out of memory. */
  evict(segment: HotSegment): void {
    const at = this.#indexOf(segment.idAt(segment.start));
    this.#replace(at, 1, new ColdSegment(columnsOf(segment)));
    this.#join(at);
    this.#join(at - 1);
  }

  /**
   * Puts the messages of a segment into memory again: all that it has, maybe among others that were dropped. Returns what
   * holds them now; `undefined` if the log has no such segment any more.
   */
  fill(segment: ColdSegment, messages: readonly Message[]): HotSegment | undefined {
    const at = this.#segments.length === 0 ? -1 : this.#indexOf(segment.idAt(segment.start));
    if (this.#segments[at] !== segment) return undefined;
    const wanted = messages.filter(({ id }) => slotOf(segment, id) >= 0);
    const filled = new HotSegment(segment.idAt(segment.start), wanted, segment.bytes);
    this.#replace(at, 1, filled);
    return filled;
  }

  /** The segments that are in memory. */
  *hotSegments(): Generator<HotSegment> {
    for (const segment of this.#segments) if (!segment.isCold) yield segment;
  }

  #find(id: number): Message | undefined {
    const segment = this.#segments[this.#indexOf(id)]!;
    if (segment.isCold) return undefined;
    segment.isUsed = true;
    const message = segment.messages[slotFrom(segment, id)];
    return message?.id === id ? message : undefined;
  }

  /** The segment that has the retained message of an id. */
  #segmentOf(id: number): Segment | undefined {
    if (id < this.#first || id >= this.#next) return undefined;
    const segment = this.#segments[this.#indexOf(id)]!;
    return slotOf(segment, id) < 0 ? undefined : segment;
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
    for (const segment of this.#segments.splice(at, count, ...added)) {
      if (segment.isCold) continue;
      this.#residentBytes -= segment.bytes;
      this.#pages?.removed(segment);
    }
    this.#uneven += this.#countUneven(at - 1, at + added.length);
    for (const segment of added) {
      if (segment.isCold) continue;
      this.#residentBytes += segment.bytes;
      this.#pages?.added(this, segment);
    }
  }

  #countUneven(from: number, to: number): number {
    let count = 0;
    for (let at = Math.max(from, 0); at < Math.min(to, this.#segments.length - 1); at++) {
      if (this.#segments[at + 1]!.base - this.#segments[at]!.base !== SEGMENT_LENGTH) count++;
    }
    return count;
  }

  /** Makes one of a segment and the one that follows, if there are both, both are small, and both or none are in memory. */
  #join(at: number): void {
    const left = this.#segments[at];
    const right = this.#segments[at + 1];
    if (left === undefined || right === undefined || left.isCold !== right.isCold) return;
    if (left.end - left.start + right.end - right.start > JOINED_LENGTH) return;
    const bytes = left.bytes + right.bytes;
    if (bytes > this.#maxSegmentBytes) return;
    const joined = left.isCold
      ? new ColdSegment(columnsOf(left, right))
      : new HotSegment(left.base, [...left.messages.slice(left.start), ...right.messages], bytes);
    this.#replace(at, 2, joined);
  }
}

/** What a log begins with; see there. */
export type RestoredLog = Pick<StoredTopic, "index" | "next" | "before" | "lostMs">;

/** The last segment that begins with an id or before it; the first one does. */
function lastUpTo(segments: readonly Segment[], id: number): number {
  return search(1, segments.length, (at) => segments[at]!.base <= id) - 1;
}
