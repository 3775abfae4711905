/**
 * What is kept and what has to go: the limits of a bus, and the count of everything they bound.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import { MAX_ID, type Message } from "../message.ts";
import type { BusTotals } from "./answers.ts";
import { Heap } from "./heap.ts";
import { type Limits, retainedBytes } from "./limits.ts";
import type { DropReason, Observer } from "./observer.ts";
import type { Pager } from "./pager.ts";
import type { Append } from "./store.ts";
import type { Timeline } from "./timeline.ts";
import type { RestoredTopic, Topic } from "./topic.ts";
import type { UntoldDrops } from "./untold_drops.ts";

/** Whom a {@linkcode Retention} tells. */
export interface RetentionOptions {
  /** The limits it keeps. */
  readonly limits: Limits;
  /** Told of every message that is dropped. */
  readonly observer: Observer;
  /** What keeps the memory small, if the store reads back: then the log of a topic may be far larger. */
  readonly pager: Pager;
  /** What tells the store of what has left a log. */
  readonly untold: UntoldDrops;
  /** When messages were created. */
  readonly timeline: Timeline;
  /** Told of a topic that lost its last message to another one's. */
  readonly onEmptied: (topic: Topic, nowMs: number) => void;
}

/** What a {@linkcode Retention} has counted. */
export type RetentionTotals = Pick<
  BusTotals,
  "messages" | "bytes" | "residentBytes" | "scheduledBytes" | "expired" | "dropped" | "damaged"
>;

interface Firm {
  readonly messages: number;
  readonly topicBytes: number;
  readonly allBytes: number;
}

/** Counts what the topics of a bus retain, and drops what a limit or its time says must go. */
export class Retention {
  readonly #limits: Limits;
  readonly #observer: Observer;
  readonly #pager: Pager;
  readonly #untold: UntoldDrops;
  readonly #timeline: Timeline;
  readonly #onEmptied: RetentionOptions["onEmptied"];
  /** Topics by how many bytes could be dropped from them, negated: the first has most. */
  readonly #ranking = new Heap<Topic>();
  #bytes = 0;
  #doneBytes = 0;
  #pendingBytes = 0;
  #heldBytes = 0;
  #messages = 0;
  #expired = 0;
  #dropped = 0;
  #damaged = 0;

  /** Makes the retention of a bus without topics. */
  constructor({ limits, observer, pager, untold, timeline, onEmptied }: RetentionOptions) {
    this.#limits = limits;
    this.#observer = observer;
    this.#pager = pager;
    this.#untold = untold;
    this.#timeline = timeline;
    this.#onEmptied = onEmptied;
  }

  /** What is retained now, and what no longer is. */
  get totals(): RetentionTotals {
    return {
      messages: this.#messages,
      bytes: this.#bytes,
      residentBytes: this.#pager.bytes,
      scheduledBytes: this.#heldBytes,
      expired: this.#expired,
      dropped: this.#dropped,
      damaged: this.#damaged,
    };
  }

  /** Begins to count an empty topic. */
  enter(topic: Topic): void {
    topic.rank = this.#ranking.add(topic, 0);
  }

  /** Counts what a store has kept of a topic that was empty until now. Nothing of it is in memory. */
  restore(topic: Topic, stored: RestoredTopic): void {
    topic.restore(stored, this.#timeline.newestMs);
    this.#bytes += topic.bytes;
    this.#messages += topic.log.length;
    this.#rank(topic);
  }

  /** Stops counting a topic and what it retains. */
  leave(topic: Topic): void {
    this.#pager.leave(topic);
    this.#ranking.remove(topic.rank!);
    this.#bytes -= topic.bytes;
    this.#doneBytes -= topic.doneBytes;
    this.#messages -= topic.log.length;
  }

  /**
   * Checks that what is to be appended can be retained, with everything counted that is on its way to the store. Returns
   * what it will be counted for, in bytes.
   *
   * @throws {BusError} `too_large`, `id_space_exhausted`, `topic_full`, `overloaded`.
   */
  admit(topic: Topic, append: Append): number {
    const { topic: info, payloads, expectedId } = append;
    const { maxPayloadBytes, maxTopicBytes, maxMemoryBytes, maxMessages } = this.#limits;
    for (const { length } of payloads) {
      if (length > maxPayloadBytes) {
        throw new BusError("too_large", `payload exceeds max-payload-size: ${length} > ${maxPayloadBytes}`);
      }
    }
    const bytes = bytesOf(append);
    if (expectedId + payloads.length > MAX_ID) {
      throw new BusError("id_space_exhausted", `Cannot publish to ${quote(info.name)}: its ids are used up`);
    }
    const isFull = ({ messages, topicBytes }: Firm) =>
      messages + payloads.length > maxMessages || topicBytes + bytes > maxTopicBytes;
    const isOver = ({ allBytes }: Firm) => allBytes + bytes > maxMemoryBytes;
    let firm = this.#firm(topic);
    if (isFull(firm) || isOver(firm)) {
      // Leases that ended by themselves, and what has expired, may have moved groups since that was found out.
      this.noteMoved(topic);
      firm = this.#firm(topic);
    }
    if (isFull(firm)) throw new BusError("topic_full", `Cannot publish to ${quote(info.name)}: the topic is full`);
    if (isOver(firm)) {
      throw new BusError("overloaded", `Cannot publish to ${quote(info.name)}: the memory is full (max-memory)`);
    }
    return bytes;
  }

  /**
   * What cannot make room: what is on its way to the store or to be published later, and with `discard new` what the groups of the topic, and
   * those of all topics, are not done with.
   */
  #firm(topic: Topic): Firm {
    const keeps = this.#limits.discard === "new";
    return {
      messages: topic.pendingMessages + topic.heldMessages + (keeps ? topic.undone : 0),
      topicBytes: topic.pendingBytes + topic.heldBytes + (keeps ? topic.bytes - topic.doneBytes : 0),
      // What can be read back makes room by leaving the memory.
      allBytes: this.#pendingBytes + this.#heldBytes +
        (keeps && !this.#pager.isOn ? this.#bytes - this.#doneBytes : 0),
    };
  }

  /** Counts what is on its way to the store, until the function it returns is called. */
  reserve(topic: Topic, append: Append): () => void {
    const messages = append.payloads.length;
    const bytes = bytesOf(append);
    const count = (sign: 1 | -1) => {
      topic.pendingMessages += sign * messages;
      topic.pendingBytes += sign * bytes;
      this.#pendingBytes += sign * bytes;
      this.#pager.count(sign * bytes);
    };
    count(1);
    return () => count(-1);
  }

  /** Counts a message that is to be published later, or `messages`; {@linkcode Retention.fit} makes room for it. */
  hold(topic: Topic, bytes: number, messages = 1): void {
    topic.heldMessages += messages;
    topic.heldBytes += bytes;
    this.#heldBytes += bytes;
    this.#pager.count(bytes);
  }

  /** Stops counting what {@linkcode Retention.hold} counted. */
  release(topic: Topic, bytes: number, messages = 1): void {
    this.hold(topic, -bytes, -messages);
  }

  /** Stops counting all messages that were to be published in a topic later. */
  releaseAll(topic: Topic): void {
    this.#heldBytes -= topic.heldBytes;
    this.#pager.count(-topic.heldBytes);
    topic.heldMessages = topic.heldBytes = 0;
  }

  /** Makes room for what is to be published in a topic later. Never refuses: that was decided before. */
  fit(topic: Topic, nowMs: number): void {
    this.#makeRoom(topic, 0, nowMs);
    this.#rank(topic);
  }

  /** Appends a message to its topic's log, after making room. Never refuses: that was decided before. */
  retain(topic: Topic, message: Message): void {
    const bytes = retainedBytes(topic.info, message);
    this.#makeRoom(topic, bytes, this.#timeline.passedAt(message.createdMs));
    topic.append(message, bytes);
    this.#bytes += bytes;
    this.#messages++;
    this.#rank(topic);
    this.#pager.count(bytes);
  }

  /** Takes note that groups of a topic have moved, or are others. */
  noteMoved(topic: Topic): void {
    if (this.#limits.discard === "old") return;
    const doneBefore = topic.doneBytes;
    topic.measureDone();
    this.#doneBytes += topic.doneBytes - doneBefore;
    this.#rank(topic);
  }

  /** Drops what has expired in a topic, in the order in which it did. */
  expire(topic: Topic, nowMs: number): void {
    if (topic.expiresMs > nowMs) return;
    for (let { expiresMs } = topic; expiresMs <= nowMs; { expiresMs } = topic) {
      this.#drop(topic, topic.nextToExpire!.id, "expired", expiresMs);
    }
    topic.usedMs = Math.max(topic.usedMs, nowMs);
    this.#rank(topic);
  }

  /** Takes a dead letter that was published to its topic again out of its log, if it is still there. */
  takeOut(topic: Topic, id: number, nowMs: number): void {
    this.#takeOut(topic, id, "redriven", nowMs);
  }

  /** Drops a message that the store can't give back, if it is still retained. */
  damage(topic: Topic, id: number, nowMs: number): void {
    this.#takeOut(topic, id, "damaged", nowMs);
  }

  #takeOut(topic: Topic, id: number, reason: DropReason, nowMs: number): void {
    if (topic.deleted || !topic.log.has(id)) return;
    this.#drop(topic, id, reason, nowMs);
    this.#rank(topic);
    if (topic.log.length === 0) this.#onEmptied(topic, nowMs);
  }

  /** Makes room for one more message of so many bytes; for none if that are 0. */
  #makeRoom(topic: Topic, bytes: number, nowMs: number): void {
    const { maxMessages, maxTopicBytes, maxMemoryBytes } = this.#limits;
    const mostMessages = maxMessages - topic.heldMessages - (bytes === 0 ? 0 : 1);
    const mostBytes = maxTopicBytes - topic.heldBytes - bytes;
    while (topic.log.length > 0 && (topic.log.length > mostMessages || topic.bytes > mostBytes)) {
      this.#drop(topic, topic.log.first, "limit", nowMs);
    }
    while (!this.#pager.isOn && this.#bytes + this.#heldBytes + bytes > maxMemoryBytes) {
      this.#rank(topic);
      const largest = this.#ranking.peek()!;
      if (largest.key === 0) return;
      this.#drop(largest.value, largest.value.log.first, "limit", nowMs);
      this.#rank(largest.value);
      if (largest.value.log.length === 0) this.#onEmptied(largest.value, nowMs);
    }
  }

  /** Drops a message, which stops being good at `atMs`. */
  #drop(topic: Topic, id: number, reason: DropReason, atMs: number): void {
    const bytesBefore = topic.bytes;
    const doneBefore = topic.doneBytes;
    const residentBefore = topic.log.residentBytes;
    // Before it leaves the log: a message that was handed out as often as it may be is to be a dead letter.
    for (const group of topic.holding) group.lose(id, atMs);
    if (this.#pager.isOn) this.#untold.note(topic, id, reason);
    topic.drop(id, reason);
    this.#bytes += topic.bytes - bytesBefore;
    this.#doneBytes += topic.doneBytes - doneBefore;
    this.#pager.count(topic.log.residentBytes - residentBefore);
    this.#messages--;
    if (reason === "expired") this.#expired++;
    else if (reason === "limit") this.#dropped++;
    else if (reason === "damaged") this.#damaged++;
    this.#observer.dropped?.(topic.info, id, reason);
  }

  #rank(topic: Topic): void {
    this.#ranking.move(topic.rank!, -(this.#limits.discard === "old" ? topic.bytes : topic.doneBytes));
  }
}

/** What messages will be counted for while they are retained. */
function bytesOf({ topic, expectedId, payloads, ttlMs = topic.ttlMs, attributes }: Append): number {
  let bytes = 0;
  let id = expectedId;
  for (const payload of payloads) bytes += retainedBytes(topic, { id: id++, payload, ttlMs, attributes });
  return bytes;
}
