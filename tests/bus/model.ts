/**
 * What a bus is, said as plainly as possible: arrays, searched from front to back. The model test compares the two.
 *
 * @module
 */

import type { Limits } from "../../lib/bus/limits.ts";
import type { EndReason } from "../../lib/bus/subscription.ts";
import type { Gap } from "../../lib/event.ts";
import { assert } from "../deps.ts";

/** Stands for the topic of a reader that was told that it has no room. */
export const FULL = "a reader without room";

/** A message of the model. */
export interface ModelMessage {
  readonly id: number;
  readonly payload: string;
  readonly createdMs: number;
  /** `Infinity` if never. */
  readonly expiresMs: number;
  /** What it counts as: its envelope and 128. */
  readonly bytes: number;
  lost?: "expired" | "dropped";
}

/** A topic of the model. */
export interface ModelTopic {
  readonly name: string;
  readonly createdMs: number;
  /** Every message it ever had, by its id. */
  readonly all: ModelMessage[];
  /** The next id that the queue wants. */
  queue: number;
  usedMs: number;
}

/** A subscription of the model. */
export interface ModelSubscription {
  /** Names and patterns, separated by commas. */
  readonly pattern: string;
  readonly stallMs: number | undefined;
  /** The next id that it wants of a topic; 0 of one made later. */
  readonly wanted: Map<ModelTopic, number>;
  /** Of several topics those that have something that it has not read, forgotten ones too. */
  readonly unread: Set<ModelTopic>;
  /** Of those where what is next was gone already when it came there, when the message before was created. */
  readonly beforeMs: Map<ModelTopic, number>;
  /** What it is to be told before anything else, and its cursor until then. */
  readonly missing: Gap[];
  readonly sinceCursor: string;
  /** The topics that were deleted, of which that has not been told, and its cursor until then. */
  readonly deleted: { readonly name: string; readonly cursorMs: number }[];
  /** Of a single topic the id, of several the time, after which it has caught up; `undefined` when it was told. */
  replayEnd: number | undefined;
  /** The cursor of one to several topics when nothing is left to read. */
  readUntilMs: number;
  ended: EndReason | undefined;
  lastCursor: string;
  /** Whether its bell has rung and it has not read all there was since. */
  rung: boolean;
  /** How often its bell has rung. */
  bells: number;
  /** When its bell has rung last. */
  rungMs: number;
  /** When it last read, or had something to read first. */
  idleSinceMs: number;
}

/** Where a reader of the model begins. */
export type ModelSince =
  | "latest"
  | "earliest"
  | { readonly next: number; readonly epoch?: string }
  | { readonly last: number }
  | { readonly fromMs: number }
  | { readonly createdMs: number };

/** What a subscription of the model gives next. */
export type ModelDelivery =
  | { readonly event: "messages"; readonly topic: string; readonly messages: readonly ModelMessage[] }
  | ({ readonly event: "gap"; readonly cursor: string } & Gap)
  | { readonly event: "caught-up"; readonly cursor: string }
  | { readonly event: "deleted"; readonly cursor: string; readonly topic: string };

/** How much a reader of the model takes at once. */
export interface ModelReadLimits {
  readonly maxMessages?: number;
  readonly maxBytes?: number;
}

/** Messages of the model, and what is missing before them. */
export interface ModelBatch {
  readonly messages: readonly ModelMessage[];
  readonly gap: Gap | undefined;
}

/** A pull of the model that waits, or has waited. */
export interface ModelWait {
  readonly name: string;
  readonly limit: number;
  readonly dueMs: number;
  answer: ModelBatch | "aborted" | undefined;
}

/** The reference for {@linkcode MessageBus}. */
export class Model {
  readonly limits: Limits;
  readonly startedMs: number;
  nowMs: number;
  readonly topics: Map<string, ModelTopic> = new Map();
  /** The topics that are gone. */
  readonly gone: ModelTopic[] = [];
  readonly subscriptions: ModelSubscription[] = [];
  readonly waits: ModelWait[] = [];
  /** What the bus says it dropped for a limit, which decides between topics of which the model may drop either. */
  readonly drops: string[] = [];
  published = 0;
  pulled = 0;
  delivered = 0;
  expired = 0;
  dropped = 0;
  #lastCreatedMs = 0;
  /** The topics that got something in this turn. */
  readonly #news = new Set<string>();

  /** Makes an empty one. */
  constructor(limits: Limits, nowMs: number) {
    this.limits = limits;
    this.startedMs = this.nowMs = nowMs;
  }

  /** Publishes; returns the error code, or undefined. */
  publish(name: string, payloads: readonly string[], ttlMs: number = this.limits.ttlMs): string | undefined {
    const { discard, maxMessages, maxTopicBytes, maxMemoryBytes, maxPayloadBytes, maxTopics } = this.limits;
    const old = this.topics.get(name);
    if (old === undefined && this.topics.size >= maxTopics) return "too_many_topics";
    const topic = old ?? this.#newTopic(name);
    this.#expire(topic);
    const messages = payloads.map((payload, i) => this.#message(topic, topic.all.length + i, payload, ttlMs));
    if (payloads.some((payload) => new TextEncoder().encode(payload).length > maxPayloadBytes)) return "too_large";
    if (discard === "new") {
      const kept = unpulled(topic);
      if (kept.length + messages.length > maxMessages) return "topic_full";
      if (sum(kept) + sum(messages) > maxTopicBytes) return "topic_full";
      const all = [...this.topics.values()].flatMap(unpulled);
      if (sum(all) + sum(messages) > maxMemoryBytes) return "overloaded";
    } else {
      if (messages.length > maxMessages || sum(messages) > maxTopicBytes) return "topic_full";
      if (sum(messages) > maxMemoryBytes) return "overloaded";
    }
    if (old === undefined) {
      this.#lastCreatedMs = topic.createdMs;
      this.topics.set(name, topic);
    }
    for (const subscription of this.readersOf(name)) {
      this.#noteNews(subscription);
      if (isSeveral(subscription.pattern)) subscription.unread.add(topic);
    }
    for (const message of messages) {
      this.#makeRoom(topic, message.bytes);
      topic.all.push(message);
      this.published++;
    }
    // What nobody wants to hear of, nobody is told at the end of the turn.
    const isAwaited = this.waits.some((wait) => isWaiting(wait) && wait.name === name);
    if (isAwaited || this.readersOf(name).length > 0) this.#news.add(name);
    return undefined;
  }

  /** Pulls. */
  pull(name: string, limit: number, maxBytes = Infinity): ModelBatch {
    const topic = this.topics.get(name);
    if (topic === undefined) return { messages: [], gap: undefined };
    topic.usedMs = this.nowMs;
    this.#expire(topic);
    const gap = gapAt(topic, topic.queue);
    const from = gap === undefined ? topic.queue : gap.to! + 1;
    const messages = within(inARow(topic, from).slice(0, limit), maxBytes);
    topic.queue = messages.at(-1) === undefined ? from : messages.at(-1)!.id + 1;
    this.pulled += messages.length;
    return { messages, gap };
  }

  /** Pulls, and waits if there is nothing. */
  wait(name: string, limit: number, waitMs: number): ModelWait {
    const wait: ModelWait = { name, limit, dueMs: this.nowMs + waitMs, answer: undefined };
    const isFirst = !this.waits.some((other) => isWaiting(other) && other.name === name);
    this.waits.push(wait);
    if (isFirst) this.#serve(wait);
    return wait;
  }

  /** Gives up a pull that waits. */
  abort(wait: ModelWait): void {
    if (isWaiting(wait)) wait.answer = "aborted";
  }

  /** Looks at messages. */
  browse(name: string, since: ModelSince, limit: number, maxBytes: number): ModelBatch & { next: string } | undefined {
    const topic = this.topics.get(name);
    if (topic === undefined) return undefined;
    const { wanted, gap = gapAt(topic, wanted) } = this.#startOf(topic, since);
    const from = nextRetained(topic, wanted);
    const messages = within(inARow(topic, from).slice(0, limit), maxBytes);
    const next = messages.length > 0 ? messages.at(-1)!.id + 1 : from;
    return { messages, gap, next: cursorAt(topic, next) };
  }

  /** Subscribes; returns the error code, or undefined. */
  subscribe(pattern: string, since: ModelSince, stallMs: number | undefined): string | undefined {
    const several = isSeveral(pattern);
    if (several && typeof since === "object" && "next" in since) return "bad_cursor";
    const subscription: ModelSubscription = {
      pattern,
      stallMs,
      wanted: new Map(),
      unread: new Set(),
      beforeMs: new Map(),
      missing: [],
      sinceCursor: this.#cursorOfSince(since),
      deleted: [],
      replayEnd: several ? -Infinity : 0,
      readUntilMs: this.nowMs,
      ended: undefined,
      lastCursor: "",
      rung: false,
      bells: 0,
      rungMs: this.nowMs,
      idleSinceMs: this.nowMs,
    };
    const topics = [...this.topics.values()].filter(({ name }) => matches(pattern, name));
    const resets = typeof since === "object" && "createdMs" in since ? this.#resetsSince(pattern, since.createdMs) : [];
    const miss = (topic: string) => subscription.missing.push({ topic, from: null, to: null, reason: "reset" });
    if (several) resets.forEach(miss);
    for (const topic of topics) {
      // Of several topics those that are gone are told of first, and then of each what it has lost.
      const { wanted, gap } = this.#startOf(topic, since, several);
      subscription.wanted.set(topic, wanted);
      if (gap !== undefined) subscription.missing.push(gap);
      const unread = retained(topic).filter(({ id }) => id >= wanted);
      if (!several) subscription.replayEnd = topic.all.length;
      else if (unread.length > 0) {
        subscription.unread.add(topic);
        subscription.replayEnd = Math.max(subscription.replayEnd!, unread.at(-1)!.createdMs);
      }
    }
    if (!several && topics.length === 0) {
      const elsewhere = typeof since === "object" && "next" in since && (since.next > 0 || since.epoch !== undefined);
      if (elsewhere || resets.length > 0) miss(pattern);
    }
    this.subscriptions.push(subscription);
    return undefined;
  }

  /** Reads; which topic's turn it is among several with messages of the same time, the bus has decided. */
  read(
    subscription: ModelSubscription,
    limits: ModelReadLimits,
    chosen: string | undefined,
  ): ModelDelivery | "full" | undefined {
    if (subscription.ended !== undefined) return undefined;
    const delivery = this.#next(subscription, limits, chosen);
    if (delivery !== undefined && delivery !== "full") subscription.idleSinceMs = this.nowMs;
    if (delivery === undefined || !this.isUnread(subscription)) subscription.rung = false;
    if (typeof delivery === "object" && delivery.event === "messages") this.delivered += delivery.messages.length;
    return delivery;
  }

  /** How many retained messages lie ahead of a subscription. */
  lag(subscription: ModelSubscription): number {
    if (subscription.ended !== undefined) return 0;
    const topics = this.#unreadOf(subscription);
    return topics.flatMap((topic) => retained(topic).filter(({ id }) => id >= wantedOf(subscription, topic))).length;
  }

  /** The position of a subscription. */
  cursor(subscription: ModelSubscription): string {
    if (subscription.ended !== undefined) return subscription.lastCursor;
    if (subscription.missing.length > 0) return subscription.sinceCursor;
    if (isSeveral(subscription.pattern)) {
      return timeCursor(Math.min(this.#nextMs(subscription), subscription.deleted[0]?.cursorMs ?? Infinity));
    }
    const topic = this.topics.get(subscription.pattern);
    return topic === undefined ? "0" : cursorAt(topic, wantedOf(subscription, topic));
  }

  /** Of several topics: everything created before this time was read, or deleted. */
  #nextMs(subscription: ModelSubscription): number {
    const unread = this.#unreadOf(subscription);
    if (unread.length === 0) return subscription.readUntilMs;
    return Math.min(...unread.map((topic) => nextMsOf(subscription, topic)));
  }

  /** Whether there is something that a subscription could read. */
  isUnread(subscription: ModelSubscription): boolean {
    const { missing, deleted, replayEnd } = subscription;
    return missing.length + deleted.length + this.#unreadOf(subscription).length > 0 || replayEnd !== undefined;
  }

  /** Ends a subscription. */
  end(subscription: ModelSubscription, reason: EndReason): void {
    if (subscription.ended !== undefined) return;
    subscription.lastCursor = this.cursor(subscription);
    subscription.ended = reason;
    for (const item of subscription.pattern.split(",")) {
      const topic = this.topics.get(item);
      if (topic !== undefined) topic.usedMs = this.nowMs;
    }
  }

  /** Deletes a topic; returns whether there was one. */
  delete(name: string): boolean {
    const topic = this.topics.get(name);
    if (topic === undefined) return false;
    for (const subscription of this.readersOf(name)) {
      if (!isSeveral(subscription.pattern)) this.end(subscription, "deleted");
      else {
        this.#noteNews(subscription);
        subscription.deleted.push({ name, cursorMs: this.#nextMs(subscription) });
        subscription.unread.delete(topic);
      }
    }
    this.#forget(topic);
    return true;
  }

  /** Lets time pass, in steps in which everything happens that is due; subscriptions stall when the bus says so. */
  tick(ms: number, stalls: readonly { readonly subscription: ModelSubscription; readonly atMs: number }[]): void {
    for (let i = 0; i < ms; i++) {
      this.nowMs++;
      for (const { subscription, atMs } of stalls) if (atMs === this.nowMs) this.end(subscription, "stalled");
      for (const topic of this.topics.values()) {
        this.#expire(topic);
        if (retained(topic).length > 0) continue;
        if (this.#isNamed(topic.name)) topic.usedMs = this.nowMs;
        if (this.nowMs >= topic.usedMs + this.limits.topicIdleMs) this.#forget(topic);
      }
    }
    const due = this.waits.filter((wait) => isWaiting(wait) && wait.dueMs <= this.nowMs);
    for (const wait of due.sort((a, b) => a.dueMs - b.dueMs)) wait.answer = this.pull(wait.name, 0);
  }

  /** Ends the turn. */
  flush(): void {
    for (const subscription of this.subscriptions) {
      if (subscription.ended !== undefined || subscription.rung || !this.isUnread(subscription)) continue;
      subscription.rung = true;
      subscription.bells++;
      subscription.rungMs = this.nowMs;
    }
    for (const wait of this.waits) if (isWaiting(wait) && this.#news.has(wait.name)) this.#serve(wait);
    this.#news.clear();
  }

  /** The subscriptions to a topic. */
  readersOf(name: string): ModelSubscription[] {
    return this.subscriptions.filter(({ pattern, ended }) => ended === undefined && matches(pattern, name));
  }

  #isNamed(name: string): boolean {
    return this.readersOf(name).some(({ pattern }) => pattern.split(",").includes(name));
  }

  #serve(wait: ModelWait): void {
    const topic = this.topics.get(wait.name);
    if (topic === undefined) return;
    topic.usedMs = this.nowMs;
    this.#expire(topic);
    if (unpulled(topic).length > 0) wait.answer = this.pull(wait.name, wait.limit);
  }

  #noteNews(subscription: ModelSubscription): void {
    if (!this.isUnread(subscription)) subscription.idleSinceMs = this.nowMs;
  }

  /** The topics that have something that a subscription has not read, lost or not. */
  #unreadOf(subscription: ModelSubscription): ModelTopic[] {
    if (isSeveral(subscription.pattern)) return [...subscription.unread];
    const topic = this.topics.get(subscription.pattern);
    return topic !== undefined && wantedOf(subscription, topic) < topic.all.length ? [topic] : [];
  }

  #forget(topic: ModelTopic): void {
    this.topics.delete(topic.name);
    if (topic.all.length > 0) this.gone.push(topic);
  }

  /** What a reader of topics must be told is another one by now, or gone: names, or the pattern. */
  #resetsSince(pattern: string, createdMs: number): string[] {
    if (createdMs < this.startedMs) return [pattern];
    const gone = this.gone.filter(({ name, all }) => matches(pattern, name) && all.at(-1)!.createdMs >= createdMs);
    return [...new Set(gone.map(({ name }) => name))];
  }

  #cursorOfSince(since: ModelSince): string {
    if (typeof since === "string" || "last" in since) return "";
    if ("fromMs" in since) return timeCursor(Math.max(since.fromMs, this.startedMs));
    if ("createdMs" in since) return timeCursor(since.createdMs);
    return since.epoch === undefined ? `${since.next}` : `${since.next}@${since.epoch}`;
  }

  #startOf(topic: ModelTopic, since: ModelSince, several = false): { wanted: number; gap?: Gap } {
    this.#expire(topic);
    const { name, all } = topic;
    const first = firstOf(topic);
    const reset: Gap = { topic: name, from: null, to: first === 0 ? null : first - 1, reason: "reset" };
    if (since === "latest") return { wanted: all.length };
    if (since === "earliest") return { wanted: first };
    if ("last" in since) {
      const newest = retained(topic).filter((_, i, { length }) => i >= length - since.last);
      return { wanted: newest[0]?.id ?? all.length };
    }
    if ("next" in since) {
      const known = (since.epoch ?? epochOf(topic)) === epochOf(topic) && since.next <= all.length;
      return known ? { wanted: since.next } : { wanted: first, gap: reset };
    }
    const wanted = all.filter(({ createdMs }) => createdMs >= ("fromMs" in since ? since.fromMs : since.createdMs));
    const start = wanted.find(({ lost }) => lost === undefined)?.id ?? all.length;
    const isReset = "createdMs" in since && this.#resetsSince(name, since.createdMs).length > 0;
    if (isReset && !several) return { wanted: start, gap: reset };
    const lost = wanted.filter(({ id }) => id < start);
    if (lost.length === 0) return { wanted: start };
    return { wanted: start, gap: { topic: name, from: null, to: start - 1, reason: reasonOf(lost) } };
  }

  #next(
    subscription: ModelSubscription,
    limits: ModelReadLimits,
    chosen: string | undefined,
  ): ModelDelivery | "full" | undefined {
    // Which of the topics went first that went at once, the bus has decided.
    const at = subscription.missing.findIndex(({ topic, reason }) => reason === "reset" && topic === chosen);
    const [missing] = subscription.missing.splice(Math.max(at, 0), 1);
    if (missing !== undefined) return { event: "gap", cursor: this.cursor(subscription), ...missing };
    const deleted = subscription.deleted.shift();
    if (deleted !== undefined) return { event: "deleted", cursor: this.cursor(subscription), topic: deleted.name };
    const several = isSeveral(subscription.pattern);
    const unread = this.#unreadOf(subscription);
    const oldestMs = Math.min(...unread.map((topic) => nextMsOf(subscription, topic)));
    const candidates = unread.filter((topic) => nextMsOf(subscription, topic) === oldestMs);
    // One whose turn it is and that has no room is as good as another.
    const isFull = (topic: ModelTopic) => {
      const [next] = retained(topic).filter(({ id }) => id >= wantedOf(subscription, topic));
      return next !== undefined && lineBytes(next) > (limits.maxBytes ?? Infinity);
    };
    const topic = candidates.find((topic) => !several || (chosen === FULL ? isFull(topic) : topic.name === chosen)) ??
      candidates.find((topic) => gapAt(topic, wantedOf(subscription, topic)) === undefined) ?? candidates[0];
    if (topic !== undefined) {
      this.#expire(topic);
      const gap = gapAt(topic, wantedOf(subscription, topic));
      if (gap !== undefined) {
        const after = topic.all[gap.to! + 1];
        if (after !== undefined && lineBytes(after) > (limits.maxBytes ?? Infinity)) return "full";
        this.#moveTo(subscription, topic, gap.to! + 1);
        return { event: "gap", cursor: this.cursor(subscription), ...gap };
      }
    }
    const { replayEnd } = subscription;
    if (replayEnd !== undefined) {
      const own = this.topics.get(subscription.pattern);
      const caughtUp = several
        ? oldestMs > replayEnd
        : (own === undefined ? 0 : wantedOf(subscription, own)) >= replayEnd;
      if (several && topic === undefined) subscription.readUntilMs = this.nowMs;
      if (caughtUp) {
        subscription.replayEnd = undefined;
        return { event: "caught-up", cursor: this.cursor(subscription) };
      }
    }
    if (topic === undefined) {
      subscription.readUntilMs = this.nowMs;
      return undefined;
    }
    const othersMs = Math.min(
      ...unread.filter((other) => other !== topic).map((other) => nextMsOf(subscription, other)),
    );
    const { maxMessages = 1000, maxBytes = Infinity } = limits;
    const run = within(inARow(topic, wantedOf(subscription, topic)).slice(0, maxMessages), 64 * 1024);
    const messages: ModelMessage[] = [];
    let bytes = 0;
    for (const message of run) {
      bytes += lineBytes(message);
      if (bytes > maxBytes || message.createdMs > othersMs) break;
      messages.push(message);
    }
    if (messages.length === 0) return "full";
    const { id, createdMs } = messages.at(-1)!;
    this.#moveTo(subscription, topic, id + 1);
    subscription.readUntilMs = Math.max(subscription.readUntilMs, createdMs);
    return { event: "messages", topic: topic.name, messages };
  }

  #moveTo(subscription: ModelSubscription, topic: ModelTopic, wanted: number): void {
    subscription.wanted.set(topic, wanted);
    subscription.beforeMs.delete(topic);
    if (wanted === topic.all.length) subscription.unread.delete(topic);
    else if (topic.all[wanted]!.lost) subscription.beforeMs.set(topic, topic.all[wanted - 1]!.createdMs);
  }

  #newTopic(name: string): ModelTopic {
    const createdMs = Math.max(this.nowMs, this.#lastCreatedMs + 1);
    return { name, createdMs, all: [], queue: 0, usedMs: this.nowMs };
  }

  #message(topic: ModelTopic, id: number, payload: string, ttlMs: number): ModelMessage {
    const ttl = this.limits.ttlMs * 1_000_000;
    const expiresMs = ttlMs === 0 ? Infinity : this.nowMs + ttlMs;
    const envelope = JSON.stringify({
      id,
      topic: { name: topic.name, ttl, seq: id + 1, created: new Date(topic.createdMs) },
      payload: new TextEncoder().encode(payload).toBase64(),
      expires: ttlMs === 0 ? "0001-01-01T00:00:00Z" : new Date(expiresMs),
      created: new Date(this.nowMs),
    });
    return { id, payload, createdMs: this.nowMs, expiresMs, bytes: new TextEncoder().encode(envelope).length + 128 };
  }

  #expire(topic: ModelTopic): void {
    for (const message of retained(topic)) {
      if (message.expiresMs > this.nowMs) continue;
      message.lost = "expired";
      topic.usedMs = this.nowMs;
      this.expired++;
    }
  }

  #makeRoom(topic: ModelTopic, bytes: number): void {
    const { maxMessages, maxTopicBytes, maxMemoryBytes } = this.limits;
    for (let kept = retained(topic); kept.length > 0; kept = retained(topic)) {
      if (kept.length < maxMessages && sum(kept) + bytes <= maxTopicBytes) break;
      this.#drop(topic);
    }
    while (sum([...this.topics.values()].flatMap(retained)) + bytes > maxMemoryBytes) {
      const most = Math.max(...[...this.topics.values()].map((topic) => this.#droppable(topic)));
      if (most === 0) break;
      const candidates = [...this.topics.values()].filter((topic) => this.#droppable(topic) === most);
      const chosen = candidates.find(({ name }) => name === this.drops[0]);
      assert(chosen !== undefined, `${this.drops[0]} was dropped from, not ${candidates.map(({ name }) => name)}`);
      this.#drop(chosen);
      if (retained(chosen).length === 0) chosen.usedMs = this.nowMs;
    }
  }

  #droppable(topic: ModelTopic): number {
    return this.limits.discard === "old" ? sum(retained(topic)) : sum(retained(topic)) - sum(unpulled(topic));
  }

  #drop(topic: ModelTopic): void {
    const message = retained(topic)[0]!;
    assert(this.limits.discard === "old" || message.id < topic.queue, "dropped though nobody had pulled it");
    assert(this.drops.shift() === topic.name, `the bus dropped nothing from ${topic.name}`);
    message.lost = "dropped";
    this.dropped++;
  }
}

/** The messages that a topic retains. */
export function retained({ all }: ModelTopic): ModelMessage[] {
  return all.filter(({ lost }) => lost === undefined);
}

/** The messages from an id on, up to the first one that is gone. */
function inARow(topic: ModelTopic, from: number): ModelMessage[] {
  const messages = topic.all.slice(from);
  const end = messages.findIndex(({ lost }) => lost !== undefined);
  return end === -1 ? messages : messages.slice(0, end);
}

/** Those of them that the queue has not handed out. */
export function unpulled(topic: ModelTopic): ModelMessage[] {
  return retained(topic).filter(({ id }) => id >= topic.queue);
}

/** Whether a subscription is to several topics. */
export function isSeveral(pattern: string): boolean {
  return pattern.includes(",") || pattern.includes("*");
}

/** Whether a pull waits still. */
export function isWaiting({ answer }: ModelWait): boolean {
  return answer === undefined;
}

/** What messages count as. */
export const sum = (messages: readonly ModelMessage[]): number => messages.reduce((sum, { bytes }) => sum + bytes, 0);

const nextRetained = (topic: ModelTopic, from: number) =>
  retained(topic).find(({ id }) => id >= from)?.id ?? topic.all.length;
const firstOf = (topic: ModelTopic) => nextRetained(topic, 0);
const epochOf = (topic: ModelTopic) => topic.createdMs.toString(36);
const cursorAt = (topic: ModelTopic, next: number) => `${next}@${epochOf(topic)}`;
const timeCursor = (createdMs: number) => `T${createdMs.toString(36)}`;
const wantedOf = ({ wanted }: ModelSubscription, topic: ModelTopic) => wanted.get(topic) ?? 0;
const lineBytes = ({ bytes }: ModelMessage) => bytes - 128 + 1;
const reasonOf = (lost: readonly ModelMessage[]) => lost.some(({ lost }) => lost === "dropped") ? "dropped" : "expired";

/** When the next message was created that a subscription wants of a topic, lost or not; or a time before that. */
function nextMsOf(subscription: ModelSubscription, topic: ModelTopic): number {
  return subscription.beforeMs.get(topic) ?? topic.all[wantedOf(subscription, topic)]!.createdMs;
}

function gapAt(topic: ModelTopic, wanted: number): Gap | undefined {
  const end = nextRetained(topic, wanted);
  if (end === wanted) return undefined;
  return { topic: topic.name, from: wanted, to: end - 1, reason: reasonOf(topic.all.slice(wanted, end)) };
}

/** The first of messages, as far as they fit; one in any case. */
function within(messages: readonly ModelMessage[], maxBytes: number): ModelMessage[] {
  return messages.filter((_, i) =>
    i === 0 || messages.slice(0, i + 1).reduce((n, m) => n + lineBytes(m), 0) <= maxBytes
  );
}

function matches(pattern: string, name: string): boolean {
  return pattern.split(",").some((item) => {
    const segments = item.split("/").map((segment) => segment === "**" ? ".+" : segment === "*" ? "[^/]+" : segment);
    return new RegExp(`^${segments.join("/")}$`).test(name);
  });
}
