/**
 * Messages that are published later: hidden until they are due, counted by the limits from the beginning.
 *
 * @module
 */

import { BusError } from "../errors.ts";
import { MAX_ID } from "../message.ts";
import { Agenda, type Entry } from "./agenda.ts";
import type { ScheduledMessage, ScheduleOptions, ScheduleReceipt } from "./answers.ts";
import { type Clock, wallOf } from "./clock.ts";
import type { Dedupe } from "./dedupe.ts";
import { fingerprintOf } from "./fingerprint.ts";
import { assertPayload, bytesOf, type Wanted, wantedOf } from "./intake.ts";
import { retainedBytes } from "./limits.ts";
import type { Observer } from "./observer.ts";
import type { Retention } from "./retention.ts";
import type { Schedule } from "./schedule.ts";
import type { DelayedMessage, Idempotency, Store } from "./store.ts";
import { Tokens } from "./tokens.ts";
import type { Topic } from "./topic.ts";
import { refusalOf, type TopicTable, unlessSuperseded, whenSettled } from "./topic_table.ts";

/** What {@linkcode Delayed} works with. */
export interface DelayedParts {
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly store: Store;
  readonly observer: Observer;
  readonly topics: TopicTable;
  readonly retention: Retention;
  readonly dedupe: Dedupe;
  /** Appends a message that is due to its topic. See `Intake.appendDelayed`. */
  readonly append: (topic: Topic, message: DelayedMessage, onRefused: (error: unknown) => void) => void | Promise<void>;
}

/** The longest delay, in milliseconds: ten years. */
export const MAX_DELAY_MS = 3650 * 86_400_000;
const RETRY_MS = 1000;
/** What is published in one go when the timer goes off; whatever is due besides waits for the next time, 20 ms later. */
const MAX_PER_TURN = 5000;

/** When a message is to be published. */
export interface Due {
  /** See `ScheduleOptions.delayMs`. */
  readonly delayMs?: number | undefined;
  /** See `ScheduleOptions.atMs`. */
  readonly atMs?: number | undefined;
}

/**
 * When a message is due that is accepted at `nowMs`, in milliseconds since the Unix epoch.
 *
 * @throws {BusError} `bad_option`.
 */
export function dueOf({ delayMs, atMs }: Due, nowMs: number): number {
  if ((delayMs === undefined) === (atMs === undefined)) {
    throw new BusError("bad_option", "Cannot schedule: exactly one of delayMs and atMs is needed");
  }
  const dueMs = atMs ?? nowMs + delayMs!;
  if (Number.isInteger(dueMs) && !(delayMs! < 0) && dueMs >= 0 && dueMs <= nowMs + MAX_DELAY_MS) return dueMs;
  throw new BusError(
    "bad_option",
    `Cannot schedule: bad ${atMs === undefined ? "delayMs" : "atMs"} ${atMs ?? delayMs}`,
  );
}

/** What a message that is published later asks for, checked but for its time. */
export interface WantedLater extends Wanted {
  /** When that is. */
  readonly due: Due;
}

/**
 * Checks how to publish later.
 *
 * @throws {BusError} as `wantedOf`.
 */
export function delayedOf({ delayMs, atMs, ...others }: ScheduleOptions): WantedLater {
  return { ...wantedOf(others), ifMatch: undefined, due: { delayMs, atMs } };
}

/** Keeps messages until they are due. */
export class Delayed {
  readonly #parts: DelayedParts;
  readonly #tokens = new Tokens();
  readonly #byTopic = new Map<Topic, Agenda>();
  #size = 0;
  #accepted = 0;
  /** When the timer went off last, and how many messages were published since then. */
  #turnMs = -Infinity;
  #turnCount = 0;

  /** Makes one that keeps nothing. */
  constructor(parts: DelayedParts) {
    this.#parts = parts;
  }

  /** How many messages wait, or are being published. */
  get size(): number {
    return this.#size;
  }

  /** Whether something is to be published in a topic later. */
  has(topic: Topic): boolean {
    return this.#byTopic.has(topic);
  }

  /** See `MessageBus.schedule`; `assertOpen` throws if it may not be used any more. */
  async schedule(
    name: string,
    given: string | Uint8Array,
    wanted: WantedLater,
    assertOpen: () => void,
  ): Promise<ScheduleReceipt> {
    assertPayload(given);
    const { clock, store, dedupe, topics } = this.#parts;
    const { due, ttlMs, attributes, idempotencyKey: key } = wanted;
    // Before a topic is made of it.
    dueOf(due, wallOf(clock));
    const payload = bytesOf(given);
    const admit = () => {
      assertOpen();
      return topics.admit(name);
    };
    const keep = (topic: Topic, idempotency?: Idempotency): ScheduleReceipt | Promise<ScheduleReceipt> => {
      const dueMs = dueOf(due, wallOf(clock));
      const token = this.#tokens.next();
      const kept = this.#keep(topic, { topic: topic.info, token, dueMs, payload, ttlMs, attributes, idempotency });
      const receipt = { topic: topic.info.name, token, dueMs, durability: store.durability };
      return kept === undefined ? receipt : kept.then(() => receipt);
    };
    const again = () => this.schedule(name, given, wanted, assertOpen);
    if (key !== undefined && dedupe.isOn) {
      const asked = { key, fingerprint: fingerprintOf("schedule", [payload]) };
      return await unlessSuperseded(dedupe.once(asked, admit, keep), again);
    }
    return await unlessSuperseded(whenSettled(admit, keep), again);
  }

  /** Takes over the messages of a topic that the store has kept, in the order in which they were accepted. */
  restore(topic: Topic, messages: readonly DelayedMessage[]): void {
    const { retention } = this.#parts;
    for (const message of messages) {
      const { payload, ttlMs = topic.info.ttlMs, attributes } = message;
      const bytes = retainedBytes(topic.info, { id: MAX_ID - 1, payload, ttlMs, attributes });
      retention.hold(topic, bytes);
      this.#accept(this.#agendaOf(topic), this.#entryOf(message, bytes));
    }
  }

  /** Publishes what was due before the bus was opened; of very much, a part now and the rest soon. */
  begin(): void {
    const { clock, schedule } = this.#parts;
    const nowMs = clock.now();
    for (const agenda of [...this.#byTopic.values()]) {
      const nextMs = this.#tend(agenda, nowMs);
      if (this.#byTopic.get(agenda.topic) === agenda) schedule.move(agenda.appointment!, nextMs);
    }
  }

  /** Somebody else has published a message of a topic. */
  published(topic: Topic, token: string): void {
    const agenda = this.#byTopic.get(topic);
    const entry = agenda?.entries.get(token);
    if (agenda === undefined || entry === undefined) return;
    // What is being done with it fails or is nothing any more, and gives its room back then.
    if (entry.work === undefined) {
      agenda.take(entry);
      this.#parts.retention.release(topic, entry.bytes);
    }
    this.#remove(agenda, entry);
  }

  /** Keeps a message. Settles when the store has it. Refuses what publishing it now would refuse. */
  #keep(topic: Topic, message: DelayedMessage): void | Promise<void> {
    const { topics, store, retention, clock } = this.#parts;
    let bytes: number;
    try {
      // As the last one that the topic can have, which has the longest envelope.
      bytes = retention.admit(topic, { ...appendOf(message), expectedId: MAX_ID - 1, createdMs: clock.now() });
    } catch (error) {
      topics.forgetIfUnused(topic);
      throw error;
    }
    const entry = this.#entryOf(message, bytes);
    const agenda = this.#agendaOf(topic);
    agenda.accepting++;
    retention.hold(topic, bytes);
    topics.noteUse(topic);
    const refused = (error: unknown): never => {
      const refusal = refusalOf(topic, error);
      agenda.accepting--;
      if (!topic.deleted) {
        retention.release(topic, bytes);
        this.#forgetIfDone(agenda);
        topics.forgetIfUnused(topic);
      }
      throw refusal;
    };
    const accepted = () => {
      agenda.accepting--;
      if (topic.deleted) {
        // What was deleted meanwhile was deleted with everything.
        const revived = topics.revive(topic);
        if (revived !== undefined) this.restore(revived, [message]);
        return;
      }
      topic.usedMs = clock.now();
      retention.fit(topic, topic.usedMs);
      this.#accept(agenda, entry);
      // What is due already needn't wait for the timer.
      this.publishDue(topic);
    };
    let answer: void | Promise<void>;
    try {
      answer = store.delay(message);
    } catch (error) {
      return refused(error);
    }
    if (answer === undefined) accepted();
    else return answer.then(accepted, refused);
  }

  #entryOf(message: DelayedMessage, bytes: number): Entry {
    const dueMs = message.dueMs - this.#parts.clock.skewMs;
    return { message, dueMs, bytes, order: this.#accepted++, work: undefined };
  }

  #accept(agenda: Agenda, entry: Entry): void {
    agenda.entries.set(entry.message.token, entry);
    this.#size++;
    agenda.put(entry);
    this.#comeBack(agenda);
  }

  /** See `MessageBus.scheduled`. */
  list(name: string): ScheduledMessage[] {
    this.publishDueIn(name);
    const topic = this.#parts.topics.find(name);
    if (topic === undefined) return [];
    const entries = [...this.#byTopic.get(topic)?.entries.values() ?? []];
    entries.sort((a, b) => a.message.dueMs - b.message.dueMs || a.order - b.order);
    return entries.map(({ message: { token, dueMs, payload, ttlMs, attributes } }) => {
      return { topic: topic.info.name, token, dueMs, payload, ttlMs, attributes };
    });
  }

  /** See `MessageBus.cancel`. */
  async cancel(name: string, token: string): Promise<boolean> {
    this.publishDueIn(name);
    return await whenSettled(
      () => this.#parts.topics.find(name),
      (topic) => topic !== undefined && this.#cancelIn(topic, token),
    );
  }

  /** Forgets a message. Resolves to whether it was there, and was not published. */
  async #cancelIn(topic: Topic, token: string): Promise<boolean> {
    for (;;) {
      const agenda = this.#byTopic.get(topic);
      const entry = agenda?.entries.get(token);
      if (agenda === undefined || entry === undefined) return false;
      // The store must not be asked about what it is removing; and what is being published may come back.
      if (topic.removal !== undefined) await topic.removal;
      else if (entry.work !== undefined) await entry.work;
      else return await this.#cancel(agenda, entry);
    }
  }

  async #cancel(agenda: Agenda, entry: Entry): Promise<boolean> {
    const { topic } = agenda;
    const { retention, store } = this.#parts;
    const answer = store.cancel(topic.info, entry.message.token);
    // At once: nobody publishes it meanwhile.
    agenda.take(entry);
    if (answer !== undefined) {
      entry.work = Promise.allSettled([answer]);
      try {
        await answer;
      } catch (error) {
        entry.work = undefined;
        if (isUnknown(error)) this.#remove(agenda, entry);
        if (!isThere(agenda, entry)) {
          if (!topic.deleted) retention.release(topic, entry.bytes);
          return false;
        }
        agenda.put(entry, true);
        this.#comeBack(agenda);
        throw error;
      }
    }
    if (topic.deleted) return true;
    retention.release(topic, entry.bytes);
    const wasThere = isThere(agenda, entry);
    this.#remove(agenda, entry);
    return wasThere;
  }

  /**
   * Publishes what is due in a topic, so that nothing that is accepted now comes before it. One that can't be published
   * is not lost: that is tried again a second later, with those behind it.
   */
  publishDue(topic: Topic): void {
    if (this.#byTopic.size === 0) return;
    const agenda = this.#byTopic.get(topic);
    if (agenda !== undefined) this.#publishDue(agenda, this.#parts.clock.now(), Infinity);
  }

  /** The same, of a topic by its canonical name: who reads it by that needn't wait for the timer. */
  publishDueIn(name: string): void {
    if (this.#size === 0) return;
    const topic = this.#parts.topics.get(name);
    if (topic !== undefined) this.publishDue(topic);
  }

  /** Does that with the first `max` of them. Returns how many that were. */
  #publishDue(agenda: Agenda, nowMs: number, max: number): number {
    if (agenda.nextMs > nowMs) return 0;
    // The store must not be asked to append to what it is removing.
    if (agenda.topic.removal !== undefined) agenda.notBeforeMs = nowMs + RETRY_MS;
    let count = 0;
    for (let due = agenda.dueBy(nowMs); due !== undefined; due = agenda.dueBy(nowMs)) {
      for (const entry of due) {
        if (agenda.notBeforeMs > nowMs || count === max) return count;
        this.#publish(agenda, entry);
        count++;
      }
    }
    return count;
  }

  /** The time has come for some of a topic. Returns when to come back. */
  #tend(agenda: Agenda, nowMs: number): number {
    if (nowMs !== this.#turnMs) this.#turnCount = 0;
    this.#turnMs = nowMs;
    const left = MAX_PER_TURN - this.#turnCount;
    this.#turnCount += this.#publishDue(agenda, nowMs, left);
    return agenda.nextMs;
  }

  /** Forgets everything of a topic. */
  forget(topic: Topic): void {
    const agenda = this.#byTopic.get(topic);
    if (agenda === undefined) return;
    this.#byTopic.delete(topic);
    if (agenda.appointment !== undefined) this.#parts.schedule.remove(agenda.appointment);
    this.#size -= agenda.entries.size;
    this.#parts.retention.releaseAll(topic);
  }

  /** Publishes nothing any more. */
  stop(): void {
    this.#byTopic.clear();
  }

  #publish(agenda: Agenda, entry: Entry): void {
    const { topic } = agenda;
    const { retention, append, observer } = this.#parts;
    const { payload, ttlMs = topic.info.ttlMs, attributes } = entry.message;
    // Under the id it gets, it takes a few bytes less than what was kept for it.
    const surplus = entry.bytes - retainedBytes(topic.info, { id: topic.nextId, payload, ttlMs, attributes });
    agenda.take(entry);
    retention.release(topic, entry.bytes);
    const postponed = (error: unknown) => {
      if (isThere(agenda, entry)) observer.postponed?.(topic.info.name, error);
    };
    let answer: void | Promise<void>;
    try {
      answer = append(topic, entry.message, (error) => this.#postpone(agenda, entry, { surplus, error }));
    } catch (error) {
      this.#postpone(agenda, entry, { surplus: 0, error });
      return postponed(error);
    }
    if (answer === undefined) return this.#remove(agenda, entry);
    // The rest is kept until it is certain that it need not come back.
    retention.hold(topic, surplus, 0);
    entry.work = answer.then(() => {
      if (!topic.deleted) retention.release(topic, surplus, 0);
      this.#remove(agenda, entry);
    }, postponed);
  }

  #postpone(agenda: Agenda, entry: Entry, { surplus, error }: { surplus: number; error: unknown }): void {
    const { topic } = agenda;
    const { retention, clock } = this.#parts;
    entry.work = undefined;
    if (isUnknown(error)) this.#remove(agenda, entry);
    if (!isThere(agenda, entry)) {
      if (!topic.deleted) retention.release(topic, surplus, 0);
      return;
    }
    const nowMs = clock.now();
    retention.hold(topic, entry.bytes - surplus);
    retention.fit(topic, nowMs);
    agenda.put(entry, true);
    agenda.notBeforeMs = nowMs + RETRY_MS;
    this.#comeBack(agenda);
  }

  #agendaOf(topic: Topic): Agenda {
    let agenda = this.#byTopic.get(topic);
    if (agenda === undefined) {
      const made = agenda = new Agenda(topic);
      made.appointment = this.#parts.schedule.add({ due: (nowMs) => this.#tend(made, nowMs) }, Infinity);
      this.#byTopic.set(topic, made);
    }
    return agenda;
  }

  #comeBack(agenda: Agenda): void {
    this.#parts.schedule.move(agenda.appointment!, agenda.nextMs);
  }

  #remove(agenda: Agenda, entry: Entry): void {
    if (!isThere(agenda, entry)) return;
    agenda.entries.delete(entry.message.token);
    this.#size--;
    agenda.topic.usedMs = this.#parts.clock.now();
    this.#forgetIfDone(agenda);
  }

  #forgetIfDone(agenda: Agenda): void {
    if (agenda.entries.size > 0 || agenda.accepting > 0 || agenda.topic.deleted) return;
    this.#byTopic.delete(agenda.topic);
    this.#parts.schedule.remove(agenda.appointment!);
  }
}

/** Whether nobody else has published a message, or deleted its topic. */
function isThere({ topic, entries }: Agenda, entry: Entry): boolean {
  return !topic.deleted && entries.get(entry.message.token) === entry;
}

/** Whether the store doesn't know of a message any more: somebody else has published it, or has taken it back. */
function isUnknown(error: unknown): boolean {
  return error instanceof BusError && error.code === "no_scheduled";
}

function appendOf({ topic, payload, ttlMs, attributes }: DelayedMessage) {
  return { topic, payloads: [payload], ttlMs, attributes };
}
