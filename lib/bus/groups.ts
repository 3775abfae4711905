/**
 * The groups of all topics: made by the first pull, looked after while they live, forgotten when they are idle.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import { formatCursor } from "../message.ts";
import { isTopicName } from "../topic_name.ts";
import { formatDuration } from "../wire/duration.ts";
import type { Since } from "../wire/since.ts";
import type { GroupName, GroupStats } from "./answers.ts";
import type { Clock } from "./clock.ts";
import { deadTopicOf } from "./dead_letters.ts";
import { Group, QUEUE } from "./group.ts";
import type { GroupHost } from "./group_host.ts";
import type { Limits } from "./limits.ts";
import type { Appointment, Schedule } from "./schedule.ts";
import { assertSince, startOf } from "./start.ts";
import type { GoneTopics } from "./gone_topics.ts";
import type { StoredGroup } from "./store.ts";
import type { Timeline } from "./timeline.ts";
import type { Topic } from "./topic.ts";

/** What {@linkcode Groups} work with. */
export interface GroupsParts {
  readonly limits: Limits;
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly timeline: Timeline;
  /** What groups ask of the bus. */
  readonly host: GroupHost;
  /** How many pulls wait for a message of a group. */
  readonly waitersOf: (topic: string, group: string) => number;
  /** Ends what is over in a group, and sees to what follows from that. */
  readonly settle: (group: Group, nowMs: number) => void;
  /** Has the store forget a group. */
  readonly forget: (group: Group) => void | Promise<void>;
  /** Told of a topic that has one group more, or less. */
  readonly onMoved: (topic: Topic) => void;
}

const MAX_NAME_BYTES = 128;
/** For how many topics that don't exist groups are remembered. */
const MAX_PENDING_TOPICS = 4096;
/** How many of them are looked at, to find one that nobody waits for. */
const MAX_LOOKS = 16;
const encoder = new TextEncoder();

/** Keeps the groups of topics, and the names of those whose topic doesn't exist yet. */
export class Groups {
  readonly #parts: GroupsParts;
  readonly #appointments = new Map<Group, Appointment>();
  /** By topic and name, when they were last used. */
  readonly #pending = new Map<string, Map<string, number>>();

  /** Makes the groups of a bus without topics. */
  constructor(parts: GroupsParts) {
    this.#parts = parts;
  }

  /** Gives a new topic its queue, and the groups that have waited for it. */
  open(topic: Topic): void {
    const nowMs = this.#parts.clock.now();
    this.#make(topic, QUEUE, { next: 0 });
    for (const [name, usedMs] of this.#pending.get(topic.info.name) ?? []) {
      if (this.#isWanted(topic.info.name, name, { usedMs, nowMs })) this.#make(topic, name, { next: 0 });
    }
    this.#pending.delete(topic.info.name);
  }

  /** Gives a topic that the store has kept its queue, and the groups it had. */
  restore(topic: Topic, stored: readonly StoredGroup[]): void {
    const nowMs = this.#parts.clock.now();
    if (!stored.some(({ name }) => name === QUEUE)) this.#make(topic, QUEUE, { next: 0 });
    for (const kept of stored) {
      // As long as its topic: those that stay idle are not all to be forgotten at once.
      const { usedMs } = topic;
      this.#make(topic, kept.name, { next: kept.next, isNew: false, usedMs }).restore(kept, nowMs);
    }
  }

  /** Ends the groups of a topic that is gone. */
  close(topic: Topic): void {
    const nowMs = this.#parts.clock.now();
    let pending: Map<string, number> | undefined;
    for (const group of topic.groups.values()) {
      this.#end(group);
      if (group.name === QUEUE) continue;
      // The topic never was, because its first publish was refused; or somebody waits, who must not miss the next one's.
      const neverWas = topic.log.next === 0 && !topic.cleared;
      // Its name was checked when it was made, and there are no more than there may be.
      if (neverWas || this.#isAwaited(topic.info.name, group.name)) (pending ??= new Map()).set(group.name, nowMs);
    }
    if (pending !== undefined) this.#remember(topic.info.name, pending);
  }

  /**
   * Remembers that somebody has asked for a group of a topic that doesn't exist: it will begin with the first message.
   *
   * @throws {BusError} `bad_group`, `too_many_groups`.
   */
  await(topic: string, name: string): void {
    if (name === QUEUE) return;
    assertGroupName(name);
    const nowMs = this.#parts.clock.now();
    const pending = this.#pending.get(topic) ?? new Map<string, number>();
    if (!pending.has(name) && pending.size >= this.#parts.limits.maxGroups) {
      for (const [other, usedMs] of pending) {
        if (!this.#isWanted(topic, other, { usedMs, nowMs })) pending.delete(other);
      }
      this.#assertRoom(topic, pending.size);
    }
    pending.set(name, nowMs);
    this.#remember(topic, pending);
  }

  /** Those that were asked for last are forgotten last; those that somebody waits for are not. */
  #remember(topic: string, pending: Map<string, number>): void {
    this.#pending.delete(topic);
    this.#pending.set(topic, pending);
    if (this.#pending.size <= MAX_PENDING_TOPICS) return;
    let looks = 0;
    for (const [other, names] of this.#pending) {
      // There are more than there may be as long as somebody waits for very many of them.
      if (other === topic || ++looks > MAX_LOOKS) return;
      this.#pending.delete(other);
      if (![...names.keys()].some((name) => this.#isAwaited(other, name))) return;
      this.#pending.set(other, names);
    }
  }

  /**
   * Makes a group that a topic doesn't have, which begins at `from`.
   *
   * @throws {BusError} `bad_group`, `bad_cursor`, `too_many_groups`.
   */
  begin(topic: Topic, name: string, from: Since, gone: GoneTopics): Group {
    assertGroupName(name);
    assertSince(from);
    this.#assertRoom(topic.info.name, topic.groups.size - 1);
    const { next, gap } = startOf(topic, from, gone);
    const made = this.#make(topic, name, { next });
    if (gap !== undefined) made.missed.add(gap);
    this.#parts.onMoved(topic);
    return made;
  }

  /** Takes note that a group of a topic was used, whether or not the topic exists. */
  noteUse({ topic, group }: GroupName, existing: Topic | undefined): void {
    const nowMs = this.#parts.clock.now();
    const found = existing?.groups.get(group);
    const pending = this.#pending.get(topic);
    if (found !== undefined) found.usedMs = nowMs;
    else if (pending?.has(group)) pending.set(group, nowMs);
  }

  /** Forgets a group; settles when the store has, too. */
  delete(group: Group): void | Promise<void> {
    const { topic } = group;
    this.#end(group);
    topic.groups.delete(group.name);
    this.#parts.onMoved(topic);
    if (topic.removal === undefined) return this.#parts.forget(group);
    // The store is about to forget it with its topic; it may still refuse.
    return topic.removal.then(() => topic.deleted ? undefined : this.#parts.forget(group));
  }

  /** Comes back to a group when its next lease or delay ends. */
  watch(group: Group): void {
    const appointment = this.#appointments.get(group);
    const { dueMs } = group;
    if (appointment === undefined) this.#appoint(group, dueMs);
    else if (dueMs < appointment.key) this.#parts.schedule.move(appointment, dueMs);
  }

  /** A group as it is now; what is over must have been ended before. */
  statsOf(group: Group, nowMs: number): GroupStats {
    const { topic: { info, log }, name, floor, next } = group;
    const waiters = this.#parts.waitersOf(info.name, name);
    let leased = 0;
    let waiting = 0;
    let blocked = 0;
    let attempts = 0;
    let oldest = Infinity;
    for (const item of group.items.values()) {
      if (item.state === "leased") leased++;
      else if (item.state === "blocked") blocked++;
      else waiting++;
      attempts = Math.max(attempts, item.attempt);
      if (!item.lost) oldest = Math.min(oldest, item.id);
    }
    const unackedMs = log.createdAt(oldest) ?? log.createdAt(log.idFrom(next));
    return {
      topic: info.name,
      group: name,
      cursor: formatCursor(floor, info.epoch),
      lag: group.ahead + waiting + blocked,
      leased,
      waiting,
      blocked,
      attempts,
      oldestUnackedMs: unackedMs === undefined
        ? undefined
        : Math.max(nowMs - this.#parts.timeline.passedAt(unackedMs), 0),
      acked: group.acked,
      dead: group.dead,
      lost: group.lost + group.gone,
      waiters,
      idleMs: waiters > 0 ? 0 : Math.max(nowMs - group.usedMs, 0),
      warning: warningOf(group),
    };
  }

  /** Makes a group. The queue is always there, and so nothing to tell the store of. */
  #make(
    topic: Topic,
    name: string,
    { next, isNew = name !== QUEUE, usedMs = this.#parts.clock.now() }: {
      next: number;
      isNew?: boolean;
      usedMs?: number;
    },
  ): Group {
    const { host, limits: { maxAttempts, groupIdleMs } } = this.#parts;
    const isEndless = maxAttempts === 0 || deadTopicOf(topic.info.name) === undefined;
    const group = new Group(topic, name, host, {
      next,
      usedMs,
      maxAttempts: isEndless ? Infinity : maxAttempts,
      isNew,
    });
    topic.groups.set(name, group);
    // The queue is never idle.
    if (name !== QUEUE) this.#appoint(group, usedMs + groupIdleMs);
    return group;
  }

  #appoint(group: Group, dueMs: number): void {
    const due = (nowMs: number) => this.#tend(group, nowMs);
    this.#appointments.set(group, this.#parts.schedule.add({ due }, dueMs));
  }

  #tend(group: Group, nowMs: number): number {
    const { settle, waitersOf, limits: { groupIdleMs } } = this.#parts;
    settle(group, nowMs);
    if (group.name === QUEUE) return group.dueMs;
    if (waitersOf(group.topic.info.name, group.name) > 0) group.usedMs = nowMs;
    if (!this.#isIdle(group.usedMs, nowMs)) return Math.min(group.dueMs, group.usedMs + groupIdleMs);
    if (group.isBurying) return nowMs;
    // One that the store keeps is there again after a restart, and idle again.
    this.delete(group)?.catch(() => {});
    return Infinity;
  }

  #isWanted(topic: string, name: string, { usedMs, nowMs }: { usedMs: number; nowMs: number }): boolean {
    return !this.#isIdle(usedMs, nowMs) || this.#isAwaited(topic, name);
  }

  #isAwaited(topic: string, name: string): boolean {
    return this.#parts.waitersOf(topic, name) > 0;
  }

  #isIdle(usedMs: number, nowMs: number): boolean {
    return nowMs >= usedMs + this.#parts.limits.groupIdleMs;
  }

  #end(group: Group): void {
    group.end();
    const appointment = this.#appointments.get(group);
    if (appointment !== undefined) this.#parts.schedule.remove(appointment);
    this.#appointments.delete(group);
  }

  #assertRoom(topic: string, count: number): void {
    const { maxGroups } = this.#parts.limits;
    if (count < maxGroups) return;
    throw new BusError("too_many_groups", `Cannot make a group of ${quote(topic)}: it has ${maxGroups} (max-groups)`);
  }
}

/**
 * Checks the name of a group: one segment as topics have them, 1 to 128 bytes, without a hyphen at its beginning.
 *
 * @throws {BusError} `bad_group`.
 */
export function assertGroupName(name: string): void {
  const isOne = typeof name === "string" && isTopicName(name) && !name.includes("/") && !name.startsWith("-");
  if (isOne && encoder.encode(name).length <= MAX_NAME_BYTES) return;
  throw new BusError(
    "bad_group",
    `Bad group name ${quote(String(name))}: not one segment of 1 to ${MAX_NAME_BYTES} bytes as topic names have them`,
  );
}

/** What is wrong with a group: that its messages may expire before they have had all their attempts. */
function warningOf({ topic, leaseMs, maxAttempts }: Group): string | undefined {
  const neededMs = leaseMs * maxAttempts;
  // Publishers may say otherwise than the topic; the newest one is what to expect of the next.
  const ttlMs = topic.newestTtlMs;
  if (ttlMs === 0 || leaseMs === 0 || maxAttempts === Infinity || ttlMs >= neededMs) return undefined;
  return `messages are kept for ${formatDuration(ttlMs)}, less than lease x max-attempts ` +
    `(${formatDuration(leaseMs)} x ${maxAttempts}): they may be lost before they are done; publish with a longer ttl`;
}
