/**
 * What is asked of a store, and what it must have kept of it: the same seed asks for the same.
 *
 * @module
 */

import type {
  Append,
  DelayedMessage,
  Dropped,
  GroupChange,
  Idempotency,
  Store,
  StoredAnswer,
  UnackedMessage,
} from "../../lib/bus/store.ts";
import { type Attributes, epochOf, type TopicInfo } from "../../lib/message.ts";
import { Random } from "./random.ts";

/** A call of a store. */
export type Step =
  | { readonly do: "append"; readonly append: Append }
  | { readonly do: "note"; readonly topic: TopicInfo; readonly change: GroupChange }
  | { readonly do: "forget"; readonly topic: TopicInfo; readonly group: string }
  | { readonly do: "delay"; readonly message: DelayedMessage }
  | { readonly do: "cancel"; readonly topic: TopicInfo; readonly token: string }
  | { readonly do: "drop"; readonly topic: TopicInfo; readonly dropped: Dropped }
  | { readonly do: "remove"; readonly topic: TopicInfo; readonly newestMs: number };

/** After the store was made: what is older it has never heard of. */
const STARTED_MS = Date.parse("2050-03-25T13:18:38.732Z");
/** After everything that is remembered for a time would have been forgotten. */
const FAR_MS = Date.parse("2100-01-01T00:00:00Z");
const TOPICS = ["orders", "orders/eu", "a/b/c", "ünï", "orders/-dead"];
const GROUPS = ["", "billing", "mail"];
const SIZES = [0, 1, 40, 128, 400, 1500, 5000, 9000];

/** A message as it was appended. */
export interface KnownMessage {
  readonly payload: Uint8Array;
  readonly createdMs: number;
  readonly ttlMs: number | undefined;
  readonly attributes: Attributes | undefined;
}

/** A group as it must have been kept. */
export interface KnownGroup {
  next: number;
  readonly unacked: Map<number, UnackedMessage>;
  counts: GroupChange["counts"];
}

/** A topic as it must have been kept. */
export interface KnownTopic {
  readonly info: TopicInfo;
  /** Every message that was appended, by id. */
  readonly messages: KnownMessage[];
  /** Those that must be gone. */
  readonly taken: Set<number>;
  readonly groups: Map<string, KnownGroup>;
  readonly delayed: Map<string, DelayedMessage>;
  readonly answers: Map<string, StoredAnswer>;
}

/** What a store that did all of some steps has. */
export class Known {
  readonly topics = new Map<TopicInfo, KnownTopic>();
  readonly gone: { readonly name: string; readonly newestMs: number }[] = [];

  /** Takes the next step. What was dropped is not counted here: the store forgets it when it likes. */
  take(step: Step): void {
    switch (step.do) {
      case "append":
        return this.#append(step.append);
      case "note":
        return note(this.#topic(step.topic), step.change);
      case "forget":
        return void this.#topic(step.topic).groups.delete(step.group);
      case "delay":
        return this.#delay(step.message);
      case "cancel":
        return void this.#topic(step.topic).delayed.delete(step.token);
      case "drop":
        return;
      case "remove":
        this.topics.delete(step.topic);
        return void this.gone.push({ name: step.topic.name, newestMs: step.newestMs });
    }
  }

  #topic(info: TopicInfo): KnownTopic {
    let topic = this.topics.get(info);
    if (topic === undefined) {
      topic = {
        info,
        messages: [],
        taken: new Set(),
        groups: new Map(),
        delayed: new Map(),
        answers: new Map(),
      };
      this.topics.set(info, topic);
    }
    return topic;
  }

  #append(append: Append): void {
    const { createdMs, ttlMs, attributes, idempotency } = append;
    const topic = this.#topic(append.topic);
    if (idempotency !== undefined) {
      const appended = { firstId: append.expectedId, count: append.payloads.length };
      topic.answers.set(idempotency.key, { idempotency, appended });
    }
    for (const payload of append.payloads) topic.messages.push({ payload, createdMs, ttlMs, attributes });
    if (append.drops !== undefined) this.#topic(append.drops.topic).taken.add(append.drops.id);
    if (append.settles !== undefined) note(this.#topic(append.settles.topic), append.settles.change);
    if (append.scheduled !== undefined) topic.delayed.delete(append.scheduled);
  }

  #delay(message: DelayedMessage): void {
    const topic = this.#topic(message.topic);
    topic.delayed.set(message.token, message);
    const { idempotency, token, dueMs } = message;
    if (idempotency !== undefined) topic.answers.set(idempotency.key, { idempotency, delayed: { token, dueMs } });
  }
}

function note(topic: KnownTopic, change: GroupChange): void {
  let group = topic.groups.get(change.group);
  if (group === undefined) {
    topic.groups.set(change.group, group = { next: 0, unacked: new Map(), counts: change.counts });
  }
  group.next = change.next;
  group.counts = change.counts;
  for (const each of change.unacked) group.unacked.set(each.id, each);
  for (const id of change.done) group.unacked.delete(id);
}

/** Makes steps, each one possible after those before it. */
export class Workload {
  readonly #random: Random;
  readonly #known = new Known();
  /** What is retained of each topic, by id. */
  readonly #retained = new Map<TopicInfo, Set<number>>();
  #nowMs = STARTED_MS;
  #topicMs = STARTED_MS;
  #count = 0;

  constructor(seed: number) {
    this.#random = new Random(seed);
  }

  /** The next step. */
  next(): Step {
    this.#count++;
    this.#nowMs += this.#random.below(50);
    const step = this.#make();
    this.#known.take(step);
    this.#retain(step);
    return step;
  }

  #make(): Step {
    const topic = this.#anyOf(this.#known.topics.values());
    // Appends are possible whatever there is.
    return (topic && this.#other(topic)) ?? { do: "append", append: this.#append() };
  }

  #other(topic: KnownTopic): Step | undefined {
    const { info } = topic;
    const roll = this.#random.below(100);
    if (roll < 22) return this.#note(topic);
    if (roll < 30) return this.#drop(topic);
    if (roll < 35) return { do: "delay", message: this.#delay(info) };
    if (roll < 38 && topic.groups.size > 0) {
      return { do: "append", append: { ...this.#append(), settles: this.#settle(topic) } };
    }
    if (roll < 40) return this.#again(topic);
    const token = this.#anyOf(topic.delayed.keys());
    if (roll < 42 && token !== undefined) return { do: "cancel", topic: info, token };
    if (roll < 44 && token !== undefined) {
      return { do: "append", append: { ...this.#append(topic), idempotency: undefined, scheduled: token } };
    }
    const group = this.#anyOf(topic.groups.keys());
    if (roll < 45 && group !== undefined) return { do: "forget", topic: info, group };
    if (roll < 46) return { do: "remove", topic: info, newestMs: topic.messages.at(-1)?.createdMs ?? -Infinity };
    return undefined;
  }

  #anyOf<T>(values: Iterable<T>): T | undefined {
    const all = [...values];
    return all.length === 0 ? undefined : this.#random.oneOf(all);
  }

  #topic(): KnownTopic | TopicInfo {
    const name = this.#random.oneOf(TOPICS);
    const known = [...this.#known.topics.values()].find(({ info }) => info.name === name);
    if (known !== undefined) return known;
    this.#topicMs = Math.max(this.#topicMs + 1, this.#nowMs);
    return { name, ttlMs: this.#random.oneOf([0, 1e12]), createdMs: this.#topicMs, epoch: epochOf(this.#topicMs) };
  }

  #append(to: KnownTopic | TopicInfo = this.#topic()): Append {
    const random = this.#random;
    const count = random.chance(0.7) ? 1 : 1 + random.below(6);
    return {
      topic: "info" in to ? to.info : to,
      expectedId: "info" in to ? to.messages.length : 0,
      payloads: Array.from({ length: count }, () => random.bytes(random.oneOf(SIZES))),
      createdMs: this.#nowMs,
      ttlMs: random.chance(0.1) ? 2e12 : undefined,
      attributes: random.chance(0.3) ? this.#attributes() : undefined,
      idempotency: random.chance(0.15) ? this.#idempotency() : undefined,
    };
  }

  #attributes(): Attributes {
    return { contentType: "text/plain", headers: { "x-count": `${this.#count}` }, key: `k${this.#random.below(5)}` };
  }

  #idempotency(): Idempotency {
    const fingerprint = this.#count.toString(16).padStart(16, "0");
    return { key: `publish ${this.#count}`, fingerprint, untilMs: FAR_MS + this.#count };
  }

  #note(topic: KnownTopic): Step {
    const group = this.#random.oneOf(GROUPS);
    const { next = 0, unacked, counts = { acked: 0, dead: 0, lost: 0 } } = topic.groups.get(group) ?? {};
    const taken = this.#random.below(Math.min(4, topic.messages.length - next) + 1);
    const handed = Array.from({ length: taken }, (_, i) => this.#unacked(next + i, 1));
    const again = [...unacked?.values() ?? []].filter(() => this.#random.chance(0.2))
      .map(({ id, attempt }) => this.#unacked(id, attempt + 1));
    const done = [...unacked?.keys() ?? [], ...handed.map(({ id }) => id)].filter(() => this.#random.chance(0.4));
    const change = {
      group,
      next: next + taken,
      unacked: [...handed, ...again],
      done,
      counts: { ...counts, acked: counts.acked + done.length },
    };
    return { do: "note", topic: topic.info, change };
  }

  #unacked(id: number, attempt: number): UnackedMessage {
    const random = this.#random;
    return {
      id,
      attempt,
      notBeforeMs: random.chance(0.3) ? FAR_MS + id : undefined,
      key: random.chance(0.3) ? `k${random.below(5)}` : undefined,
      reason: random.chance(0.3) ? "busy, later" : undefined,
    };
  }

  /** A group is done with a message that becomes a dead letter. */
  #settle(topic: KnownTopic): Append["settles"] {
    const [group, { next, unacked, counts }] = this.#random.oneOf([...topic.groups]);
    const done = [...unacked.keys()].slice(0, 1);
    const change = { group, next, unacked: [], done, counts: { ...counts, dead: counts.dead + done.length } };
    return { topic: topic.info, change };
  }

  /** A message that no group has to do with any more is published to another topic. */
  #again(topic: KnownTopic): Step | undefined {
    const id = this.#anyOf(this.#droppable(topic));
    if (id === undefined) return undefined;
    return { do: "append", append: { ...this.#append(), drops: { topic: topic.info, id } } };
  }

  #delay(topic: TopicInfo): DelayedMessage {
    const random = this.#random;
    return {
      topic,
      token: `token-${this.#count}`,
      dueMs: FAR_MS + random.below(10),
      payload: random.bytes(random.oneOf(SIZES)),
      ttlMs: random.chance(0.3) ? 2e12 : undefined,
      attributes: random.chance(0.3) ? this.#attributes() : undefined,
      idempotency: random.chance(0.5) ? this.#idempotency() : undefined,
    };
  }

  /** What is retained, and no group has it before it or unacknowledged. */
  #droppable(topic: KnownTopic): number[] {
    const groups = [...topic.groups.values()];
    return [...this.#retained.get(topic.info) ?? []]
      .filter((id) => groups.every(({ next, unacked }) => id < next && !unacked.has(id)));
  }

  #drop(topic: KnownTopic): Step | undefined {
    const droppable = new Set(this.#droppable(topic));
    const retained = [...this.#retained.get(topic.info) ?? []];
    // The oldest ones, and some from behind them.
    const firstNeeded = retained.findIndex((id) => !droppable.has(id));
    const oldest = this.#random.below((firstNeeded < 0 ? retained.length : firstNeeded) + 1);
    const left = retained.filter((id, i) => i >= oldest && !(droppable.has(id) && this.#random.chance(0.1)));
    if (left.length === retained.length) return undefined;
    const before = left[0] ?? topic.messages.length;
    const ids = retained.filter((id) => id > before && !left.includes(id));
    const lostMs = topic.messages[before - 1]?.createdMs ?? -Infinity;
    const limit = before === 0 ? undefined : { id: before - 1, createdMs: lostMs };
    return { do: "drop", topic: topic.info, dropped: { before, ids, lostMs, limit } };
  }

  #retain(step: Step): void {
    if (step.do === "append") {
      const { topic, expectedId, payloads, drops } = step.append;
      const ids = this.#retained.get(topic) ?? new Set();
      for (const i of payloads.keys()) ids.add(expectedId + i);
      this.#retained.set(topic, ids);
      if (drops !== undefined) this.#retained.get(drops.topic)!.delete(drops.id);
    } else if (step.do === "drop") {
      const ids = this.#retained.get(step.topic)!;
      for (const id of [...ids]) if (id < step.dropped.before || step.dropped.ids.includes(id)) ids.delete(id);
    } else if (step.do === "remove") this.#retained.delete(step.topic);
  }
}

/** The first steps of a workload. */
export function stepsOf(seed: number, count: number): Step[] {
  const workload = new Workload(seed);
  return Array.from({ length: count }, () => workload.next());
}

/** Asks a store for a step; what it answers. */
export async function ask(store: Store, step: Step): Promise<unknown> {
  switch (step.do) {
    case "append":
      return await store.append(step.append);
    case "note":
      return await store.note(step.topic, step.change);
    case "forget":
      return await store.forget(step.topic, step.group);
    case "delay":
      return await store.delay(step.message);
    case "cancel":
      return await store.cancel(step.topic, step.token);
    case "drop":
      return store.drop(step.topic, step.dropped);
    case "remove":
      return await store.remove(step.topic, step.newestMs);
  }
}
