/**
 * A replicated log, and the stores of the nodes that share it: what a network and other nodes do to a bus.
 *
 * @module
 */

import { retainedBytes } from "../../lib/bus/limits.ts";
import {
  type Append,
  type DelayedMessage,
  type Dropped,
  type Durability,
  type GroupChange,
  type Store,
  type Stored,
  type StoredAnswer,
  type StoredGroup,
  type StoredTopic,
  type StoreListener,
  TopicSuperseded,
  type UnackedMessage,
} from "../../lib/bus/store.ts";
import { BusError } from "../../lib/errors.ts";
import type { MessageInit, TopicInfo } from "../../lib/message.ts";

interface RemoteGroup {
  next: number;
  readonly unacked: Map<number, UnackedMessage>;
  counts: StoredGroup["counts"];
}

interface RemoteTopic {
  readonly info: TopicInfo;
  next: number;
  newestMs: number;
  readonly records: Map<number, MessageInit>;
  dropped: Pick<Dropped, "before" | "lostMs" | "limit">;
  readonly groups: Map<string, RemoteGroup>;
  readonly delayed: Map<string, DelayedMessage>;
  readonly answers: Map<string, StoredAnswer>;
}

/** What becomes of a request: it is taken or refused, or it, or its answer, is lost on the way. */
export type Fate = "taken" | "refused" | "request lost" | "answer lost";

/** The log that all nodes agree on. */
export class RemoteLog {
  readonly #startedMs: number;
  readonly #topics = new Map<string, RemoteTopic>();
  readonly #removed = new Set<string>();
  readonly #nodes = new Set<RemoteStore>();
  #lastCreatedMs = 0;
  #gone: Stored["gone"] = [];

  /** Makes an empty one at a time. */
  constructor(startedMs: number) {
    this.#startedMs = startedMs;
  }

  /** Everything that it keeps, in values of its own. */
  join(node?: RemoteStore): Stored {
    if (node !== undefined) this.#nodes.add(node);
    return structuredClone({
      startedMs: this.#startedMs,
      lastCreatedMs: this.#lastCreatedMs,
      topics: [...this.#topics.values()].map(storedOf),
      gone: this.#gone,
      goneFromMs: this.#startedMs,
    });
  }

  /** Tells a node nothing any more. */
  leave(node: RemoteStore): void {
    this.#nodes.delete(node);
  }

  /** What is retained of a topic from one id to another. */
  read({ name, epoch }: TopicInfo, first: number, last: number): MessageInit[] {
    const topic = this.#topics.get(name);
    if (topic?.info.epoch !== epoch) return [];
    const found: MessageInit[] = [];
    for (let id = first; id <= last; id++) {
      const record = topic.records.get(id);
      if (record !== undefined) found.push(record);
    }
    return found;
  }

  /** All payloads of a topic as text, in order; `undefined` for those that are dropped. */
  payloads(name: string): (string | undefined)[] {
    const topic = this.#topics.get(name);
    return Array.from({ length: topic?.next ?? 0 }, (_, id) => {
      const payload = topic!.records.get(id)?.payload;
      return payload && new TextDecoder().decode(payload);
    });
  }

  append(author: RemoteStore | undefined, append: Append): number {
    const { topic: info, payloads, createdMs, ttlMs, attributes, exact, expectedId, scheduled } = append;
    const known = this.#known(info);
    const next = known?.next ?? 0;
    if (exact && next !== expectedId) {
      throw new BusError("seq_mismatch", `Cannot append at ${expectedId}: the next id is ${next}`);
    }
    if (scheduled !== undefined && known?.delayed.delete(scheduled) !== true) {
      throw new BusError("no_scheduled", `Nothing is called ${scheduled}`);
    }
    const topic = known ?? this.#make(info);
    topic.newestMs = Math.max(topic.newestMs, createdMs);
    for (const payload of payloads) {
      const id = topic.next++;
      // What the bus has encoded into a larger buffer is not to be kept with that.
      topic.records.set(id, { id, payload: payload.slice(), createdMs: topic.newestMs, ttlMs, attributes });
    }
    if (append.idempotency !== undefined) {
      const appended = { firstId: next, count: payloads.length };
      topic.answers.set(append.idempotency.key, { idempotency: append.idempotency, appended });
    }
    if (append.drops !== undefined) this.#topics.get(append.drops.topic.name)?.records.delete(append.drops.id);
    if (append.settles !== undefined) this.note(append.settles.topic, append.settles.change);
    this.#tellOthers(author, (listener) => listener.appended(structuredClone({ ...append, expectedId: next })));
    return next;
  }

  note(info: TopicInfo, { group: name, next, unacked, done, counts }: GroupChange): void {
    const topic = this.#topics.get(info.name);
    if (topic?.info.epoch !== info.epoch) return;
    let group = topic.groups.get(name);
    if (group === undefined) topic.groups.set(name, group = { next, unacked: new Map(), counts });
    group.next = next;
    group.counts = counts;
    for (const message of unacked) group.unacked.set(message.id, message);
    for (const id of done) group.unacked.delete(id);
  }

  forget({ name, epoch }: TopicInfo, group: string): void {
    const topic = this.#topics.get(name);
    if (topic?.info.epoch === epoch) topic.groups.delete(group);
  }

  delay(author: RemoteStore | undefined, message: DelayedMessage): void {
    const { topic: info, token, dueMs, idempotency } = message;
    const isNew = this.#known(info) === undefined;
    const topic = this.#known(info) ?? this.#make(info);
    if (topic.delayed.has(token)) throw new Error(`Two messages are called ${token}`);
    topic.delayed.set(token, message);
    if (idempotency !== undefined) topic.answers.set(idempotency.key, { idempotency, delayed: { token, dueMs } });
    if (!isNew) return;
    this.#tellOthers(author, (listener) => {
      listener.appended({ topic: info, expectedId: 0, payloads: [], createdMs: info.createdMs });
    });
  }

  cancel({ name, epoch }: TopicInfo, token: string): void {
    const topic = this.#topics.get(name);
    if (topic?.info.epoch === epoch && topic.delayed.delete(token)) return;
    throw new BusError("no_scheduled", `Nothing is called ${token}`);
  }

  drop({ name, epoch }: TopicInfo, { before, ids, lostMs, limit }: Dropped): void {
    const topic = this.#topics.get(name);
    if (topic?.info.epoch !== epoch) return;
    topic.dropped = { before, lostMs, limit };
    for (const id of topic.records.keys()) if (id < before) topic.records.delete(id);
    for (const id of ids) topic.records.delete(id);
  }

  remove(author: RemoteStore | undefined, info: TopicInfo, newestMs: number): void {
    const { name, epoch } = info;
    if (this.#topics.get(name)?.info.epoch !== epoch) return;
    this.#topics.delete(name);
    this.#removed.add(`${name} ${epoch}`);
    if (newestMs > -Infinity) this.#gone = [...this.#gone.filter((gone) => gone.name !== name), { name, newestMs }];
    this.#tellOthers(author, (listener) => listener.removed(info));
  }

  /** The topic, if somebody has made it. Nobody else may have made another one of that name, or have removed it. */
  #known({ name, epoch }: TopicInfo): RemoteTopic | undefined {
    const topic = this.#topics.get(name);
    if (this.#removed.has(`${name} ${epoch}`) || (topic ?? { info: { epoch } }).info.epoch !== epoch) {
      throw new TopicSuperseded(name);
    }
    return topic;
  }

  #make(info: TopicInfo): RemoteTopic {
    const topic: RemoteTopic = {
      info: structuredClone(info),
      next: 0,
      newestMs: -Infinity,
      records: new Map(),
      dropped: { before: 0, lostMs: -Infinity, limit: undefined },
      groups: new Map(),
      delayed: new Map(),
      answers: new Map(),
    };
    this.#topics.set(info.name, topic);
    this.#lastCreatedMs = Math.max(this.#lastCreatedMs, info.createdMs);
    return topic;
  }

  #tellOthers(author: RemoteStore | undefined, tell: (listener: StoreListener) => void): void {
    for (const node of this.#nodes) if (node !== author) node.hear(tell);
  }
}

function storedOf({ info, next, records, dropped, groups, delayed, answers }: RemoteTopic): StoredTopic {
  const kept = [...records.values()];
  const unusual = kept.filter(({ ttlMs = info.ttlMs }) => ttlMs !== info.ttlMs);
  return {
    info,
    next,
    index: {
      ids: Float64Array.from(kept, ({ id }) => id),
      createdMs: Float64Array.from(kept, ({ createdMs }) => createdMs),
      bytes: Uint32Array.from(kept, ({ ttlMs = info.ttlMs, attributes, ...init }) => {
        return retainedBytes(info, { ...init, ttlMs, attributes });
      }),
      ttlMs: new Map(unusual.map(({ id, ttlMs }) => [id, ttlMs!])),
    },
    ...dropped,
    groups: Array.from(groups, ([name, { next, unacked, counts }]) => {
      return { name, next, unacked: [...unacked.values()].sort((a, b) => a.id - b.id), counts };
    }),
    delayed: [...delayed.values()],
    answers: [...answers.values()],
  };
}

interface Request {
  readonly name: string;
  /** Has the log do it; what that throws is its refusal. Returns what answers. */
  take(): () => void;
  refuse(error: unknown): void;
  /** What it is told of which group, and so must not be taken after something of that was refused. */
  readonly group: string | undefined;
  /** Whether something before it was. */
  isDoomed: boolean;
  /** What comes instead of the answer if that is lost: what was appended, as if somebody else had. */
  readonly lost: ((listener: StoreListener, answer: unknown) => void) | undefined;
}

function groupKey({ name, epoch }: TopicInfo, group: string): string {
  return `${name} ${epoch} ${group}`;
}

/**
 * The store of one node: it asks the log, one request after the other, and hears from it, one thing after the other, in
 * the order in which the log has agreed on them. A test says when, unless the store is `prompt`: then that happens by itself, though
 * later.
 */
export class RemoteStore implements Store {
  readonly durability: Durability = "replicated";
  readonly synchronous: boolean = false;
  readonly readsBack: boolean = true;
  refusal: BusError | undefined = undefined;
  readonly #log: RemoteLog;
  readonly #prompt: boolean;
  #requests: Request[] = [];
  #inbox: (() => void)[] = [];
  /** Of which groups it has refused something, of which the bus has not heard. */
  readonly #refused = new Map<string, number>();
  #listener: StoreListener | undefined;

  /** Makes the one of a node that knows nothing yet. */
  constructor(log: RemoteLog, { prompt = false } = {}) {
    this.#log = log;
    this.#prompt = prompt;
  }

  open(listener: StoreListener): Promise<Stored> {
    this.#listener = listener;
    return Promise.resolve(this.#log.join(this));
  }

  read(topic: TopicInfo, { first, last }: { first: number; last: number }): Promise<readonly MessageInit[]> {
    return Promise.resolve(structuredClone(this.#log.read(topic, first, last)));
  }

  append(append: Append): Promise<number> {
    const lost = (listener: StoreListener, firstId: unknown) => {
      listener.appended({ ...append, expectedId: firstId as number });
    };
    const { topic, payloads, settles } = append;
    const group = settles && groupKey(settles.topic, settles.change.group);
    const name = `append ${payloads.length} to ${topic.name}`;
    return this.#ask(name, () => this.#log.append(this, append), { group, lost });
  }

  note(topic: TopicInfo, change: GroupChange): Promise<void> {
    const name = `note ${change.group} of ${topic.name}`;
    return this.#ask(name, () => this.#log.note(topic, change), { group: groupKey(topic, change.group) });
  }

  forget(topic: TopicInfo, group: string): Promise<void> {
    return this.#ask(`forget ${group} of ${topic.name}`, () => this.#log.forget(topic, group));
  }

  delay(message: DelayedMessage): Promise<void> {
    return this.#ask(`delay for ${message.topic.name}`, () => this.#log.delay(this, message));
  }

  cancel(topic: TopicInfo, token: string): Promise<void> {
    return this.#ask(`cancel for ${topic.name}`, () => this.#log.cancel(topic, token));
  }

  drop(topic: TopicInfo, dropped: Dropped): void {
    this.#ask(`drop of ${topic.name}`, () => this.#log.drop(topic, dropped)).catch(() => {});
  }

  remove(topic: TopicInfo, newestMs: number): Promise<void> {
    return this.#ask(`remove ${topic.name}`, () => this.#log.remove(this, topic, newestMs));
  }

  /** The node is gone, with what it has asked for and what it has not heard. */
  close(): void {
    this.#log.leave(this);
    this.#requests = [];
    this.#inbox = [];
  }

  /** What it was asked and the log has not seen. */
  get waiting(): string[] {
    return this.#requests.map(({ name }) => name);
  }

  /** How much of the log it has not heard. */
  get unheard(): number {
    return this.#inbox.length;
  }

  /** Has the log see the next request, if any, and do what it is fated to. */
  take(fate: Fate = "taken"): void {
    const request = this.#requests.shift();
    if (request === undefined) return;
    const refuse = (error: unknown) => this.#refuse(request, error);
    if (request.isDoomed || this.#refused.has(request.group ?? "")) {
      return refuse(new BusError("overloaded", "What it builds on was refused"));
    }
    if (fate === "refused") return refuse(new BusError("overloaded", "The log has no leader"));
    if (fate === "request lost") return refuse(new Error("timeout"));
    try {
      const answer = request.take();
      // Whatever answers later is the same to who has given up; that something was appended the log tells in its place.
      if (fate === "taken" || request.lost === undefined) return this.#receive(answer);
      refuse(new Error("timeout"));
      this.#receive(answer);
    } catch (error) {
      refuse(error);
    }
  }

  #refuse(request: Request, error: unknown): void {
    const { group = "" } = request;
    if (group !== "") this.#refused.set(group, (this.#refused.get(group) ?? 0) + 1);
    this.#receive(() => {
      request.refuse(error);
      if (group === "") return;
      for (const other of this.#requests) if (other.group === group) other.isDoomed = true;
      const left = this.#refused.get(group)! - 1;
      if (left > 0) this.#refused.set(group, left);
      else this.#refused.delete(group);
    });
  }

  /** Hears the next thing of the log, if any. */
  heed(): void {
    this.#inbox.shift()?.();
  }

  /** Has the log see everything and hears everything; what follows from it in microtasks, too. */
  async settle(): Promise<void> {
    do {
      while (this.waiting.length > 0) this.take();
      this.heed();
      for (let i = 0; i < 30; i++) await undefined;
    } while (this.waiting.length + this.unheard > 0);
  }

  /** The log tells it something that somebody else has done. */
  hear(tell: (listener: StoreListener) => void): void {
    this.#receive(() => tell(this.#listener!));
  }

  #receive(event: () => void): void {
    this.#inbox.push(event);
    if (this.#prompt) queueMicrotask(() => this.heed());
  }

  #ask<T>(name: string, run: () => T, { group, lost }: Partial<Pick<Request, "group" | "lost">> = {}): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    let isOver = false;
    const take = () => {
      const answer = run();
      return () => isOver ? lost?.(this.#listener!, answer) : resolve(answer);
    };
    const refuse = (error: unknown) => {
      isOver = true;
      reject(error);
    };
    this.#requests.push({ name, take, refuse, group, isDoomed: false, lost });
    if (this.#prompt) queueMicrotask(() => this.take());
    return promise;
  }
}
