/**
 * A topic: a log, the groups that take from it, and those who are told of new messages.
 *
 * @module
 */

import type { Gap } from "../event.ts";
import type { Message, TopicInfo } from "../message.ts";
import { isReserved } from "../topic_name.ts";
import { Audience } from "./audience.ts";
import { Damage } from "./damage.ts";
import { Expiries, type Expiry } from "./expiries.ts";
import { type Group, QUEUE } from "./group.ts";
import type { HeapEntry } from "./heap.ts";
import { Log, type LogPages } from "./log.ts";
import type { DropReason } from "./observer.ts";
import type { Appointment } from "./schedule.ts";
import type { Dropped, StoredTopic } from "./store.ts";
import { TextChunks } from "./text_chunks.ts";
import type { Timeline } from "./timeline.ts";

const encoder = new TextEncoder();

/** What a topic begins with. */
export interface TopicInit {
  /** When that is, which may be before the time that its info gives, so that its epoch is new. */
  readonly nowMs: number;
  /** When its messages were created. */
  readonly timeline: Timeline;
  /** What its log shares its memory with, if the store reads back. */
  readonly pages?: LogPages | undefined;
}

/** The state of one topic. The bus changes it, in one go, never with an `await` in the middle. */
export class Topic {
  /** What its messages carry. */
  readonly info: TopicInfo;
  /** Its retained messages. */
  readonly log: Log;
  /** What all who pull share: the queue, and the groups that have a name, by that. */
  readonly groups: Map<string, Group> = new Map();
  /** Those of them that are not done with some message: they care about what leaves the log. */
  readonly holding: Set<Group> = new Set();
  /** Who is told of new messages. */
  readonly audience: Audience = new Audience();
  /** Whether it was deleted; appends still on their way to the store then end in nothing. */
  deleted = false;
  /** Whether somebody deleted it with what it had; one that was forgotten because it was idle had only gaps left. */
  cleared = false;
  /** Whether only the server publishes to it. */
  readonly isReserved: boolean;
  /** Messages and bytes that the store has been asked to append and hasn't answered for. */
  pendingMessages = 0;
  /** See {@linkcode Topic.pendingMessages}. */
  pendingBytes = 0;
  /** Messages and bytes that are to be published later. */
  heldMessages = 0;
  /** See {@linkcode Topic.heldMessages}. */
  heldBytes = 0;
  /** When it last had a message, a reader or a visitor, in milliseconds since the Unix epoch. */
  usedMs: number;
  /** Settles when the store has answered for its removal; `undefined` while it hasn't been asked. */
  removal: Promise<unknown> | undefined;
  /** When it is to be looked after next. */
  appointment: Appointment | undefined;
  /** Its place among the topics that memory could be taken from. */
  rank: HeapEntry<Topic> | undefined;

  #bytes = 0;
  /** The id up to which all groups are done, as of when that was last looked at. */
  #doneTo = 0;
  #doneBytes = 0;
  #texts: TextChunks | undefined;
  readonly #expiries: Expiries;

  /** The newest message that a limit has dropped, and when it was created. */
  #limitLost: Dropped["limit"];
  readonly #damage = new Damage();

  /** Makes an empty topic. */
  constructor(info: TopicInfo, { nowMs, timeline, pages }: TopicInit) {
    this.info = info;
    this.log = new Log(pages);
    this.isReserved = isReserved(info.name);
    this.usedMs = nowMs;
    this.#expiries = new Expiries(this.log, info.ttlMs, timeline);
  }

  /** Bytes retained. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The group without a name. */
  get queue(): Group {
    return this.groups.get(QUEUE)!;
  }

  /** The part of {@linkcode Topic.bytes} that all groups were done with when {@linkcode Topic.measureDone} was called. */
  get doneBytes(): number {
    return this.#doneBytes;
  }

  /** How many retained messages were not done with then. */
  get undone(): number {
    return this.log.countFrom(this.#doneTo);
  }

  /** Finds out what all groups are done with. The queue counts if it was used, or if there is no other group. */
  measureDone(): void {
    let floor = Infinity;
    for (const group of this.groups.values()) {
      if (group.name !== QUEUE || group.isUsed || this.groups.size === 1) floor = Math.min(floor, group.floor);
    }
    if (floor < this.#doneTo) {
      // There is a new group.
      this.#doneTo = this.log.first;
      this.#doneBytes = 0;
    }
    const end = Math.min(floor, this.log.next);
    for (let id = this.log.idFrom(this.#doneTo); id < end; id = this.log.idFrom(id + 1)) {
      this.#doneBytes += this.log.bytesAt(id)!;
      this.#doneTo = id + 1;
    }
    this.#doneTo = Math.max(this.#doneTo, end);
  }

  /** The id of the next message to be accepted, those on their way to the store counted. */
  get nextId(): number {
    return this.log.next + this.pendingMessages;
  }

  /** When its newest message was created, retained or not; `-Infinity` if it has had none. */
  get newestMs(): number {
    return Math.max(this.log.newestMs ?? -Infinity, this.log.lostBefore(this.log.next));
  }

  /** The newest message that a limit has dropped, and when it was created; `undefined` if none was. */
  get limitLost(): Dropped["limit"] {
    return this.#limitLost;
  }

  /** How long the newest retained message is kept, in milliseconds; if there is none, what the topic says. */
  get newestTtlMs(): number {
    const { last } = this.log;
    return last === undefined ? this.info.ttlMs : this.#expiries.ttlOf(last);
  }

  /** The retained message that expires first, the oldest of several; `undefined` if none expires. */
  get nextToExpire(): Expiry | undefined {
    return this.#expiries.first;
  }

  /** When that is, as the bus's clock says the time; `Infinity` if none does. */
  get expiresMs(): number {
    return this.#expiries.expiresMs;
  }

  /** Begins, empty until now, with what a store has kept; no message of any topic was created after `newestMs`. */
  restore(stored: RestoredTopic, newestMs: number): void {
    const { index: { ids, createdMs, bytes, ttlMs }, limit } = stored;
    this.log.restore(stored, newestMs);
    this.#limitLost = limit;
    for (const each of bytes) this.#bytes += each;
    if (ttlMs.size === 0) return;
    for (const [at, id] of ids.entries()) {
      const unusualMs = ttlMs.get(id);
      if (unusualMs !== undefined) this.#expiries.add({ id, createdMs: createdMs[at]!, ttlMs: unusualMs });
    }
  }

  /** The bytes of a payload that is kept for `ttlMs`: a text in UTF-8, bytes as they are. */
  encode(payload: string | Uint8Array, ttlMs: number = this.info.ttlMs): Uint8Array {
    if (typeof payload !== "string") return payload;
    // One that stays when those around it are gone, or goes long before them, must not share their memory.
    if (ttlMs !== this.info.ttlMs) return encoder.encode(payload);
    return (this.#texts ??= new TextChunks()).encode(payload);
  }

  /** Appends a message, which counts as `bytes`. */
  append(message: Message, bytes: number): void {
    this.log.append(message, bytes);
    this.#expiries.add(message);
    this.#bytes += bytes;
  }

  /** What a reader at `next` has missed: from there to the next retained message, or the end; `undefined` if nothing. */
  gapAt(next: number): Gap | undefined {
    const end = this.log.idFrom(next);
    if (next >= end) return undefined;
    const isDamaged = this.#damage.reaches(next, end);
    // A limit drops the oldest, so nothing that is retained is before what it has dropped.
    const isDropped = this.#limitLost !== undefined && this.#limitLost.id >= next;
    const reason = isDamaged ? "damaged" : isDropped ? "dropped" : "expired";
    return { topic: this.info.name, from: next, to: end - 1, reason };
  }

  /**
   * What a reader that wants everything created at or after a time has missed before the first message that it gets;
   * `undefined` if nothing.
   */
  gapSince(createdMs: number): Gap | undefined {
    const start = this.log.firstSince(createdMs);
    if (this.log.lostBefore(start) < createdMs) return undefined;
    const isDamaged = this.#damage.newestMsBefore(start) >= createdMs;
    const isDropped = this.#limitLost !== undefined && this.#limitLost.createdMs >= createdMs;
    const reason = isDamaged ? "damaged" : isDropped ? "dropped" : "expired";
    return { topic: this.info.name, from: null, to: start - 1, reason };
  }

  /** Drops the retained message of this id; for a limit only the oldest. There must be one. */
  drop(id: number, reason: DropReason): void {
    const { log } = this;
    const createdMs = id === log.first ? log.oldestMs! : log.createdAt(id)!;
    const bytes = log.drop(id)!;
    this.#expiries.remove(id);
    if (reason === "limit") this.#limitLost = { id, createdMs };
    if (reason === "damaged") this.#damage.add(id, createdMs);
    this.#bytes -= bytes;
    if (id < this.#doneTo) this.#doneBytes -= bytes;
    // A topic that retains nothing must hold no chunk either.
    if (log.length === 0) this.#texts = undefined;
  }
}

/** What a topic begins with; see there. */
export type RestoredTopic = Pick<StoredTopic, "index" | "next" | "before" | "lostMs" | "limit">;
