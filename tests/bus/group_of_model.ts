/**
 * One group of the model: where it is, and what it was given and is not done with.
 *
 * @module
 */

import type { Limits } from "../../lib/bus/limits.ts";
import type { Gap } from "../../lib/event.ts";

/** What somebody publishes. */
export interface ModelContent {
  readonly payload: string;
  readonly key?: string | undefined;
  readonly contentType?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** As long as the topic says, if nothing else is said. */
  readonly ttlMs?: number | undefined;
}

/** A message of the model. */
export interface ModelMessage extends ModelContent {
  readonly id: number;
  readonly createdMs: number;
  readonly expiresMs: number;
  lost?: "expired" | "dropped";
}

/** A topic of the model. */
export interface ModelTopic {
  readonly name: string;
  readonly epoch: string;
  /** Every message it ever had, by its id. */
  readonly all: ModelMessage[];
  readonly groups: ModelGroup[];
}

/** A message that a group is not done with. */
export interface ModelItem {
  readonly message: ModelMessage;
  state: "leased" | "waiting" | "blocked";
  /** When its lease ends, or when it is handed out again. */
  untilMs: number;
  leaseMs: number;
  attempt: number;
  /** What the bus has named its lease. */
  token: string | undefined;
  /** Whether other messages of its key wait for it. */
  holdsKey: boolean;
}

/** Where a group begins. */
export type ModelFrom =
  | "earliest"
  | "latest"
  | { readonly next: number; readonly epoch?: string }
  | { readonly last: number }
  | { readonly fromMs: number };

/** A message as it was handed out. */
export interface ModelHandout {
  readonly message: ModelMessage;
  readonly attempt: number | undefined;
  /** What it was leased as. */
  readonly item: ModelItem | undefined;
}

/** A group of the model; the queue is the one without a name. */
export class ModelGroup {
  readonly topic: ModelTopic;
  readonly name: string;
  /** The next new message. */
  next = 0;
  /** What its pullers are to be told that is missing. */
  readonly gaps: Gap[] = [];
  /** What was handed out, or passed over, and is not done. */
  readonly items: ModelItem[] = [];
  acked = 0;
  dead = 0;
  lost = 0;
  usedMs: number;
  /** Whether it has ever leased a message. */
  hasLeased = false;
  readonly #now: { readonly nowMs: number; readonly limits: Limits };

  /** Makes one that begins with the first message of all; `now` has the time. */
  constructor(topic: ModelTopic, name: string, now: { readonly nowMs: number; readonly limits: Limits }) {
    this.topic = topic;
    this.name = name;
    this.usedMs = now.nowMs;
    this.#now = now;
  }

  /** Begins elsewhere. */
  begin(from: ModelFrom): void {
    const { all, epoch, name } = this.topic;
    const first = firstOf(this.topic);
    if (from === "earliest") this.next = first;
    else if (from === "latest") this.next = all.length;
    else if ("last" in from) this.next = retained(this.topic).slice(-from.last || all.length)[0]?.id ?? all.length;
    else if ("next" in from) {
      const isKnown = (from.epoch ?? epoch) === epoch && from.next <= all.length;
      this.next = isKnown ? from.next : first;
      if (!isKnown) this.gaps.push({ topic: name, from: null, to: first === 0 ? null : first - 1, reason: "reset" });
    } else {
      const wanted = all.filter(({ createdMs }) => createdMs >= from.fromMs);
      this.next = wanted.find(({ lost }) => lost === undefined)?.id ?? all.length;
      const missed = wanted.filter(({ id }) => id < this.next);
      if (missed.length > 0) this.gaps.push({ topic: name, from: null, to: this.next - 1, reason: reasonOf(missed) });
    }
  }

  /** Moves behind what is gone, and notes what that was. */
  skip(): void {
    const from = this.next;
    const gone: ModelMessage[] = [];
    for (let id = from; this.topic.all[id]?.lost !== undefined; id++) gone.push(this.topic.all[id]!);
    if (gone.length === 0) return;
    this.next += gone.length;
    this.lost += gone.length;
    const gap: Gap = { topic: this.topic.name, from, to: this.next - 1, reason: reasonOf(gone) };
    const last = this.gaps.at(-1);
    if (last === undefined || last.to !== from - 1 || last.reason === "reset") this.gaps.push(gap);
    else {
      const reason = last.reason === "dropped" ? last.reason : gap.reason;
      this.gaps.splice(-1, 1, { ...gap, from: last.from, reason });
    }
  }

  /** What it hands out next, first or not in a batch; there may be no room to set aside what comes before that. */
  peek(isFirst: boolean): ModelItem | ModelMessage | "full" | undefined {
    const { nowMs } = this.#now;
    const ready = this.items.filter(({ state, untilMs }) => state === "waiting" && untilMs <= nowMs);
    if (ready.length > 0) return lowest(ready);
    while (true) {
      if (isFirst) this.skip();
      const message = this.topic.all[this.next];
      // What is behind a hole is for the next pull, which is told of the hole.
      if (message === undefined || message.lost !== undefined) return undefined;
      if (!this.items.some(({ message: { key }, holdsKey }) => holdsKey && key === message.key)) return message;
      if (this.isFull) return "full";
      this.#add(message);
    }
  }

  /** Whether it may have no more that it is not done with. */
  get isFull(): boolean {
    return this.items.length >= this.#now.limits.maxLeased;
  }

  /** Hands out what is next, for good or as a lease. */
  handOut(next: ModelItem | ModelMessage, leaseMs: number | undefined): ModelHandout {
    if (!("id" in next)) return this.#handOut(next, leaseMs);
    if (leaseMs !== undefined) return this.#handOut(this.#add(next), leaseMs);
    this.next++;
    this.acked++;
    return { message: next, attempt: undefined, item: undefined };
  }

  #handOut(item: ModelItem, leaseMs: number | undefined): ModelHandout {
    const { message } = item;
    const attempt = ++item.attempt;
    if (leaseMs === undefined) {
      this.acked++;
      this.done(item);
      return { message, attempt: attempt === 1 ? undefined : attempt, item: undefined };
    }
    this.hasLeased = true;
    item.state = "leased";
    item.untilMs = this.#now.nowMs + leaseMs;
    item.leaseMs = leaseMs;
    item.token = undefined;
    item.holdsKey = message.key !== undefined;
    return { message, attempt, item };
  }

  #add(message: ModelMessage): ModelItem {
    const item: ModelItem = {
      message,
      state: "blocked",
      untilMs: Infinity,
      leaseMs: 0,
      attempt: 0,
      token: undefined,
      holdsKey: false,
    };
    this.items.push(item);
    this.next++;
    return item;
  }

  /** Is done with a message; the next one of its key may go. */
  done(item: ModelItem): void {
    this.items.splice(this.items.indexOf(item), 1);
    this.#freeKey(item);
  }

  #freeKey(item: ModelItem): void {
    if (!item.holdsKey) return;
    item.holdsKey = false;
    const blocked = this.items.filter(({ state, message }) => {
      return state === "blocked" && message.key === item.message.key;
    });
    if (blocked.length === 0) return;
    const next = lowest(blocked);
    next.state = "waiting";
    next.untilMs = this.#now.nowMs;
    next.holdsKey = true;
  }

  /** Takes note that a message is no longer retained. */
  lose(message: ModelMessage): void {
    const item = this.items.find((item) => item.message === message);
    if (item === undefined) return;
    this.lost++;
    if (item.state === "leased") this.#freeKey(item);
    else this.done(item);
  }
}

/** The messages that a topic retains. */
export function retained({ all }: ModelTopic): ModelMessage[] {
  return all.filter(({ lost }) => lost === undefined);
}

const lowest = (items: readonly ModelItem[]) => items.reduce((a, b) => a.message.id < b.message.id ? a : b);
const firstOf = (topic: ModelTopic) => retained(topic)[0]?.id ?? topic.all.length;
const reasonOf = (lost: readonly ModelMessage[]) => lost.some(({ lost }) => lost === "dropped") ? "dropped" : "expired";
