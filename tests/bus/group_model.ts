/**
 * What groups are, said as plainly as possible: arrays, searched from front to back. Written from what is promised of
 * groups, leases, dead letters and schedules, not from how the bus does it. The model test compares the two.
 *
 * @module
 */

import type { Limits } from "../../lib/bus/limits.ts";
import type { Gap } from "../../lib/event.ts";
import { formatDuration, parseDuration } from "../../lib/wire/duration.ts";
import { assert } from "../deps.ts";
import {
  type ModelContent,
  type ModelFrom,
  ModelGroup,
  type ModelHandout,
  type ModelItem,
  type ModelMessage,
  type ModelTopic,
  retained,
} from "./group_of_model.ts";

/** What a pull asks for. */
export interface ModelPull {
  readonly topic: string;
  readonly group: string;
  readonly from: ModelFrom | undefined;
  readonly leaseMs: number | undefined;
  readonly limit: number;
}

/** The answer to a pull: messages and what is missing before them, or the code of an error. */
export type ModelAnswer = { readonly handouts: readonly ModelHandout[]; readonly gap: Gap | undefined } | string;

/** A pull that waits, or has waited. */
export interface ModelWait extends ModelPull {
  readonly dueMs: number;
  answer: ModelAnswer | undefined;
}

/** What the bus is to publish by itself, or for somebody. */
export interface ModelDue extends ModelContent {
  readonly topic: string;
  readonly kind: "published" | "scheduled" | "dead";
  readonly dueMs: number;
  /** What cancels it. */
  readonly token?: string;
  /** Whether it may be forgotten: so may be the group whose message it was. */
  readonly isOptional?: boolean;
}

/** A message that the bus has published. */
export interface Seen extends ModelContent {
  readonly topic: string;
  readonly epoch: string;
  readonly id: number;
  readonly createdMs: number;
  readonly expiresMs: number;
  /** When that was seen. */
  readonly atMs: number;
}

/** What became of tokens. */
export interface ModelSettlement {
  readonly done: readonly string[];
  readonly unknown: readonly string[];
}

/** How late a timer of the bus may be. */
export const MAX_LATE_MS = 20;
const DEAD_TTL_MS = 7 * 24 * 3_600_000;

/** The reference for the groups of a {@linkcode MessageBus}. */
export class GroupModel {
  readonly limits: Limits;
  nowMs: number;
  readonly topics: ModelTopic[] = [];
  /** Groups that wait for their topic to appear. */
  pending: { readonly topic: string; readonly name: string; usedMs: number }[] = [];
  readonly waits: ModelWait[] = [];
  /** What is still to be published, in the order in which it was accepted. */
  due: ModelDue[] = [];
  pulled = 0;
  redelivered = 0;
  acked = 0;
  nacked = 0;
  dead = 0;
  redriven = 0;
  /** Whether groups may have been used by who asked for something that was over. */
  isUseOpen = false;
  /** When the bus could run its timers again after it had been too busy. */
  #stalledMs = -Infinity;

  /** Makes an empty one. */
  constructor(limits: Limits, nowMs: number) {
    this.limits = limits;
    this.nowMs = nowMs;
  }

  /** The topic of this name. */
  topic(name: string): ModelTopic | undefined {
    return this.topics.find((topic) => topic.name === name);
  }

  /**
   * Has something published at once; what becomes of it is {@linkcode GroupModel.observe}d. Returns the error code, or
   * undefined.
   */
  publish(topic: string, contents: readonly ModelContent[]): string | undefined {
    if (this.scheduled(topic).length + contents.length > this.limits.maxMessages) return "topic_full";
    for (const content of contents) this.due.push({ topic, kind: "published", dueMs: this.nowMs, ...content });
  }

  /** Has something published later, in a topic that is of this epoch if it is made for that. */
  schedule(name: string, epoch: string, content: ModelContent, dueMs: number, token: string): void {
    const topic = this.topic(name) ?? this.#makeTopic(name, epoch);
    this.due.push({ topic: name, kind: "scheduled", dueMs, token, ...content });
    this.#makeRoom(topic, 0);
  }

  /** What is published to a topic later, in the order of that. */
  scheduled(topic: string): ModelDue[] {
    const due = this.due.filter((due) => due.kind === "scheduled" && due.topic === topic);
    return due.sort((a, b) => a.dueMs - b.dueMs);
  }

  /** Takes back what was to be published later; returns whether it still was. */
  cancel(topic: string, token: string): boolean {
    const before = this.due.length;
    this.due = this.due.filter((due) => due.topic !== topic || due.token !== token);
    return this.due.length < before;
  }

  /** Whether a message that the bus has published is one that was to be published later. */
  wasScheduled(seen: Seen): boolean {
    return this.due.some((due) => due.kind === "scheduled" && isSame(due, seen));
  }

  /** Takes notice of a message that the bus has published, which must be one that was due. */
  observe(seen: Seen): void {
    const due = this.due.find((due) => isSame(due, seen));
    assert(due !== undefined, `published ${seen.payload} to ${seen.topic}, and nobody wanted that`);
    const before = due.kind === "scheduled"
      ? this.scheduled(due.topic)
      : due.kind === "published"
      ? this.due.filter(({ kind, topic }) => kind === "published" && topic === due.topic)
      : [due];
    assert(before[0] === due, `${due.payload} was published before ${before[0]!.payload}`);
    const first = this.scheduled(due.topic)[0];
    const isPassed = due.kind === "published" && first !== undefined && first.dueMs < this.nowMs;
    assert(!isPassed, `${due.payload} was published before ${first?.payload}, which was due`);
    const lateMs = this.nowMs - due.dueMs;
    assert(lateMs >= 0, `${due.payload} was published ${-lateMs} ms early`);
    assert(this.nowMs <= this.#lastMs(due.dueMs), `${due.payload} was published ${lateMs} ms late`);
    this.due.splice(this.due.indexOf(due), 1);
    if (due.kind === "dead") this.dead++;
    this.#append(seen, due);
  }

  /** What should have been published by now and was not. */
  overdue(): ModelDue[] {
    return this.due.filter(({ kind, dueMs, isOptional = false }) => {
      return !isOptional && (kind === "scheduled" ? this.#lastMs(dueMs) : dueMs) <= this.nowMs;
    });
  }

  /** Pulls. */
  pull(pull: ModelPull): ModelAnswer {
    const group = this.#groupFor(pull);
    if (typeof group !== "object") return group ?? { handouts: [], gap: undefined };
    group.usedMs = this.nowMs;
    group.skip();
    const handouts: ModelHandout[] = [];
    while (handouts.length < pull.limit) {
      const isFirst = handouts.length === 0;
      const next = group.peek(isFirst);
      if (next === undefined) break;
      if (next === "full" || (isMessage(next) && pull.leaseMs !== undefined && group.isFull)) {
        if (isFirst) return "too_many_leased";
        break;
      }
      const handout = group.handOut(next, pull.leaseMs);
      handouts.push(handout);
      this.pulled++;
      if ((handout.attempt ?? 1) > 1) this.redelivered++;
    }
    return { handouts, gap: group.gaps.shift() };
  }

  /** Pulls, and waits if there is nothing. */
  wait(pull: ModelPull, waitMs: number): ModelWait {
    const wait: ModelWait = { ...pull, dueMs: this.nowMs + waitMs, answer: undefined };
    const isFirst = !this.waits.some((other) => isWaiting(other) && isSameGroup(other, wait));
    this.waits.push(wait);
    if (isFirst) this.#serve(wait);
    return wait;
  }

  /** Gives up a pull that waits. */
  abort(wait: ModelWait): void {
    if (isWaiting(wait)) this.#endWait(wait, "aborted");
  }

  /** Ends the turn: those who wait get what there is. */
  flush(): void {
    for (const wait of this.waits) {
      const isFirst = this.waits.find((other) => isWaiting(other) && isSameGroup(other, wait)) === wait;
      // Who waits for a group that was forgotten makes it anew.
      if (isFirst) this.#serve(wait);
    }
  }

  #serve(wait: ModelWait): void {
    const group = this.#groupFor(wait);
    if (typeof group === "string") this.#endWait(wait, group);
    else if (group !== undefined) {
      group.usedMs = this.nowMs;
      if (group.peek(true) !== undefined) this.#endWait(wait, this.pull(wait));
    }
  }

  /** Whether a token names a lease that could be settled. */
  isGood(token: string): boolean {
    return this.topics.some(({ groups }) => groups.some(({ items }) => items.some((item) => item.token === token)));
  }

  /** Acknowledges. */
  ack(tokens: readonly string[]): ModelSettlement {
    return this.#settle(tokens, (group, item) => {
      group.acked++;
      this.acked++;
      group.done(item);
    });
  }

  /** Hands back. */
  nack(
    tokens: readonly string[],
    { delayMs = 0, reason = "rejected", count = true }: { delayMs?: number; reason?: string; count?: boolean },
  ): ModelSettlement {
    return this.#settle(tokens, (group, item) => {
      this.nacked++;
      if (item.message.lost !== undefined) return group.done(item);
      if (!count) item.attempt--;
      else if (this.#isLast(group, item)) return this.#bury(group, item, reason);
      item.state = "waiting";
      item.untilMs = this.nowMs + delayMs;
      item.token = undefined;
    });
  }

  /** Leases longer. */
  extend(tokens: readonly string[], leaseMs?: number): ModelSettlement {
    return this.#settle(tokens, (_, item) => {
      item.state = "leased";
      item.untilMs = this.nowMs + (leaseMs ?? item.leaseMs);
    });
  }

  /** Publishes dead letters again; returns what became of them, the error code, or undefined if there are no topics. */
  redrive(name: string, group: string | undefined): { redriven: number; remaining: number } | string | undefined {
    const dead = this.topic(deadTopicOf(name));
    if (dead === undefined) return this.topic(name) && { redriven: 0, remaining: 0 };
    const letters = retained(dead).filter(({ headers }) => {
      return headers!["msgbus-dead-topic"] === name && (group ?? headers!["msgbus-dead-group"]) ===
          headers!["msgbus-dead-group"];
    });
    for (const { payload, key, contentType, headers } of letters) {
      const own = Object.entries(headers!).filter(([name]) => !name.startsWith("msgbus-"));
      const ttlMs = parseDuration(headers!["msgbus-dead-ttl"] ?? "");
      const code = this.publish(name, [{ payload, key, contentType, ttlMs, headers: Object.fromEntries(own) }]);
      if (code !== undefined) return code;
    }
    for (const letter of letters) this.#lose(dead, letter, "expired");
    this.redriven += letters.length;
    return { redriven: letters.length, remaining: 0 };
  }

  /** Deletes a topic; returns whether there was one. */
  deleteTopic(name: string): boolean {
    const topic = this.topic(name);
    if (topic === undefined) return false;
    this.topics.splice(this.topics.indexOf(topic), 1);
    this.due = this.due.filter((due) => due.topic !== name);
    // Who waits, waits for the next topic of the name.
    for (const wait of this.waits) if (isWaiting(wait) && wait.topic === name) this.#groupFor(wait);
    return true;
  }

  /** Forgets a group; returns whether there was one. */
  deleteGroup(topic: string, name: string): boolean {
    const group = this.#find(topic, name);
    if (group === undefined) return false;
    group.topic.groups.splice(group.topic.groups.indexOf(group), 1);
    return true;
  }

  /** Ends the process and begins another one: leases have ended, and nobody waits. */
  restart(): void {
    for (const wait of this.waits) if (isWaiting(wait)) wait.answer = "restarted";
    this.pending = [];
    this.pulled =
      this.redelivered =
      this.acked =
      this.nacked =
      this.dead =
      this.redriven =
        0;
    for (const group of this.topics.flatMap(({ groups }) => groups)) {
      group.hasLeased = group.items.some(({ message }) => message.lost === undefined);
      for (const item of group.items) {
        if (item.state === "leased") item.untilMs = this.nowMs;
        item.token = undefined;
      }
      group.gaps.splice(0);
      group.usedMs = this.nowMs;
    }
    this.#endLeases();
    for (const { all } of this.topics) forgetHoles(all, this.nowMs);
  }

  /** Whether timers may be late because there was no time for them until now. */
  get wasStalled(): boolean {
    return this.nowMs === this.#stalledMs;
  }

  /** Lets time pass in a program too busy to run its timers. */
  stall(ms: number): void {
    this.#stalledMs = this.nowMs + ms;
    this.tick(ms, []);
  }

  /** Lets time pass, with everything that is due on the way, and what the bus has published on the way. */
  tick(ms: number, seen: readonly Seen[]): void {
    const endMs = this.nowMs + ms;
    const left = [...seen];
    while (true) {
      this.forgetIdle();
      this.#expire();
      this.#endLeases();
      while (left.length > 0 && left[0]!.atMs <= this.nowMs) this.observe(left.shift()!);
      for (const wait of this.waits) {
        if (isWaiting(wait) && wait.dueMs <= this.nowMs) this.#endWait(wait, this.pull({ ...wait, limit: 0 }));
      }
      if (this.nowMs === endMs) break;
      this.nowMs = Math.min(endMs, this.nextMs(), ...left.map(({ atMs }) => atMs));
    }
    assert(left.length === 0);
  }

  /** Forgets groups that nobody uses; as far as its timer may be late, the bus has decided which those are by now. */
  forgetIdle(isForgotten: (topic: string, group: string) => boolean = () => false): void {
    this.pending = this.pending.filter((pending) => this.nowMs < this.#idleMs(pending.topic, pending));
    for (const { name: topic, groups } of this.topics) {
      const kept = groups.filter((group) => {
        const ms = this.#idleMs(topic, group);
        return isForgotten(topic, group.name) ? this.nowMs < ms : this.nowMs < this.#lastMs(ms);
      });
      groups.splice(0, Infinity, ...kept);
    }
  }

  /** Forgets what the bus could have done in this step and has not. */
  forgetDoubts(): void {
    this.isUseOpen = false;
    this.due = this.due.filter(({ isOptional = false }) => !isOptional);
  }

  /** When a group has not been used for so long that it is forgotten. */
  #idleMs(topic: string, { name, usedMs }: { readonly name: string; readonly usedMs: number }): number {
    const isAwaited = this.waits.some((wait) => isWaiting(wait) && wait.topic === topic && wait.group === name);
    return name === "" || isAwaited ? Infinity : usedMs + this.limits.groupIdleMs;
  }

  /** When something happens next. */
  nextMs(): number {
    return Math.min(...this.times().filter((ms) => ms > this.nowMs));
  }

  /** When things happen, as far as that is known. */
  times(): number[] {
    const groups = this.topics.flatMap(({ groups }) => groups);
    return [
      ...this.topics.flatMap(retained).map(({ expiresMs }) => expiresMs),
      ...groups.flatMap(({ items }) => items).map(({ untilMs }) => untilMs),
      ...groups.filter(({ name }) => name !== "").map(({ usedMs }) => usedMs + this.limits.groupIdleMs)
        .flatMap((idleMs) => [idleMs, idleMs + MAX_LATE_MS]),
      ...this.pending.map(({ usedMs }) => usedMs + this.limits.groupIdleMs),
      ...this.waits.filter(isWaiting).map(({ dueMs }) => dueMs),
      ...this.due.map(({ dueMs }) => dueMs),
    ];
  }

  /** What there is to know of all groups. */
  totals() {
    const { pulled, redelivered, acked, nacked, dead, redriven } = this;
    const items = this.topics.flatMap(({ groups }) => groups).flatMap(({ items }) => items);
    const leased = items.filter(({ token }) => token !== undefined).length;
    return { pulled, redelivered, leased, acked, nacked, dead, redriven };
  }

  /** What there is to know of a group. */
  statsOf(group: ModelGroup) {
    const { topic, items, next, acked, dead, lost, usedMs } = group;
    const isLeased = ({ state }: ModelItem) => state === "leased";
    const fresh = retained(topic).filter(({ id }) => id >= next);
    const unleased = items.filter((item) => !isLeased(item));
    const undone = [...fresh, ...items.map(({ message }) => message).filter(({ lost }) => lost === undefined)];
    const waiters = this.waits.filter((wait) => {
      return isWaiting(wait) && wait.topic === topic.name && wait.group === group.name;
    }).length;
    return {
      topic: topic.name,
      group: group.name,
      cursor: `${Math.min(next, ...items.map(({ message }) => message.id))}@${topic.epoch}`,
      lag: fresh.length + unleased.length,
      leased: items.filter(isLeased).length,
      waiting: items.filter(({ state }) => state === "waiting").length,
      blocked: items.filter(({ state }) => state === "blocked").length,
      attempts: Math.max(0, ...items.map(({ attempt }) => attempt)),
      oldestUnackedMs: undone.length === 0
        ? undefined
        : this.nowMs - undone.reduce((a, b) => a.id < b.id ? a : b).createdMs,
      acked,
      dead,
      lost: lost + topic.all.filter((message) => message.id >= next && message.lost !== undefined).length,
      waiters,
      idleMs: waiters > 0 ? 0 : this.nowMs - usedMs,
    };
  }

  /** When a timer that was set to a time must have run. */
  #lastMs(dueMs: number): number {
    return Math.max(dueMs, this.#stalledMs) + MAX_LATE_MS;
  }

  #append(
    { topic: name, epoch, id, createdMs, expiresMs }: Seen,
    { dueMs: _, isOptional: __, kind, ...content }: ModelDue,
  ): void {
    const topic = this.topic(name) ?? this.#makeTopic(name, epoch);
    const ttlMs = content.ttlMs ?? (isDead(name) ? DEAD_TTL_MS : this.limits.ttlMs);
    assert(topic.epoch === epoch && id === topic.all.length, `${name} has the wrong id ${id}@${epoch}`);
    assert(createdMs === this.nowMs, `created ${this.nowMs - createdMs} ms ago`);
    assert(expiresMs === (ttlMs === 0 ? Infinity : createdMs + ttlMs), `${kind}: expires ${expiresMs}`);
    this.#makeRoom(topic, 1);
    topic.all.push({ ...content, id, createdMs, expiresMs });
  }

  /** What is to be published takes its room beforehand. */
  #makeRoom(topic: ModelTopic, count: number): void {
    const room = this.limits.maxMessages - this.scheduled(topic.name).length - count;
    const kept = retained(topic);
    for (const message of kept.slice(0, Math.max(0, kept.length - room))) this.#lose(topic, message, "dropped");
  }

  #makeTopic(name: string, epoch: string): ModelTopic {
    const topic: ModelTopic = { name, epoch, all: [], groups: [] };
    this.topics.push(topic);
    const pending = this.pending.filter(({ topic }) => topic === name);
    for (const { name } of [{ name: "" }, ...pending]) topic.groups.push(new ModelGroup(topic, name, this));
    this.pending = this.pending.filter((pending) => pending.topic !== name);
    return topic;
  }

  #find(topic: string, name: string): ModelGroup | undefined {
    return this.topic(topic)?.groups.find((group) => group.name === name);
  }

  /** The group that a pull is for, made if need be; a code if that can't be; nothing if the topic doesn't exist. */
  #groupFor(pull: ModelPull): ModelGroup | string | undefined {
    const { topic: topicName, group: name, from = "earliest" } = pull;
    const topic = this.topic(topicName);
    if (topic === undefined) {
      const pending = this.#pendingOf(pull);
      if (pending !== undefined) pending.usedMs = this.nowMs;
      else if (name !== "") {
        if (this.pending.filter(({ topic }) => topic === topicName).length >= this.limits.maxGroups) {
          return "too_many_groups";
        }
        this.pending.push({ topic: topicName, name, usedMs: this.nowMs });
      }
      return undefined;
    }
    const group = this.#find(topicName, name);
    if (group !== undefined) return group;
    if (topic.groups.length - 1 >= this.limits.maxGroups) return "too_many_groups";
    const made = new ModelGroup(topic, name, this);
    made.begin(from);
    topic.groups.push(made);
    return made;
  }

  #endWait(wait: ModelWait, answer: ModelAnswer): void {
    wait.answer = answer;
    const group = this.#find(wait.topic, wait.group) ?? this.#pendingOf(wait);
    if (group !== undefined) group.usedMs = this.nowMs;
  }

  #pendingOf({ topic, group }: ModelPull) {
    return this.pending.find((pending) => pending.topic === topic && pending.name === group);
  }

  #settle(tokens: readonly string[], settle: (group: ModelGroup, item: ModelItem) => void): ModelSettlement {
    const done: string[] = [];
    const unknown: string[] = [];
    for (const token of new Set(tokens)) {
      const group = this.topics.flatMap(({ groups }) => groups)
        .find(({ items }) => items.some((item) => item.token === token));
      if (group === undefined) unknown.push(token);
      else {
        done.push(token);
        group.usedMs = this.nowMs;
        settle(group, group.items.find((item) => item.token === token)!);
      }
    }
    // A lease that was over, and nobody had noticed, was a lease of a group nevertheless.
    this.isUseOpen = unknown.length > 0 && this.wasStalled;
    return { done, unknown };
  }

  #isLast({ topic: { name } }: ModelGroup, { attempt }: ModelItem): boolean {
    const { maxAttempts } = this.limits;
    const hasRoom = deadTopicOf(name).split("/").length <= 16;
    return maxAttempts > 0 && attempt >= maxAttempts && !isDead(name) && hasRoom;
  }

  #bury(group: ModelGroup, item: ModelItem, reason: string): void {
    const { topic: { name, epoch } } = group;
    const { id, payload, key, contentType, headers, createdMs, ttlMs = this.limits.ttlMs } = item.message;
    this.due.push({
      topic: deadTopicOf(name),
      kind: "dead",
      dueMs: this.nowMs,
      isOptional: this.nowMs >= this.#idleMs(name, group),
      payload,
      key,
      contentType,
      headers: {
        ...headers,
        "msgbus-dead-topic": name,
        "msgbus-dead-id": String(id),
        "msgbus-dead-epoch": epoch,
        "msgbus-dead-group": group.name,
        "msgbus-dead-attempts": String(item.attempt),
        "msgbus-dead-reason": reason,
        "msgbus-dead-created": new Date(createdMs).toISOString(),
        ...(ttlMs === this.limits.ttlMs ? {} : { "msgbus-dead-ttl": formatDuration(ttlMs) }),
      },
    });
    group.dead++;
    group.done(item);
  }

  #expire(): void {
    for (const topic of this.topics) {
      for (const message of retained(topic)) {
        if (message.expiresMs <= this.nowMs) this.#lose(topic, message, "expired");
      }
    }
  }

  #lose(topic: ModelTopic, message: ModelMessage, reason: "expired" | "dropped"): void {
    message.lost = reason;
    for (const group of topic.groups) group.lose(message);
  }

  #endLeases(): void {
    for (const group of this.topics.flatMap(({ groups }) => groups)) {
      for (const item of [...group.items]) {
        if (item.state !== "leased" || item.untilMs > this.nowMs) continue;
        if (item.message.lost !== undefined) group.done(item);
        else if (this.#isLast(group, item)) this.#bury(group, item, "lease expired");
        else item.state = "waiting";
      }
    }
  }
}

/**
 * When a message was created that is gone from behind the oldest one is not kept: no later than what follows it, or than
 * the restart.
 */
function forgetHoles(all: ModelMessage[], nowMs: number): void {
  const first = all.findIndex(({ lost }) => lost === undefined);
  if (first === -1) return;
  let createdMs = nowMs;
  for (let id = all.length - 1; id > first; id--) {
    const message = all[id]!;
    if (message.lost === undefined) createdMs = message.createdMs;
    else all[id] = { ...message, createdMs };
  }
}

/** Whether a pull waits still. */
export function isWaiting({ answer }: ModelWait): boolean {
  return answer === undefined;
}

/** The topic of the dead letters of a topic. */
export function deadTopicOf(name: string): string {
  return `${name}/-dead`;
}

const isDead = (name: string) => name.split("/").at(-1) === "-dead";
const isSameGroup = (a: ModelPull, b: ModelPull) => a.topic === b.topic && a.group === b.group;

function isMessage(next: ModelItem | ModelMessage): next is ModelMessage {
  return "id" in next;
}

function isSame(due: ModelDue, seen: Seen): boolean {
  const ofDue = [due.topic, due.payload, due.key, due.contentType, Object.entries(due.headers ?? {}).sort()];
  const ofSeen = [seen.topic, seen.payload, seen.key, seen.contentType, Object.entries(seen.headers ?? {}).sort()];
  return JSON.stringify(ofDue) === JSON.stringify(ofSeen);
}
