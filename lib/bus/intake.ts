/**
 * Publishing: from a payload that is accepted to a message that is in its topic's log.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import { formatCursor, Message } from "../message.ts";
import type { Receipt } from "./answers.ts";
import type { Clock } from "./clock.ts";
import type { Fanout } from "./fanout.ts";
import type { Observer } from "./observer.ts";
import type { Retention } from "./retention.ts";
import type { Schedule } from "./schedule.ts";
import type { Append, Store } from "./store.ts";
import type { TopicTable } from "./topic_table.ts";
import type { Topic } from "./topic.ts";

/** What an {@linkcode Intake} works with. */
export interface IntakeParts {
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly store: Store;
  readonly observer: Observer;
  readonly topics: TopicTable;
  readonly retention: Retention;
  readonly fanout: Fanout;
  /** Whether a pull of the topic of this name waits. */
  readonly isAwaited: (name: string) => boolean;
}

/** Checks, has the store append, and applies, in this order; nothing is visible before the store has answered. */
export class Intake {
  readonly #parts: IntakeParts;
  /** No message to come will have been created before this. */
  #acceptedMs: number;
  /** What the store has been asked to append and hasn't answered for, in the order in which it was accepted. */
  readonly #pending = new Set<Append>();
  #published = 0;

  /** Makes one that has published nothing. */
  constructor(parts: IntakeParts) {
    this.#parts = parts;
    this.#acceptedMs = parts.clock.now();
  }

  /** How many messages were published. */
  get published(): number {
    return this.#published;
  }

  /** A time before which everything accepted is visible, and nothing to come will have been created. */
  settledMs(): number {
    // The clock may be set back before the next message is accepted.
    this.#acceptedMs = Math.max(this.#parts.clock.now(), this.#acceptedMs);
    const [oldest] = this.#pending;
    return oldest?.createdMs ?? this.#acceptedMs;
  }

  /** See `MessageBus.put`. The store must be synchronous. */
  put(name: string, payload: string | Uint8Array): Message {
    assertPayload(payload);
    const topic = this.#parts.topics.admit(name);
    const append = this.#prepare(topic, [topic.encode(payload)]);
    return this.#apply(topic, append, this.#ask(topic, append) as number)!;
  }

  /** See `MessageBus.publish`; `assertOpen` throws if it may not be used any more. */
  async publish(
    name: string,
    payloads: readonly (string | Uint8Array)[],
    assertOpen: () => void,
  ): Promise<Receipt> {
    payloads.forEach(assertPayload);
    const count = payloads.length;
    if (count === 0) throw new BusError("bad_request", `Cannot publish to ${quote(name)}: no message was given`);
    const { topics, store, fanout } = this.#parts;
    let topic = topics.admit(name);
    // The store must not be asked to append to what it is removing.
    for (; topic.removal !== undefined; topic = topics.admit(name)) {
      await topic.removal;
      assertOpen();
    }
    const append = this.#prepare(topic, payloads.map((each) => topic.encode(each)));
    const answer = this.#ask(topic, append);
    // A synchronous store is not awaited: nothing may happen between the check, the append and what follows from it.
    let firstId: number;
    if (typeof answer === "number") this.#apply(topic, append, firstId = answer);
    else firstId = await this.#applyLater(topic, append, answer);
    return {
      topic: topic.info.name,
      id: firstId,
      count,
      cursor: formatCursor(firstId + count, topic.info.epoch),
      durability: store.durability,
      subscribers: fanout.countOf(topic),
    };
  }

  /** Checks payloads against the limits, and makes of them what the store is asked to append. */
  #prepare(topic: Topic, payloads: readonly Uint8Array[]): Append {
    const nowMs = this.#parts.clock.now();
    this.#parts.retention.expire(topic, nowMs);
    try {
      this.#parts.retention.admit(topic, payloads);
    } catch (error) {
      this.#parts.topics.forgetIfUnused(topic);
      throw error;
    }
    // A clock that is set back must not make a message older than one before it, whatever the topic: the cursors of
    // subscriptions to several topics are times.
    const createdMs = this.#acceptedMs = Math.max(nowMs, this.#acceptedMs);
    return { topic: topic.info, expectedId: topic.nextId, payloads, createdMs };
  }

  #ask(topic: Topic, append: Append): number | Promise<number> {
    this.#parts.topics.noteUse(topic);
    try {
      return this.#parts.store.append(append);
    } catch (error) {
      this.#parts.topics.forgetIfUnused(topic);
      throw error;
    }
  }

  /** Applies when the store has answered, in the same step in which the messages stop being on their way. */
  async #applyLater(topic: Topic, append: Append, answer: Promise<number>): Promise<number> {
    const release = this.#parts.retention.reserve(topic, append);
    this.#pending.add(append);
    let firstId: number | undefined;
    try {
      firstId = await answer;
    } finally {
      release();
      this.#pending.delete(append);
      if (firstId === undefined) this.#parts.topics.forgetIfUnused(topic);
    }
    this.#apply(topic, append, firstId);
    return firstId;
  }

  /** Makes visible what the store has taken. Returns the last message. */
  #apply(topic: Topic, append: Append, firstId: number): Message | undefined {
    if (topic.deleted) return undefined;
    const { info, log } = topic;
    const { schedule, retention, fanout, observer, isAwaited } = this.#parts;
    if (firstId !== log.next) {
      throw new BusError("internal", `The store assigned id ${firstId} instead of ${log.next} in ${quote(info.name)}`);
    }
    const { createdMs } = append;
    if (firstId === 0) fanout.introduce(topic);
    if (log.length === 0 && info.ttlMs > 0) schedule.move(topic.appointment!, createdMs + info.ttlMs);
    let message: Message | undefined;
    for (const payload of append.payloads) {
      message = new Message(info, { id: log.next, payload, createdMs });
      retention.retain(topic, message);
      this.#published++;
      observer.published?.(message, fanout.countOf(topic));
    }
    if (fanout.hasAudience(topic) || isAwaited(info.name)) {
      fanout.ringLater(topic, firstId, createdMs);
    }
    return message;
  }
}

/** From JavaScript anything may come, and what has no length would spoil the count of bytes for good. */
function assertPayload(payload: unknown): void {
  if (typeof payload !== "string" && !(payload instanceof Uint8Array)) {
    throw new TypeError(`A payload is a string or a Uint8Array, not ${payload}`);
  }
}
