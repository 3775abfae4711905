/**
 * What a bus is, said as plainly as possible: arrays, searched from front to back. The model test compares the two.
 *
 * @module
 */

import type { Limits } from "../../lib/bus/limits.ts";
import { assert } from "../deps.ts";

/** A retained message of the model. */
export interface ModelMessage {
  readonly id: number;
  readonly payload: string;
  readonly createdMs: number;
  readonly bytes: number;
}

/** A topic of the model. */
export interface ModelTopic {
  readonly name: string;
  readonly createdMs: number;
  readonly log: ModelMessage[];
  next: number;
  /** The next id that the queue wants. */
  queue: number;
  acceptedMs: number;
  usedMs: number;
  /** Whether the bells of its readers are to ring when the turn ends. */
  dirty: boolean;
}

/** A subscription of the model. */
export interface ModelSubscription {
  readonly name: string;
  /** What it reads; `undefined` until its topic is made, and after it ended. */
  topic: ModelTopic | undefined;
  next: number;
  ended: boolean;
  /** How often its bell has rung. */
  bells: number;
}

/** Where a subscription of the model begins; a position is an id relative to the end of the log. */
export type ModelSince = "latest" | "earliest" | { readonly next: number; readonly sameEpoch: boolean };

/** The reference for {@linkcode MessageBus}. */
export class Model {
  readonly limits: Limits;
  nowMs: number;
  readonly topics: Map<string, ModelTopic> = new Map();
  readonly subscriptions: ModelSubscription[] = [];
  /** What the bus says it dropped for a limit, which decides between topics of which the model may drop either. */
  readonly drops: string[] = [];
  published = 0;
  pulled = 0;
  delivered = 0;
  expired = 0;
  dropped = 0;
  #lastCreatedMs = 0;

  /** Makes an empty one. */
  constructor(limits: Limits, nowMs: number) {
    this.limits = limits;
    this.nowMs = nowMs;
  }

  /** Publishes; returns the error code, or undefined. */
  publish(name: string, payloads: readonly string[]): string | undefined {
    const { discard, maxMessages, maxTopicBytes, maxMemoryBytes, maxPayloadBytes, maxTopics } = this.limits;
    const old = this.topics.get(name);
    if (old === undefined && this.topics.size >= maxTopics) return "too_many_topics";
    const topic = old ?? this.#newTopic(name);
    this.#expire(topic);
    const messages = payloads.map((payload, i) => this.#message(topic, topic.next + i, payload));
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
      for (const subscription of this.#readersOf(name)) Object.assign(subscription, { topic, next: 0 });
    }
    topic.acceptedMs = Math.max(topic.acceptedMs, this.nowMs);
    for (const message of messages) {
      this.#makeRoom(topic, message.bytes);
      topic.log.push({ ...message, createdMs: topic.acceptedMs });
      topic.next++;
      this.published++;
    }
    topic.dirty ||= this.#readersOf(name).length > 0;
    return undefined;
  }

  /** Pulls. */
  get(name: string): ModelMessage | undefined {
    const topic = this.topics.get(name);
    if (topic === undefined) return undefined;
    topic.usedMs = this.nowMs;
    this.#expire(topic);
    const message = unpulled(topic)[0];
    if (message === undefined) return undefined;
    topic.queue = message.id + 1;
    this.pulled++;
    return message;
  }

  /** Subscribes. */
  subscribe(name: string, since: ModelSince): void {
    const topic = this.topics.get(name);
    let next = 0;
    if (topic !== undefined) {
      next = firstOf(topic);
      if (since === "latest") next = topic.next;
      else if (since !== "earliest" && since.sameEpoch && since.next <= topic.next) next = since.next;
    }
    const subscription = { name, topic, next, ended: false, bells: 0 };
    this.subscriptions.push(subscription);
    if (topic !== undefined) topic.dirty ||= next < topic.next;
  }

  /** Takes the next message of a subscription. */
  take(subscription: ModelSubscription): ModelMessage | undefined {
    const { topic } = subscription;
    if (topic === undefined || subscription.ended) return undefined;
    this.#expire(topic);
    const message = topic.log.find(({ id }) => id >= subscription.next);
    if (message === undefined) return undefined;
    subscription.next = message.id + 1;
    this.delivered++;
    return message;
  }

  /** How many retained messages lie ahead of a subscription. */
  lag(subscription: ModelSubscription): number {
    const { topic } = subscription;
    if (topic === undefined || subscription.ended) return 0;
    this.#expire(topic);
    return topic.log.filter(({ id }) => id >= subscription.next).length;
  }

  /** Closes a subscription. */
  close(subscription: ModelSubscription): void {
    if (subscription.ended) return;
    subscription.ended = true;
    if (subscription.topic !== undefined && this.#readersOf(subscription.name).length === 0) {
      subscription.topic.usedMs = this.nowMs;
    }
  }

  /** Deletes a topic; returns whether there was one. */
  delete(name: string): boolean {
    for (const subscription of this.topics.has(name) ? this.#readersOf(name) : []) subscription.ended = true;
    return this.topics.delete(name);
  }

  /** Lets time pass, in steps in which everything happens that is due. */
  tick(ms: number): void {
    for (let i = 0; i < ms; i++) {
      this.nowMs++;
      for (const topic of this.topics.values()) {
        this.#expire(topic);
        if (topic.log.length > 0) continue;
        if (this.#readersOf(topic.name).length > 0) topic.usedMs = this.nowMs;
        if (this.nowMs >= topic.usedMs + this.limits.topicIdleMs) this.topics.delete(topic.name);
      }
    }
  }

  /** Ends the turn. */
  flush(): void {
    for (const subscription of this.subscriptions) {
      if (subscription.topic?.dirty && !subscription.ended) subscription.bells++;
    }
    for (const topic of this.topics.values()) topic.dirty = false;
  }

  #newTopic(name: string): ModelTopic {
    const createdMs = Math.max(this.nowMs, this.#lastCreatedMs + 1);
    return { name, createdMs, log: [], next: 0, queue: 0, acceptedMs: this.nowMs, usedMs: this.nowMs, dirty: false };
  }

  #message(topic: ModelTopic, id: number, payload: string): ModelMessage {
    const { ttlMs } = this.limits;
    const envelope = JSON.stringify({
      id,
      topic: { name: topic.name, ttl: ttlMs * 1_000_000, seq: id + 1, created: new Date(topic.createdMs) },
      payload: new TextEncoder().encode(payload).toBase64(),
      expires: ttlMs === 0 ? "0001-01-01T00:00:00Z" : new Date(this.nowMs + ttlMs),
      created: new Date(this.nowMs),
    });
    return { id, payload, createdMs: this.nowMs, bytes: new TextEncoder().encode(envelope).length + 128 };
  }

  #readersOf(name: string): ModelSubscription[] {
    return this.subscriptions.filter((subscription) => subscription.name === name && !subscription.ended);
  }

  #expire(topic: ModelTopic): void {
    const { ttlMs } = this.limits;
    while (ttlMs > 0 && topic.log.length > 0 && topic.log[0]!.createdMs + ttlMs <= this.nowMs) {
      topic.log.shift();
      topic.usedMs = this.nowMs;
      this.expired++;
    }
  }

  #makeRoom(topic: ModelTopic, bytes: number): void {
    const { maxMessages, maxTopicBytes, maxMemoryBytes } = this.limits;
    while (topic.log.length > 0 && (topic.log.length >= maxMessages || sum(topic.log) + bytes > maxTopicBytes)) {
      this.#drop(topic);
    }
    while (sum([...this.topics.values()].flatMap(({ log }) => log)) + bytes > maxMemoryBytes) {
      const most = Math.max(...[...this.topics.values()].map((topic) => this.#droppable(topic)));
      if (most === 0) break;
      const candidates = [...this.topics.values()].filter((topic) => this.#droppable(topic) === most);
      const chosen = candidates.find(({ name }) => name === this.drops[0]);
      assert(chosen !== undefined, `${this.drops[0]} was dropped from, not ${candidates.map(({ name }) => name)}`);
      this.#drop(chosen);
      if (chosen.log.length === 0) chosen.usedMs = this.nowMs;
    }
  }

  #droppable(topic: ModelTopic): number {
    return this.limits.discard === "old" ? sum(topic.log) : sum(topic.log) - sum(unpulled(topic));
  }

  #drop(topic: ModelTopic): void {
    const message = topic.log.shift()!;
    assert(this.limits.discard === "old" || message.id < topic.queue, "dropped though nobody had pulled it");
    assert(this.drops.shift() === topic.name, `the bus dropped nothing from ${topic.name}`);
    this.dropped++;
  }
}

const unpulled = ({ log, queue }: ModelTopic) => log.filter(({ id }) => id >= queue);
const firstOf = ({ log, next }: ModelTopic) => log[0]?.id ?? next;
const sum = (messages: readonly ModelMessage[]) => messages.reduce((sum, { bytes }) => sum + bytes, 0);
