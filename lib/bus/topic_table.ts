/**
 * The topics of a bus: made by their first publish, looked after while they live, forgotten when they are idle.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import { epochOf, type TopicInfo } from "../message.ts";
import { assertPublishable, canonicalTopicName } from "../topic_name.ts";
import type { Clock } from "./clock.ts";
import type { Fanout } from "./fanout.ts";
import { type GoneBefore, GoneTopics } from "./gone_topics.ts";
import type { Groups } from "./groups.ts";
import type { Limits } from "./limits.ts";
import type { LogPages } from "./log.ts";
import type { Retention } from "./retention.ts";
import type { Schedule } from "./schedule.ts";
import { type Store, type StoredTopic, TopicSuperseded } from "./store.ts";
import type { Timeline } from "./timeline.ts";
import { Topic } from "./topic.ts";

/** What a {@linkcode TopicTable} works with. */
export interface TopicTableParts {
  readonly limits: Limits;
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly retention: Retention;
  readonly fanout: Fanout;
  readonly groups: Groups;
  readonly store: Store;
  readonly timeline: Timeline;
  /** What the logs of topics share their memory with, if the store reads back. */
  readonly pages: LogPages | undefined;
  /** Whether something is to be published in a topic later. */
  readonly hasDelayed: (topic: Topic) => boolean;
  /** Whether publishes of a topic are remembered, so that a repeat is known as one. */
  readonly hasKeys: (topic: Topic) => boolean;
  /** Told of a topic that is forgotten. */
  readonly onForgotten: (topic: Topic) => void;
  /** Told of one besides that somebody deleted. */
  readonly onDeleted: (topic: Topic) => void;
  /** The topics that were gone before. */
  readonly goneBefore: GoneBefore;
  /** The latest time that a topic was said to be made at, in milliseconds since the Unix epoch. */
  readonly lastCreatedMs: number;
}

/** How many topics that were kept count as used at the same time, and how long before the next ones, in milliseconds. */
const RESTORED_TOGETHER = 100;
const RESTORED_EVERY_MS = 100;

/** Keeps the topics by name. */
export class TopicTable {
  /** Those that are gone. */
  readonly gone: GoneTopics;
  readonly #parts: TopicTableParts;
  readonly #topics = new Map<string, Topic>();
  #lastCreatedMs: number;

  /** Makes an empty table. */
  constructor(parts: TopicTableParts) {
    this.#parts = parts;
    this.#lastCreatedMs = parts.lastCreatedMs;
    this.gone = new GoneTopics(parts.goneBefore.startedMs);
    this.gone.restore(parts.goneBefore);
  }

  /** How many topics there are. */
  get size(): number {
    return this.#topics.size;
  }

  /** All topics, in the order in which they were made. */
  all(): Iterable<Topic> {
    return this.#topics.values();
  }

  /** The topic of this canonical name; `undefined` if there is none. */
  get(name: string): Topic | undefined {
    return this.#topics.get(name);
  }

  /**
   * The topic of this name, in whatever spelling; `undefined` if there is none.
   *
   * @throws {BusError} `bad_topic`, `not_nfc`.
   */
  find(name: string): Topic | undefined {
    return this.#topics.get(name) ?? this.#topics.get(canonicalTopicName(name));
  }

  /**
   * The topic to publish to, made if need be.
   *
   * @throws {BusError} `bad_topic`, `not_nfc`, `reserved`, `too_many_topics`.
   */
  admit(name: string): Topic {
    const topic = this.find(name);
    if (topic === undefined) {
      const canonical = canonicalTopicName(name);
      assertPublishable(canonical);
      return this.#make(canonical, this.#parts.limits.ttlMs);
    }
    if (topic.isReserved) assertPublishable(topic.info.name);
    return topic;
  }

  /**
   * The same, to publish to at once.
   *
   * @throws {BusError} as {@linkcode TopicTable.admit}, and `overloaded` while the topic is being deleted.
   */
  admitNow(name: string): Topic {
    return unlessRemoved(this.admit(name));
  }

  /**
   * The topic of this canonical name that only the server publishes to, made if need be, to publish to at once.
   *
   * @throws {BusError} `too_many_topics`, and `overloaded` while the topic is being deleted.
   */
  admitReserved(name: string, ttlMs: number): Topic {
    return unlessRemoved(this.#topics.get(name) ?? this.#make(name, ttlMs));
  }

  #make(name: string, ttlMs: number): Topic {
    const { limits: { maxTopics }, clock, groups, timeline, pages } = this.#parts;
    if (this.#topics.size >= maxTopics) {
      throw new BusError(
        "too_many_topics",
        `Cannot make topic ${quote(name)}: there are ${maxTopics} already (max-topics)`,
      );
    }
    const nowMs = clock.now();
    const createdMs = Math.max(timeline.stamp(nowMs), this.#lastCreatedMs + 1);
    const topic = new Topic({ name, ttlMs, createdMs, epoch: epochOf(createdMs) }, { nowMs, timeline, pages });
    this.#enter(topic);
    groups.open(topic);
    return topic;
  }

  /** Takes over a topic that the store has kept, and its groups. The limits don't refuse it. */
  restore(stored: StoredTopic): Topic {
    const { clock, groups, schedule, retention, timeline, pages } = this.#parts;
    // As if they had been used one after the other: those that stay idle are not all to be removed at once.
    const nowMs = clock.now() + Math.floor(this.#topics.size / RESTORED_TOGETHER) * RESTORED_EVERY_MS;
    const topic = new Topic(stored.info, { nowMs, timeline, pages });
    this.#enter(topic);
    retention.restore(topic, stored);
    if (topic.log.length > 0) schedule.move(topic.appointment!, topic.expiresMs);
    groups.restore(topic, stored.groups);
    return topic;
  }

  /**
   * The topic that somebody else appends to, made if need be: the limits don't refuse it. Another one of that name is gone:
   * it was removed, or this bus was about to make it when somebody else did; the groups that wait for that go on to wait.
   */
  adopt(info: TopicInfo): Topic {
    const { clock, groups, timeline, pages } = this.#parts;
    const old = this.#topics.get(info.name);
    if (old?.info.epoch === info.epoch) return old;
    if (old?.log.next === 0) this.forget(old);
    else if (old !== undefined) this.#clear(old);
    const topic = new Topic(info, { nowMs: clock.now(), timeline, pages });
    this.#enter(topic);
    groups.open(topic);
    this.noteUse(topic);
    return topic;
  }

  /**
   * The topic itself; or, if it had to give way to another one of its name before the store had answered for it, which has
   * taken it nevertheless, because that other one was gone again, the topic that takes its place. `undefined` if it was deleted.
   */
  revive(topic: Topic): Topic | undefined {
    if (!topic.deleted) return topic;
    return topic.cleared || topic.log.next > 0 ? undefined : this.adopt(topic.info);
  }

  #enter(topic: Topic): void {
    const { limits: { topicIdleMs }, schedule, retention } = this.#parts;
    this.#topics.set(topic.info.name, topic);
    retention.enter(topic);
    topic.appointment = schedule.add({ due: (nowMs) => this.#tend(topic, nowMs) }, topic.usedMs + topicIdleMs);
  }

  /** Notes that the store learns of a topic. Not when it was made: of one whose first publish is refused nobody sees the epoch. */
  noteUse({ info: { createdMs } }: Topic): void {
    if (createdMs > this.#lastCreatedMs) this.#lastCreatedMs = createdMs;
  }

  /** Looks after a topic: drops what has expired, forgets it when it is idle. Returns when to come back. */
  #tend(topic: Topic, nowMs: number): number {
    const { limits: { topicIdleMs }, retention, fanout, store, hasDelayed, hasKeys } = this.#parts;
    retention.expire(topic, nowMs);
    if (topic.log.length > 0) return topic.expiresMs;
    const inUse = fanout.isNamed(topic) || topic.pendingMessages > 0 || topic.removal !== undefined ||
      hasDelayed(topic) || hasKeys(topic);
    if (inUse) topic.usedMs = nowMs;
    if (nowMs < topic.usedMs + topicIdleMs) return topic.usedMs + topicIdleMs;
    const answer = store.remove(topic.info, topic.newestMs);
    if (answer === undefined) {
      this.forget(topic);
      return Infinity;
    }
    // Who publishes meanwhile waits. A store that refuses is asked again when the topic has been idle as long again.
    topic.removal = answer.then(() => this.forget(topic), () => topic.removal = undefined);
    return nowMs + topicIdleMs;
  }

  /** Has a topic looked after at once: its next appointment was with a message that is gone, or there was none. */
  comeBack(topic: Topic, nowMs: number): void {
    topic.usedMs = Math.max(topic.usedMs, nowMs);
    this.#parts.schedule.move(topic.appointment!, nowMs);
  }

  /** Undoes that a topic was made when its first publish is refused. */
  forgetIfUnused(topic: Topic): void {
    // One that is being deleted is left to that, because publishes wait for it.
    if (topic.nextId > 0 || topic.removal !== undefined || topic.deleted || this.#parts.hasDelayed(topic)) return;
    this.forget(topic);
  }

  /**
   * Deletes a topic with everything in it. Resolves to whether there was one.
   *
   * @throws {BusError} `bad_topic`, `not_nfc`.
   */
  async delete(name: string): Promise<boolean> {
    return await whenSettled(() => this.find(name), (topic) => topic !== undefined && this.#delete(topic));
  }

  async #delete(topic: Topic): Promise<true> {
    const answer = this.#parts.store.remove(topic.info, topic.newestMs);
    if (answer !== undefined) {
      topic.removal = Promise.allSettled([answer]);
      try {
        await answer;
      } catch (error) {
        topic.removal = undefined;
        // Its first publish may have been refused meanwhile.
        this.forgetIfUnused(topic);
        throw error;
      }
      topic.removal = undefined;
    }
    // Without a wait before this: who has waited must not find it any more.
    this.#clear(topic);
    // It may have been revived meanwhile.
    this.remove(topic.info);
    return true;
  }

  /** Somebody else has deleted a topic; does nothing if there is only another one of that name. */
  remove({ name, epoch }: TopicInfo): void {
    const topic = this.#topics.get(name);
    if (topic?.info.epoch === epoch) this.#clear(topic);
  }

  #clear(topic: Topic): void {
    if (topic.deleted) return;
    topic.cleared = true;
    this.forget(topic);
    this.#parts.onDeleted(topic);
  }

  /** Forgets a topic with everything in it. */
  forget(topic: Topic): void {
    // Somebody else may have deleted it while the store was asked to.
    if (topic.deleted) return;
    topic.deleted = true;
    // One that has had no message nobody can have missed: its first publish was refused.
    if (topic.newestMs > -Infinity) this.gone.note(topic.info.name, topic.newestMs);
    this.#topics.delete(topic.info.name);
    this.#parts.schedule.remove(topic.appointment!);
    this.#parts.groups.close(topic);
    this.#parts.retention.leave(topic);
    this.#parts.onForgotten(topic);
  }
}

/**
 * Does something with the topic that `look` finds, as soon as that is not being deleted: the store must not be asked to
 * change what it is removing. At once if it can be; else `look` is asked again after the wait, in the same step.
 */
export function whenSettled<T extends Topic | undefined, R>(
  look: () => T,
  act: (topic: T) => R | Promise<R>,
): R | Promise<R> {
  const topic = look();
  return topic?.removal === undefined ? act(topic) : topic.removal.then(() => whenSettled(look, act));
}

/**
 * What `answer` resolves to, or, if the topic that it was asked for had to give way to another one of its name, what
 * `again` gives.
 */
export function unlessSuperseded<R>(answer: R | Promise<R>, again: () => R | Promise<R>): R | Promise<R> {
  if (!(answer instanceof Promise)) return answer;
  return answer.catch((error) => {
    if (error instanceof TopicSuperseded) return again();
    throw error;
  });
}

/** Why a store has refused to append to a topic: one that is still there would be refused again and again. */
export function refusalOf({ deleted, info: { name } }: Topic, cause: unknown): unknown {
  if (deleted || !(cause instanceof TopicSuperseded)) return cause;
  return new BusError("internal", `The store has superseded ${quote(name)} and told of no other topic`, { cause });
}

/** The same for what can't wait. */
function unlessRemoved(topic: Topic): Topic {
  if (topic.removal === undefined) return topic;
  throw new BusError("overloaded", `Cannot publish to ${quote(topic.info.name)}: it is being deleted`);
}
