/**
 * A group: a cursor that its pullers share, and the messages that they were given and are not done with. The queue of a
 * topic is the group without a name.
 *
 * @module
 */

import type { Message } from "../message.ts";
import { UntoldChange } from "./group_change.ts";
import type { GroupHost, GroupInit } from "./group_host.ts";
import { Heap } from "./heap.ts";
import { Item, type Lease, LEASE_EXPIRED, type NackRequest } from "./item.ts";
import { HeldKeys } from "./keys.ts";
import { MissedGaps } from "./missed.ts";
import type { StoredGroup } from "./store.ts";
import type { Topic } from "./topic.ts";

/** The name of the group that is always there: the queue. */
export const QUEUE = "";

/**
 * The state of one group, changed in one go, never with an `await` in the middle. Messages below {@linkcode Group.next}
 * are done unless they are an {@linkcode Item}; items are made in the order of their ids, but for those that come back
 * because the store has refused what took them.
 */
export class Group {
  /** Its topic. */
  readonly topic: Topic;
  /** Its name. */
  readonly name: string;
  /** How often it hands out a message at most; `Infinity` if there is no limit. */
  readonly maxAttempts: number;
  /** When it was last used, in milliseconds since the Unix epoch. */
  usedMs: number;
  /** How long the lease given last was to last, in milliseconds; 0 if there was none. */
  leaseMs = 0;
  /** Whether anything was leased from it, as far as is known. */
  hasLeased = false;
  /** Messages acknowledged, or taken for good. */
  acked = 0;
  /** Messages that became dead letters. */
  dead = 0;
  /** Messages that left the log before the group was done with them. */
  lost = 0;
  /** What is missing before the messages that it gives, and its pullers were not told of. */
  readonly missed: MissedGaps = new MissedGaps();
  /** What has changed and the store was not told of. */
  readonly untold: UntoldChange;

  readonly #host: GroupHost;
  #next: number;
  /** As long as there are items, no id below it is that of one. */
  #floor: number;
  readonly #items = new Map<number, Item>();
  /** Leased and waiting ones, by when that ends. */
  readonly #due = new Heap<Item>();
  /** Those to be handed out again, by id. */
  readonly #ready = new Heap<Item>();
  readonly #keys = new HeldKeys();

  /** Makes a group of `topic`. */
  constructor(topic: Topic, name: string, host: GroupHost, { next, usedMs, maxAttempts, isNew }: GroupInit) {
    this.topic = topic;
    this.name = name;
    this.#host = host;
    this.#next = this.#floor = next;
    this.usedMs = usedMs;
    this.maxAttempts = maxAttempts;
    this.untold = new UntoldChange(this, host, { isNew });
  }

  /** The id of the next message that is new to it; what that points at may have been dropped. */
  get next(): number {
    return this.#next;
  }

  /** Whether it has given anything, or is about to. */
  get isUsed(): boolean {
    return this.acked > 0 || this.#items.size > 0;
  }

  /** Whether dead letters are being made of messages of it: without it they would not be. */
  get isBurying(): boolean {
    for (const { state } of this.#items.values()) if (state === "dying") return true;
    return false;
  }

  /** The lowest id that it is not done with. */
  get floor(): number {
    if (this.#items.size === 0) return this.#next;
    while (!this.#items.has(this.#floor)) this.#floor++;
    return this.#floor;
  }

  /** The messages it is not done with, by id. */
  get items(): ReadonlyMap<number, Item> {
    return this.#items;
  }

  /** When the next lease or delay ends, in milliseconds since the Unix epoch; `Infinity` if none does. */
  get dueMs(): number {
    return this.#due.peek()?.key ?? Infinity;
  }

  /** How many messages it has not come to are gone. */
  get gone(): number {
    return this.topic.log.next - this.#next - this.ahead;
  }

  /** How many retained messages are new to it. */
  get ahead(): number {
    return this.topic.log.countFrom(this.#next);
  }

  /** How many messages could be handed out now, if none of them had to wait for its key. */
  get offered(): number {
    return this.#ready.size + this.ahead;
  }

  /**
   * Takes over what the store has kept of it; only once, in the beginning. Leases have ended: their messages are handed
   * out again, or become dead letters after their last attempt. What is not retained any more is lost.
   */
  restore({ unacked, counts }: StoredGroup, nowMs: number): void {
    this.acked = counts.acked;
    this.dead = counts.dead;
    this.lost = counts.lost;
    const skewMs = this.#host.skewMs();
    this.hasLeased = unacked.length > 0;
    for (const { id, key, attempt, reason = LEASE_EXPIRED, notBeforeMs = -Infinity } of unacked) {
      const item = new Item(this, { id, key });
      if (!this.topic.log.has(id)) {
        this.lost++;
        this.untold.finish(item);
        continue;
      }
      item.attempt = attempt;
      item.reason = reason;
      this.#enter(item);
      const isBlocked = key !== undefined && this.#keys.has(key);
      if (!isBlocked) this.#keys.hold(item);
      if (this.#isSpent(item)) this.#bury(item);
      else if (isBlocked) this.#keys.block(item);
      else if (notBeforeMs - skewMs > nowMs) this.#wait(item, "waiting", notBeforeMs - skewMs);
      else this.#makeReady(item);
    }
  }

  /** Moves over messages that are gone, and takes note of the gap. */
  skip(): void {
    const gap = this.topic.gapAt(this.#next);
    if (gap === undefined) return;
    this.lost += gap.to! - gap.from! + 1;
    this.#moveTo(gap.to! + 1);
    this.missed.skip(gap);
  }

  /**
   * The message that comes next, not handed out yet: one that was handed out before, or a new one. `undefined` if there
   * is none, `full` if there is no room to pass over others that wait for their keys, `cold` if {@linkcode Group.wanted}
   * has to be loaded. After another message of a batch nothing comes that is behind a hole, because its reader must be
   * told of that first.
   */
  peek(isFirst: boolean): Message | "full" | "cold" | undefined {
    const next = this.#peek(isFirst);
    return next instanceof Item ? this.topic.log.get(next.id) : next;
  }

  /** The id of the message that it looks at next. */
  get wanted(): number {
    return this.#ready.peek()?.value.id ?? this.#next;
  }

  /** Takes what {@linkcode Group.peek} gives, for good or as a lease; `full` if there is no room for that. */
  take(isFirst: boolean, lease?: Lease): Message | "full" | "cold" | undefined {
    const next = this.#peek(isFirst);
    if (next === undefined || next === "full" || next === "cold") return next;
    if (next instanceof Item) return this.#takeAgain(next, lease);
    if (lease === undefined) {
      this.#moveTo(next.seq);
      this.acked++;
      return next;
    }
    if (!this.#hasRoom) return "full";
    const item = this.#add(next);
    this.#keys.hold(item);
    return this.#lease(item, next, lease);
  }

  /**
   * Takes back messages as {@linkcode Group.take} gave them, because nobody gets them: the store has refused that. Leases
   * end and don't count, and what was taken for good is handed out again, both before anything new. What has become of a
   * message since then stays.
   */
  putBack(messages: readonly Message[]): void {
    for (const message of messages) {
      if (message.lease === undefined) this.#putBackTaken(message);
      else this.#putBackLeased(message, message.lease);
    }
  }

  #putBackTaken(message: Message): void {
    this.acked--;
    this.untold.move();
    if (!this.topic.log.has(message.id)) {
      this.lost++;
      return;
    }
    const item = new Item(this, message);
    item.attempt = (message.attempt ?? 1) - 1;
    this.#enter(item);
    this.untold.undo(item);
    const holder = item.key === undefined ? undefined : this.#keys.holderOf(item.key);
    if (holder === undefined) {
      this.#keys.hold(item);
      return this.#makeReady(item);
    }
    // Another one of its key was taken meanwhile. Unless that is out, it has to wait again.
    this.#keys.block(item);
    if (holder.state !== "ready") return;
    this.#leave(holder);
    this.#makeReady(holder);
  }

  #putBackLeased({ id }: Message, lease: string): void {
    const item = this.#items.get(id);
    if (item?.token !== lease) return;
    item.attempt--;
    if (item.lost) return this.#remove(item);
    this.#leave(item);
    this.#revoke(item);
    this.#makeReady(item);
    this.untold.keep(item);
  }

  /** Ends leases and delays that are over. */
  settle(nowMs: number): void {
    for (let first = this.#due.peek(); first !== undefined && first.key <= nowMs; first = this.#due.peek()) {
      const item = first.value;
      this.#leave(item);
      if (item.lost) this.#remove(item);
      else if (this.#isSpent(item)) this.#bury(item);
      else this.#makeReady(item);
    }
  }

  /** Is done with a leased message. */
  ack(item: Item): void {
    this.acked++;
    this.#remove(item);
  }

  /** Takes a leased message back. */
  nack(item: Item, { dueMs, nowMs, reason, counts }: NackRequest): void {
    if (item.lost) return this.#remove(item);
    this.#leave(item);
    this.#revoke(item);
    if (!counts && item.attempt > 0) item.attempt--;
    item.reason = reason;
    if (counts && this.#isSpent(item)) this.#bury(item);
    else if (dueMs > nowMs) this.#wait(item, "waiting", dueMs);
    else this.#makeReady(item);
    this.untold.keep(item);
  }

  /** Makes a lease end later, or earlier. */
  extend(item: Item, { nowMs, leaseMs }: Lease): void {
    this.#leave(item);
    this.#wait(item, "leased", nowMs + leaseMs);
    item.holder?.leased(item.token!);
  }

  /** Takes note that a message is about to leave the log, and stops being good at a time. */
  lose(id: number, atMs: number): void {
    const item = this.#items.get(id);
    if (item === undefined || item.state === "dying") return;
    const hasEnded = item.state !== "leased" || item.place!.key < atMs;
    if (hasEnded && item.state !== "blocked" && this.#isSpent(item)) {
      this.#leave(item);
      return this.#bury(item);
    }
    this.lost++;
    item.lost = true;
    this.#release(item);
    if (hasEnded) this.#remove(item);
    // It stays until its lease ends; to the store, which doesn't know of leases, that is nothing.
    else this.untold.finish(item);
  }

  /** Is done with a message that has become a dead letter. Does nothing if it is done with it already. */
  finish(item: Item): void {
    if (this.#items.get(item.id) !== item) return;
    this.dead++;
    this.#remove(item);
  }

  /** Tries later to make a dead letter of a message, if it is retained still and the group is not done with it. */
  retry(item: Item, dueMs: number): void {
    if (this.#items.get(item.id) !== item) return;
    this.untold.spare(item);
    if (this.topic.log.has(item.id)) return this.#wait(item, "waiting", dueMs);
    this.lost++;
    this.#remove(item);
  }

  /** Ends: no token of it is good any more. */
  end(): void {
    for (const item of this.#items.values()) {
      if (item.state === "leased") item.holder?.released(item.token!);
      this.#revoke(item);
    }
    this.topic.holding.delete(this);
  }

  get #hasRoom(): boolean {
    return this.#items.size < this.#host.maxLeased;
  }

  #peek(isFirst: boolean): Item | Message | "full" | "cold" | undefined {
    const { log } = this.topic;
    const ready = this.#ready.peek();
    if (ready !== undefined) return log.isCold(ready.value.id) ? "cold" : ready.value;
    for (;;) {
      if (isFirst) this.skip();
      const message = log.get(this.#next);
      // Which key it has is in the message.
      if (message === undefined) return log.isCold(this.#next) ? "cold" : undefined;
      if (message.key === undefined || !this.#keys.has(message.key)) return message;
      if (!this.#hasRoom) return "full";
      const item = this.#add(message);
      this.#keys.block(item);
      this.untold.keep(item);
    }
  }

  #moveTo(next: number): void {
    this.#next = next;
    this.untold.move();
  }

  #add(message: Message): Item {
    const item = new Item(this, message);
    this.#enter(item);
    this.#moveTo(message.seq);
    return item;
  }

  #enter(item: Item): void {
    this.#floor = this.#items.size === 0 ? item.id : Math.min(this.#floor, item.id);
    this.topic.holding.add(this);
    this.#items.set(item.id, item);
  }

  #takeAgain(item: Item, lease: Lease | undefined): Message {
    const message = this.topic.log.get(item.id)!;
    this.#revoke(item);
    this.#leave(item);
    if (lease !== undefined) return this.#lease(item, message, lease);
    this.acked++;
    const attempt = item.attempt + 1;
    this.#remove(item);
    return attempt === 1 ? message : message.handedOut({ attempt });
  }

  #lease(item: Item, message: Message, { nowMs, leaseMs, holder }: Lease): Message {
    item.attempt++;
    item.leaseMs = this.leaseMs = leaseMs;
    this.hasLeased = true;
    item.reason = LEASE_EXPIRED;
    item.token = this.#host.issue(item);
    item.holder = holder;
    holder?.leased(item.token);
    this.#wait(item, "leased", nowMs + leaseMs);
    this.untold.keep(item);
    return message.handedOut({ attempt: item.attempt, lease: item.token });
  }

  #isSpent(item: Item): boolean {
    return item.attempt >= this.maxAttempts;
  }

  #wait(item: Item, state: "leased" | "waiting", dueMs: number): void {
    item.state = state;
    item.place = this.#due.add(item, dueMs);
    this.#host.watch(this);
  }

  /** Lets an item that is in no place be handed out again, or, if there is one, the one of its key that comes before it. */
  #makeReady(item: Item): void {
    item.state = "blocked";
    const first = this.#keys.yield(item);
    first.state = "ready";
    first.place = this.#ready.add(first, first.id);
    this.#host.wake(this);
  }

  #bury(item: Item): void {
    item.state = "dying";
    this.#revoke(item);
    this.#host.bury(item);
  }

  /** Takes an item out of its place, its token still known. */
  #leave(item: Item): void {
    if (item.place === undefined) return;
    if (item.state === "blocked") return this.#keys.unblock(item);
    if (item.state === "leased") item.holder?.released(item.token!);
    (item.state === "ready" ? this.#ready : this.#due).remove(item.place);
    item.place = undefined;
  }

  #remove(item: Item): void {
    this.#leave(item);
    this.#revoke(item);
    this.#release(item);
    this.#items.delete(item.id);
    if (this.#items.size === 0) this.topic.holding.delete(this);
    this.untold.finish(item);
  }

  /** Lets the key of an item go, to the next message that waits for it. */
  #release(item: Item): void {
    const next = this.#keys.release(item);
    if (next !== undefined) this.#makeReady(next);
  }

  #revoke(item: Item): void {
    if (item.token !== undefined) this.#host.revoke(item.token);
    item.token = undefined;
  }
}
