/**
 * Pulling: the queue and the groups of each topic, each of which all who pull from it share.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import type { Message } from "../message.ts";
import { canonicalTopicName } from "../topic_name.ts";
import { type Batch, type GroupName, MAX_ANSWER_BYTES, type PullBatchOptions, type TakeOptions } from "./answers.ts";
import type { Clock } from "./clock.ts";
import { type Group, QUEUE } from "./group.ts";
import type { Groups } from "./groups.ts";
import { assertLease } from "./leases.ts";
import type { Observer } from "./observer.ts";
import type { Pager } from "./pager.ts";
import type { Retention } from "./retention.ts";
import { lineLength } from "./run.ts";
import type { TopicTable } from "./topic_table.ts";
import { WaitingPulls, type WaitOptions } from "./waiting_pulls.ts";

/** What {@linkcode Queues} work with. */
export interface QueuesParts {
  readonly clock: Clock;
  readonly observer: Observer;
  readonly topics: TopicTable;
  readonly groups: Groups;
  readonly retention: Retention;
  readonly pager: Pager;
  /** Ends what is over in a group. */
  readonly settle: (group: Group, nowMs: number) => void;
  /** Told of a group that was changed; settles when the store has learnt of that. */
  readonly note: (group: Group) => void | Promise<void>;
  /** Gives back to a group what it has handed out and nobody gets. */
  readonly putBack: (group: Group, messages: readonly Message[]) => void;
  /** Why the store can't be told of a change now, if it can't. */
  readonly refusal: () => BusError | undefined;
}

/**
 * What was taken of a queue; `noted` settles when the store has learnt of that. Nothing if what is next is to be loaded
 * first; then `loaded` settles when it is.
 */
interface Taken extends Batch {
  readonly noted: void | Promise<void>;
  readonly loaded?: Promise<void>;
}

const NOTHING: Taken = { messages: [], noted: undefined };

/** Hands out what is next in the queues of topics. */
export class Queues {
  readonly #parts: QueuesParts;
  readonly #waiting: WaitingPulls;
  /** Those that are served at the end of this turn. */
  readonly #waking = new Set<Group>();
  /** Those for which something is loaded that somebody waits for. */
  readonly #loading = new Set<Group>();
  #draining = false;
  #pulled = 0;
  #redelivered = 0;

  /** Makes one that has handed out nothing. */
  constructor(parts: QueuesParts) {
    this.#parts = parts;
    this.#waiting = new WaitingPulls(parts.clock);
  }

  /** How many messages were handed out. */
  get pulled(): number {
    return this.#pulled;
  }

  /** How many of them had been handed out before. */
  get redelivered(): number {
    return this.#redelivered;
  }

  /** Whether a pull waits for a message of the topic of this name. */
  isAwaited(name: string): boolean {
    return this.#waiting.has(name);
  }

  /** How many pulls wait for a message of a group. */
  waitersOf(topic: string, group: string): number {
    return this.#waiting.countOf({ topic, group });
  }

  /** Serves those who wait for a group, at the end of this turn: it may have something for them. */
  wake(group: Group): void {
    const awaited = { topic: group.topic.info.name, group: group.name };
    // Once, however many there are: a socket that closes hands back a thousand.
    if (this.#waking.has(group) || this.#waiting.countOf(awaited) === 0) return;
    this.#waking.add(group);
    this.#parts.clock.defer(() => {
      this.#waking.delete(group);
      this.#waiting.serveGroup(awaited);
    });
  }

  /** Serves those who wait for the topic of this name, as far as there is something. */
  serve(name: string): void {
    this.#waiting.serve(name);
  }

  /** Ends all waiting, and refuses further waiting with `draining`. */
  drain(): void {
    this.#draining = true;
    this.#waiting.giveUp();
  }

  /** See `MessageBus.makeGroup`. */
  makeGroup(name: string, options: TakeOptions): void {
    this.#groupOf(name, options);
  }

  /** See `MessageBus.get`. The store must be synchronous. */
  get(name: string, options: TakeOptions): Message | undefined {
    const { messages, loaded } = this.#take(name, options, 1);
    if (loaded === undefined) return messages[0];
    // Who tries again finds it loaded.
    loaded.catch(() => {});
    throw new BusError("not_synchronous", `Cannot get from ${quote(name)} at once: what is next is not in memory`);
  }

  /** See `MessageBus.pullBatch`; `assertOpen` throws if the bus may not be used any more. */
  async pullBatch(name: string, options: PullBatchOptions, assertOpen: () => void): Promise<Batch> {
    assertOpen();
    const { waitMs = 0, signal } = options;
    signal?.throwIfAborted();
    const { clock } = this.#parts;
    const endMs = waitMs === 0 ? 0 : clock.now() + waitMs;
    let taken = this.#takeOrWait(name, options, waitMs);
    for (;;) {
      // Not awaited if there is nothing to wait for: that shows in the number of pulls a second.
      const { messages, gap, noted, loaded } = taken instanceof Promise ? await taken : taken;
      if (noted !== undefined) await noted;
      if (loaded === undefined) return { messages, gap };
      await loaded;
      assertOpen();
      signal?.throwIfAborted();
      // What was loaded may turn out to be nothing for it: one that waits for its key.
      taken = this.#takeOrWait(name, options, waitMs === 0 ? 0 : endMs - clock.now());
    }
  }

  #takeOrWait(name: string, options: PullBatchOptions, waitMs: number): Taken | Promise<Taken> {
    const { signal, limit = 100 } = options;
    // Nothing is taken for who waits, no gap either: it may give up. Who comes later is not served before who waits.
    if (waitMs > 0 && this.#mustWait(name, options)) return this.#takeLater(name, options, { waitMs, signal });
    return this.#take(name, options, limit);
  }

  #mustWait(name: string, options: PullBatchOptions): boolean {
    const topic = canonicalTopicName(name);
    return this.#waiting.countOf({ topic, group: options.group ?? QUEUE }) > 0 || !this.#hasNext(topic, options);
  }

  async #takeLater(name: string, options: PullBatchOptions, wait: WaitOptions): Promise<Taken> {
    if (this.#draining) throw new BusError("draining", "Cannot wait: the bus is shutting down");
    const topic = canonicalTopicName(name);
    const { group = QUEUE, limit = 100, holder } = options;
    const awaited = { topic, group };
    const take = () => {
      if (!this.#hasNext(topic, options)) return undefined;
      const taken = this.#take(topic, options, holder === undefined ? limit : Math.min(limit, this.#shareOf(awaited)));
      if (taken.loaded === undefined) return taken;
      this.#serveLoaded(awaited, taken.loaded);
      return undefined;
    };
    this.#noteBeforeWaiting(awaited);
    // Waiting was using it.
    const onEnd = () => this.#parts.groups.noteUse(awaited, this.#parts.topics.get(topic));
    return await this.#waiting.wait(awaited, take, { ...wait, onEnd }) ?? this.#take(topic, options, 0);
  }

  /** Tells the store of a group that was made by a pull that waits: where it begins is certain now, not when the wait ends. */
  #noteBeforeWaiting({ topic, group }: GroupName): void {
    const made = this.#parts.topics.get(topic)?.groups.get(group);
    // What the store refuses it is told again with the next change; nobody is answered yet.
    if (made === undefined) return;
    try {
      this.#parts.note(made)?.catch(() => {});
    } catch {
      // A synchronous store has refused it.
    }
  }

  /** Serves those who wait for a group when what is next is loaded. If it can't be, they are told, and may ask again. */
  #serveLoaded(awaited: GroupName, loaded: Promise<void>): void {
    const group = this.#parts.topics.get(awaited.topic)!.groups.get(awaited.group)!;
    if (this.#loading.has(group)) return;
    this.#loading.add(group);
    loaded.then(() => {
      this.#loading.delete(group);
      this.#waiting.serveGroup(awaited);
    }, (error) => {
      this.#loading.delete(group);
      this.#waiting.giveUpGroup(awaited, error);
    });
  }

  /** How much of what there is belongs to one of those who wait, so that what comes at once goes to all of them. */
  #shareOf(awaited: GroupName): number {
    const offered = this.#parts.topics.find(awaited.topic)?.groups.get(awaited.group)?.offered ?? 0;
    return Math.ceil(offered / this.#waiting.countOf(awaited));
  }

  /** Whether there is something next in a group, even if only that it has no room for it. */
  #hasNext(name: string, options: TakeOptions): boolean {
    return this.#groupOf(name, options)?.peek(true) !== undefined;
  }

  /** The group to pull from, with everything ended that is over; `undefined` if there is no topic. */
  #groupOf(name: string, { group: groupName = QUEUE, from = "earliest", leaseMs }: TakeOptions): Group | undefined {
    if (leaseMs !== undefined) assertLease(leaseMs);
    const { topics, groups, clock, settle } = this.#parts;
    const topic = topics.find(name);
    if (topic === undefined) {
      if (groupName !== QUEUE) groups.await(canonicalTopicName(name), groupName);
      return undefined;
    }
    const nowMs = clock.now();
    let group = topic.groups.get(groupName);
    if (group === undefined) {
      // It begins with what is retained now.
      this.#parts.retention.expire(topic, nowMs);
      group = groups.begin(topic, groupName, from, topics.gone);
    }
    group.usedMs = topic.usedMs = nowMs;
    settle(group, nowMs);
    return group;
  }

  /** Takes what is next in a group, at most so many messages, and tells the store. */
  #take(name: string, options: PullBatchOptions, limit: number): Taken {
    const group = this.#groupOf(name, options);
    const { observer } = this.#parts;
    if (group === undefined) {
      observer.pulled?.(canonicalTopicName(name), undefined);
      return NOTHING;
    }
    const { leaseMs, holder, maxBytes = MAX_ANSWER_BYTES } = options;
    const lease = leaseMs === undefined ? undefined : { nowMs: group.usedMs, leaseMs, holder };
    const most = Math.min(limit, holder?.room ?? Infinity);
    const topic = group.topic.info.name;
    const messages: Message[] = [];
    const refusal = this.#parts.refusal();
    if (refusal !== undefined && most > 0 && group.offered > 0) throw refusal;
    group.skip();
    for (let bytes = 0; messages.length < most;) {
      const isFirst = messages.length === 0;
      if (most > 1) {
        const next = group.peek(isFirst);
        if (typeof next === "object" && (bytes += lineLength(next)) > maxBytes && !isFirst) break;
      }
      const message = group.take(isFirst, lease);
      if (message === "full" && isFirst) throw noRoom(group);
      if (message === "cold" && isFirst) {
        return { ...NOTHING, loaded: this.#parts.pager.load(group.topic, group.wanted) };
      }
      if (message === undefined || message === "full" || message === "cold") break;
      messages.push(message);
      this.#pulled++;
      if ((message.attempt ?? 1) > 1) this.#redelivered++;
      observer.pulled?.(topic, message);
    }
    if (messages.length === 0) observer.pulled?.(topic, undefined);
    else this.#parts.pager.ahead(group.topic, messages.at(-1)!.id);
    const gap = group.missed.tell();
    if (gap !== undefined) observer.gap?.(gap);
    // That there is nothing needs no store that can be written to.
    if (messages.length === 0 && refusal !== undefined) return { messages, gap, noted: undefined };
    return { messages, gap, noted: this.#note(group, { messages, gap }) };
  }

  /** Tells the store at once, so that it learns of pulls in their order. What it refuses goes back. */
  #note(group: Group, batch: Batch): void | Promise<void> {
    try {
      return this.#parts.note(group)?.catch((error) => this.#refused(group, batch, error));
    } catch (error) {
      this.#refused(group, batch, error);
    }
  }

  #refused(group: Group, { messages, gap }: Batch, error: unknown): never {
    if (gap !== undefined) group.missed.untell(gap);
    this.#parts.putBack(group, messages);
    throw error;
  }
}

function noRoom({ topic, name }: Group): BusError {
  const what = name === QUEUE ? "the queue" : `group ${quote(name)}`;
  return new BusError(
    "too_many_leased",
    `Cannot pull from ${quote(topic.info.name)}: ${what} has as many messages leased as it may (max-leased)`,
  );
}
