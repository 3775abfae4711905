/**
 * A bus whose groups are tested, and what is seen of it.
 *
 * @module
 */

import type { GroupStats } from "../../lib/bus/answers.ts";
import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import type { Limits } from "../../lib/bus/limits.ts";
import type { Store } from "../../lib/bus/store.ts";
import { BusError } from "../../lib/errors.ts";
import type { Gap } from "../../lib/event.ts";
import { type Message, parseCursor } from "../../lib/message.ts";
import { MemoryStore } from "../../lib/store/memory.ts";
import { assert } from "../deps.ts";
import { GroupHistory } from "./group_history.ts";
import type { ModelPull, Seen } from "./group_model.ts";
import type { ModelContent } from "./group_of_model.ts";
import { KeptStore } from "./kept_store.ts";
import { TestClock } from "./test_clock.ts";

/** The answer of the bus to a pull: messages and what is missing before them, or what it was refused with. */
export type Answer = { readonly messages: readonly Message[]; readonly gap?: Gap | "not told" | undefined } | string;

/** What is to be published. */
export interface Content {
  readonly key: string | undefined;
  readonly ttlMs: number | undefined;
  /** How many messages. */
  readonly count: number;
}

/** A pull of the bus that waits, or has waited. */
export interface Wait {
  readonly pull: ModelPull;
  readonly controller: AbortController;
  answer: Answer | undefined;
  /** Whether the answer was compared with the model's. */
  isCompared: boolean;
}

interface Published {
  readonly message: Message;
  readonly atMs: number;
}

/** The bus under test and what the test has seen of it. */
export class Subject {
  clock: TestClock = new TestClock();
  bus: MessageBus;
  readonly history: GroupHistory;
  readonly waits: Wait[] = [];
  /** Every token of a lease that it gave. */
  readonly leases: string[] = [];
  /** What was to be published later. */
  readonly schedules: { readonly topic: string; readonly token: string }[] = [];
  /** Whether what it reads may not be in memory. */
  readonly readsBack: boolean;
  readonly #options: BusOptions;
  #store: Store;
  /** How many payloads were made. */
  #payloads = 0;
  readonly #published: Published[] = [];
  /** Of how much of that the history has taken note. */
  #noticed = 0;

  /** Begins with an empty bus. */
  constructor(limits: Limits, store: Store = new MemoryStore()) {
    this.readsBack = store.readsBack;
    this.history = new GroupHistory(limits);
    this.#options = {
      ...limits,
      observer: { published: (message) => void this.#published.push({ message, atMs: this.clock.now() }) },
    };
    this.#store = store;
    this.bus = new MessageBus({ ...this.#options, clock: this.clock, store });
  }

  /** Ends the bus, and begins another one with what its store has kept, which must be a {@linkcode KeptStore}. */
  async restart(): Promise<void> {
    await this.bus.close();
    await goOn();
    for (const wait of this.waits) wait.isCompared = true;
    // Of the old one nothing is left that a timer or the end of a turn could run.
    this.clock = new TestClock(this.clock.now());
    this.#store = new KeptStore((this.#store as KeptStore).log);
    this.bus = await MessageBus.open({ ...this.#options, clock: this.clock, store: this.#store });
    this.history.restarted();
  }

  /** Takes one message, by `get` if that never has to wait for the store. */
  take(topic: string, pull: ModelPull): Message | undefined | Promise<Message | undefined> {
    return this.readsBack ? this.bus.pull(topic, pull) : this.bus.get(topic, pull);
  }

  /** Contents with payloads unlike any others, some with properties. */
  contents({ key, ttlMs, count }: Content): ModelContent[] {
    const n = this.#payloads;
    const contentType = n % 3 === 1 ? "text/plain" : undefined;
    const headers = n % 4 === 1 ? { a: `${n}` } : undefined;
    return Array.from({ length: count }, () => ({ payload: `p${this.#payloads++}`, key, ttlMs, contentType, headers }));
  }

  /** Has the history take note of what was published. */
  notice(): void {
    for (; this.#noticed < this.#published.length; this.#noticed++) {
      this.history.published(this.#published[this.#noticed]!.message);
    }
  }

  /** What was published first of all that was not taken yet; takes it if it is wanted. */
  takeIf(isWanted: (seen: Seen) => boolean): Seen | undefined {
    const [first] = this.#published;
    if (first === undefined || !isWanted(seenOf(first))) return undefined;
    this.notice();
    this.#noticed--;
    return seenOf(this.#published.shift()!);
  }

  /** Takes what was published. */
  news(): Seen[] {
    this.notice();
    this.#noticed = 0;
    return this.#published.splice(0).map((published) => seenOf(published));
  }

  /** Has the history judge what a pull gave. */
  notePull({ topic, group, leaseMs }: ModelPull, answer: Answer): void {
    if (typeof answer === "string") return;
    // Settling the group may have buried what was in the way.
    this.notice();
    this.history.pulled(topic, group, leaseMs, answer.messages, this.clock.now());
    for (const { lease } of answer.messages) if (lease !== undefined) this.leases.push(lease);
  }

  /** Has the history judge what waiting pulls got. */
  noteWaits(): void {
    for (const { pull, answer, isCompared } of this.waits) {
      if (answer !== undefined && !isCompared) this.notePull(pull, answer);
    }
  }

  /** Asks for everything, so that nothing is left that a timer is late for. */
  ask(): void {
    this.bus.groups();
    for (const name of this.bus.names()) void this.bus.browse(name);
  }

  /** Has the history judge everything there is to see; returns all groups. */
  async look(): Promise<GroupStats[]> {
    const groups = this.bus.names().flatMap((name) => this.bus.groups(name));
    for (const { topic, cursor } of groups) {
      this.history.retained({ name: topic, epoch: parseCursor(cursor)!.epoch! }, new Set(await this.contentsOf(topic)));
    }
    this.history.looked(groups, this.clock.now());
    return groups;
  }

  /** Whether a group is there no more. */
  isForgotten(topic: string, group: string): boolean {
    return !this.bus.groups(topic).some(({ group: name }) => name === group);
  }

  /** The ids of the messages that a topic retains. */
  async contentsOf(topic: string): Promise<number[]> {
    const all: number[] = [];
    let next: number | undefined;
    while (true) {
      const page = (await this.bus.browse(topic, { since: next === undefined ? "earliest" : { next }, limit: 1000 }))!;
      all.push(...page.messages.map(({ id }) => id));
      const after = parseCursor(page.next)!.next;
      if (after === next) return all;
      next = after;
    }
  }

  /** Pulls all groups until nothing is left, when leases and delays have ended. */
  async drain(): Promise<void> {
    for (const { controller } of this.waits) controller.abort("aborted");
    for (let ms = 0; ms < 4500; ms += 500) {
      this.clock.tick(500);
      this.clock.flush();
      await goOn();
      this.ask();
      this.news();
      for (const { topic, group } of await this.look()) {
        const pull: ModelPull = { topic, group, from: undefined, leaseMs: undefined, limit: 100 };
        for (let isEmpty = false, pulls = 1; !isEmpty; pulls++) {
          assert(pulls < 100, "pulls without end");
          const answer: Answer = await orCode(() => this.bus.pullBatch(topic, pull));
          isEmpty = typeof answer === "string" || (answer.messages.length === 0 && answer.gap === undefined);
          this.notePull(pull, answer);
        }
      }
    }
    await this.look();
    this.history.drained(this.clock.now());
  }
}

function seenOf({ message, atMs }: Published): Seen {
  const { id, key, contentType, headers, createdMs, expiresMs, topic: { name, epoch } } = message;
  return { topic: name, epoch, id, payload: message.text(), key, contentType, headers, createdMs, expiresMs, atMs };
}

/** The pulls that wait go on. */
export async function goOn(): Promise<void> {
  for (let i = 0; i < 20; i++) await undefined;
}

/** What `call` returns, or the code of the error that it throws. */
export async function orCode<T>(call: () => T | Promise<T>): Promise<T | string> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof BusError) return error.code;
    // Why it was aborted.
    if (typeof error === "string") return error;
    throw error;
  }
}

/** The code of the error that `call` throws, if any. */
export async function codeOfAny(call: () => unknown): Promise<string | undefined> {
  const result = await orCode(call);
  return typeof result === "string" ? result : undefined;
}
