/**
 * Publishing: from a payload that is accepted to a message that is in its topic's log.
 *
 * @module
 */

import { assertKey, attributesOf, withoutServerHeaders } from "../attributes.ts";
import { BusError, quote } from "../errors.ts";
import { type Attributes, formatCursor, Message, type Position, type TopicInfo } from "../message.ts";
import { parseDuration } from "../wire/duration.ts";
import { NO_OPTIONS, type PublishOptions, type Receipt } from "./answers.ts";
import type { Clock } from "./clock.ts";
import type { Dedupe } from "./dedupe.ts";
import type { Fanout } from "./fanout.ts";
import { fingerprintOf } from "./fingerprint.ts";
import { assertTtl } from "./limits.ts";
import type { Observer } from "./observer.ts";
import type { Retention } from "./retention.ts";
import type { Schedule } from "./schedule.ts";
import type { Append, DelayedMessage, Idempotency, Store } from "./store.ts";
import type { Timeline } from "./timeline.ts";
import type { Topic } from "./topic.ts";
import { refusalOf, type TopicTable, unlessSuperseded, whenSettled } from "./topic_table.ts";

/** What an {@linkcode Intake} works with. */
export interface IntakeParts {
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly store: Store;
  readonly observer: Observer;
  readonly topics: TopicTable;
  readonly retention: Retention;
  readonly fanout: Fanout;
  readonly dedupe: Dedupe;
  /** Whether a pull of the topic of this name waits. */
  readonly isAwaited: (name: string) => boolean;
  readonly timeline: Timeline;
  /** Told of what somebody else has appended. */
  readonly onForeign: (topic: Topic, append: Append) => void;
  /** Publishes what is due in a topic: it comes before what is accepted from now on. */
  readonly publishDue: (topic: Topic) => void;
}

/** What the server publishes. */
export interface ReservedAppend {
  /** How long the topic keeps messages, if it is made, in milliseconds. */
  readonly topicTtlMs: number;
  /** The payload. */
  readonly payload: Uint8Array;
  /** Everything else, server headers among it. */
  readonly attributes: Attributes;
  /** What is changed in the same step. */
  readonly settles: Append["settles"];
}

/** A time at which something was accepted. */
interface PendingTime {
  /** In milliseconds since the Unix epoch. */
  readonly createdMs: number;
  /** How many appends of then the store hasn't answered for. */
  count: number;
}

/** Checks, has the store append, and applies, in this order; nothing is visible before the store has answered. */
export class Intake {
  readonly #parts: IntakeParts;
  /** When what the store has been asked to append and hasn't answered for was accepted, in that order. */
  readonly #pending: PendingTime[] = [];
  #published = 0;

  /** Makes one that has published nothing. */
  constructor(parts: IntakeParts) {
    this.#parts = parts;
  }

  /** How many messages were published. */
  get published(): number {
    return this.#published;
  }

  /** A time before which everything accepted is visible, and nothing to come will have been created. */
  settledMs(): number {
    const { clock, timeline } = this.#parts;
    return this.#pending[0]?.createdMs ?? timeline.stamp(clock.now());
  }

  /** See `MessageBus.put`. The store must be synchronous. */
  put(name: string, payload: string | Uint8Array, wanted: Wanted): Message {
    assertPayload(payload);
    const topic = this.#parts.topics.admit(name);
    if (wanted.idempotencyKey !== undefined && this.#parts.dedupe.isOn) return this.#putOnce(topic, payload, wanted);
    return this.#putNow(topic, topic.encode(payload, wanted.ttlMs), wanted);
  }

  #putNow(topic: Topic, payload: Uint8Array, wanted: Wanted, idempotency?: Idempotency): Message {
    this.#parts.publishDue(topic);
    const append = this.#prepare(topic, [payload], wanted, idempotency);
    return this.#apply(topic, append, this.#ask(topic, append) as number)!;
  }

  #putOnce(topic: Topic, given: string | Uint8Array, wanted: Wanted): Message {
    const payload = bytesOf(given);
    let message: Message | undefined;
    const asked = { key: wanted.idempotencyKey!, fingerprint: fingerprintOf(PUBLISH, [payload]) };
    const { answer, askedMs } = this.#parts.dedupe.onceNow(asked, topic, (idempotency): Receipt => {
      message = this.#putNow(topic, payload, wanted, idempotency);
      return this.#receiptOf(topic, message.id, 1);
    });
    if (message !== undefined) return message;
    // It may be gone, but it is known: the payload is the same, and who repeats a publish says the same of it.
    const { ttlMs, attributes } = wanted;
    return topic.log.get(answer.id) ??
      new Message(topic.info, { id: answer.id, payload, createdMs: askedMs, ttlMs, attributes });
  }

  /**
   * See `MessageBus.publish`; `assertOpen` throws if it may not be used any more. Throws what it refuses at once. Neither
   * async nor awaited if there is nothing to wait for: that shows in the number of publishes a second.
   */
  publish(
    name: string,
    payloads: readonly (string | Uint8Array)[],
    wanted: Wanted,
    assertOpen: () => void,
  ): Receipt | Promise<Receipt> {
    payloads.forEach(assertPayload);
    if (payloads.length === 0) {
      throw new BusError("bad_request", `Cannot publish to ${quote(name)}: no message was given`);
    }
    const admit = () => {
      assertOpen();
      return this.#parts.topics.admit(name);
    };
    const again = () => this.publish(name, payloads, wanted, assertOpen);
    if (wanted.idempotencyKey !== undefined && this.#parts.dedupe.isOn) {
      const bytes = payloads.map(bytesOf);
      const asked = { key: wanted.idempotencyKey, fingerprint: fingerprintOf(PUBLISH, bytes) };
      const act = (topic: Topic, idempotency: Idempotency) => this.#publishNow(topic, bytes, wanted, idempotency);
      return unlessSuperseded(this.#parts.dedupe.once(asked, admit, act), again);
    }
    return unlessSuperseded(whenSettled(admit, (topic) => this.#publishNow(topic, payloads, wanted)), again);
  }

  #publishNow(
    topic: Topic,
    payloads: readonly (string | Uint8Array)[],
    wanted: Wanted,
    idempotency?: Idempotency,
  ): Receipt | Promise<Receipt> {
    this.#parts.publishDue(topic);
    const append = this.#prepare(topic, payloads.map((each) => topic.encode(each, wanted.ttlMs)), wanted, idempotency);
    const answer = this.#ask(topic, append);
    // A synchronous store is not awaited: nothing may happen between the check, the append and what follows from it.
    if (typeof answer === "number") {
      this.#apply(topic, append, answer);
      return this.#receiptOf(topic, answer, payloads.length);
    }
    return this.#applyLater(topic, append, answer);
  }

  #receiptOf(topic: Topic, id: number, count: number): Receipt {
    const { store: { durability }, fanout } = this.#parts;
    return receiptOf(topic.info, { id, count, durability, subscribers: fanout.countOf(topic) });
  }

  /**
   * Appends a message whose time has come; settles when that is done. If the store refuses it later, `onRefused` is called
   * in the step in which it stops being on its way: nobody else gets its room.
   */
  appendDelayed(topic: Topic, message: DelayedMessage, onRefused: (error: unknown) => void): void | Promise<void> {
    const { token, payload, ttlMs, attributes } = message;
    const append = { ...this.#prepare(topic, [payload], { ...NOTHING, ttlMs, attributes }), scheduled: token };
    return this.#append(topic, append, onRefused);
  }

  /**
   * Publishes a dead letter to the topic it came from; settles when that is done.
   *
   * @throws {BusError} as {@linkcode Intake.publish}, and `overloaded` while the topic is being deleted.
   */
  appendAgain(name: string, letter: Message): void | Promise<void> {
    const topic = this.#parts.topics.admitNow(name);
    this.#parts.publishDue(topic);
    const attributes = withoutServerHeaders(letter.attributes);
    const ttlMs = parseDuration(letter.headers["msgbus-dead-ttl"] ?? "");
    const drops = { topic: letter.topic, id: letter.id };
    return this.#append(topic, { ...this.#prepare(topic, [letter.payload], { ...NOTHING, ttlMs, attributes }), drops });
  }

  /**
   * Appends a message to a topic that only the server publishes to, made if need be; settles when that is done.
   *
   * @throws {BusError} as {@linkcode Intake.publish}, and `overloaded` while such a topic is being deleted.
   */
  appendReserved(name: string, { topicTtlMs, payload, attributes, settles }: ReservedAppend): void | Promise<void> {
    const topic = this.#parts.topics.admitReserved(name, topicTtlMs);
    const append = { ...this.#prepare(topic, [payload], { ...NOTHING, attributes }), settles };
    return this.#append(topic, append);
  }

  #append(topic: Topic, append: Append, onRefused?: (error: unknown) => void): void | Promise<void> {
    const answer = this.#ask(topic, append);
    if (typeof answer === "number") this.#apply(topic, append, answer);
    else return this.#applyLater(topic, append, answer, onRefused).then(() => {});
  }

  /** Checks payloads against the limits, and makes of them what the store is asked to append. */
  #prepare(
    topic: Topic,
    payloads: readonly Uint8Array[],
    { ttlMs, attributes, ifMatch }: Wanted,
    idempotency?: Idempotency,
  ): Append {
    const nowMs = this.#parts.clock.now();
    this.#parts.retention.expire(topic, nowMs);
    const createdMs = this.#parts.timeline.stamp(nowMs);
    const { info, nextId: expectedId } = topic;
    const exact = ifMatch !== undefined;
    const append: Append = { topic: info, expectedId, payloads, createdMs, ttlMs, attributes, exact, idempotency };
    try {
      if (exact) assertMatches(topic, ifMatch);
      this.#parts.retention.admit(topic, append);
    } catch (error) {
      this.#parts.topics.forgetIfUnused(topic);
      throw error;
    }
    return append;
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
  #applyLater(
    topic: Topic,
    append: Append,
    answer: Promise<number>,
    onRefused?: (error: unknown) => void,
  ): Promise<Receipt> {
    const release = this.#parts.retention.reserve(topic, append);
    const time = this.#pendingAt(append.createdMs);
    const end = () => {
      release();
      this.#settle(time);
    };
    // Not async: every promise more shows in the number of publishes a second.
    return answer.then((firstId) => {
      end();
      this.#apply(topic, append, firstId);
      return this.#receiptOf(topic, firstId, append.payloads.length);
    }, (error) => {
      const refusal = refusalOf(topic, error);
      end();
      onRefused?.(error);
      this.#parts.topics.forgetIfUnused(topic);
      throw refusal;
    });
  }

  /** Counts an append that is accepted now: to keep a set of them takes more than everything else here. */
  #pendingAt(createdMs: number): PendingTime {
    let time = this.#pending.at(-1);
    if (time?.createdMs !== createdMs) this.#pending.push(time = { createdMs, count: 0 });
    time.count++;
    return time;
  }

  #settle(time: PendingTime): void {
    time.count--;
    while (this.#pending[0]?.count === 0) this.#pending.shift();
  }

  /** Makes visible what the store has taken. Returns the last message. */
  #apply(asked: Topic, append: Append, firstId: number): Message | undefined {
    const topic = this.#parts.topics.revive(asked);
    if (topic === undefined) return undefined;
    const { info, log } = topic;
    const { schedule, retention, fanout, observer, isAwaited } = this.#parts;
    if (firstId !== log.next) {
      throw new BusError("internal", `The store assigned id ${firstId} instead of ${log.next} in ${quote(info.name)}`);
    }
    const { ttlMs, attributes } = append;
    // Whoever has appended before may have a clock that is ahead.
    const createdMs = Math.max(append.createdMs, topic.newestMs);
    if (firstId === 0) fanout.introduce(topic);
    let message: Message | undefined;
    for (const payload of append.payloads) {
      message = new Message(info, { id: log.next, payload, createdMs, ttlMs, attributes });
      retention.retain(topic, message);
      this.#published++;
      observer.published?.(message, fanout.countOf(topic));
    }
    const { expiresMs } = topic;
    if (expiresMs < topic.appointment!.key) schedule.move(topic.appointment!, expiresMs);
    if (fanout.hasAudience(topic) || isAwaited(info.name)) {
      fanout.ringLater(topic, firstId, createdMs);
    }
    return message;
  }

  /**
   * Applies what somebody else has appended to the store, in the order of the ids. Nothing refuses it: it is there.
   *
   * @throws {BusError} `internal` if something before it is missing.
   */
  accept(append: Append): void {
    const { topics, retention, clock, timeline, onForeign } = this.#parts;
    const topic = topics.adopt(append.topic);
    timeline.advance(append.createdMs);
    retention.expire(topic, clock.now());
    if (append.payloads.length > 0) this.#apply(topic, append, append.expectedId);
    onForeign(topic, append);
  }
}

/** The answer to a publish. */
export function receiptOf(
  { name, epoch }: TopicInfo,
  { id, count, durability, subscribers }: Pick<Receipt, "id" | "count" | "durability" | "subscribers">,
): Receipt {
  return { topic: name, id, count, cursor: formatCursor(id + count, epoch), durability, subscribers };
}

/** What a publish asks for, checked. */
export interface Wanted {
  readonly ttlMs: number | undefined;
  readonly attributes: Attributes | undefined;
  readonly ifMatch: Position | undefined;
  readonly idempotencyKey: string | undefined;
}

const NOTHING: Wanted = { ttlMs: undefined, attributes: undefined, ifMatch: undefined, idempotencyKey: undefined };
/** What the fingerprints of publishes begin with. */
const PUBLISH = "publish";

/**
 * Checks how to publish.
 *
 * @throws {BusError} `bad_option`, `bad_header`, `headers_too_large`.
 */
export function wantedOf(options: PublishOptions): Wanted {
  if (options === NO_OPTIONS) return NOTHING;
  const { ttlMs, ifMatch, idempotencyKey } = options;
  if (ttlMs !== undefined) assertTtl(ttlMs);
  if (idempotencyKey !== undefined) assertKey("idempotency key", idempotencyKey);
  return { ttlMs, attributes: attributesOf(options), ifMatch, idempotencyKey };
}

/** Checks that a publish that is only wanted at a position comes there. */
function assertMatches({ info, nextId }: Topic, { next, epoch = info.epoch }: Position): void {
  if (next === nextId && epoch === info.epoch) return;
  // One that was made for this very publish is gone again, and nobody will ever know its epoch.
  const seen = nextId === 0 ? "0" : formatCursor(nextId, info.epoch);
  throw new BusError("seq_mismatch", `Cannot publish to ${quote(info.name)}: its next id is ${seen}`);
}

const encoder = new TextEncoder();

/** The bytes of a payload, not among those of its topic: it may turn out to be a repeat, or be published much later. */
export function bytesOf(payload: string | Uint8Array): Uint8Array {
  return typeof payload === "string" ? encoder.encode(payload) : payload;
}

/** From JavaScript anything may come, and what has no length would spoil the count of bytes for good. */
export function assertPayload(payload: unknown): void {
  if (typeof payload !== "string" && !(payload instanceof Uint8Array)) {
    throw new TypeError(`A payload is a string or a Uint8Array, not ${payload}`);
  }
}
