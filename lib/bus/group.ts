/**
 * A group: a cursor that its pullers share, and the messages that they were given and are not done with. The queue of a
 * topic is the group without a name.
 *
 * @module
 */

import type { Gap, GapReason } from "../event.ts";
import type { Message } from "../message.ts";
import type { LeaseHolder } from "./answers.ts";
import { Heap, type HeapEntry } from "./heap.ts";
import type { GroupChange, UnackedMessage } from "./store.ts";
import type { Topic } from "./topic.ts";

/** The name of the group that is always there: the queue. */
export const QUEUE = "";

/**
 * What a message is to its group until it is done.
 *
 * - `leased`: handed out, until its lease ends.
 * - `waiting`: handed back, until its delay is over.
 * - `ready`: to be handed out again, before anything new.
 * - `blocked`: passed over, because another message of its key isn't done.
 * - `dying`: about to be a dead letter.
 */
export type ItemState = "leased" | "waiting" | "ready" | "blocked" | "dying";

/** A message that a group has handed out, or passed over, and is not done with. */
export class Item {
  /** Whose it is. */
  readonly group: Group;
  /** The id of the message. */
  readonly id: number;
  /** Its key. */
  readonly key: string | undefined;
  /** What it is now. */
  state: ItemState = "blocked";
  /** How often it was handed out, as far as that counts. */
  attempt = 0;
  /** The token of its last lease, as long as that can be settled. */
  token: string | undefined;
  /** Who was given its last lease, if that wants to know. */
  holder: LeaseHolder | undefined;
  /** How long its last lease was to last, in milliseconds. */
  leaseMs = 0;
  /** Whether the message has left the log; then it is only here until its lease ends. */
  lost = false;
  /** Why it is to be a dead letter, once it is. */
  reason = "";
  /** Its place among what is due, or what is ready. */
  place: HeapEntry<Item> | undefined;

  /** Makes one that is in no place yet. */
  constructor(group: Group, { id, key }: Message) {
    this.group = group;
    this.id = id;
    this.key = key;
  }
}

/** How a message is leased. */
export interface Lease {
  /** When it is leased, in milliseconds since the Unix epoch. */
  readonly nowMs: number;
  /** For how long, in milliseconds. */
  readonly leaseMs: number;
  /** Who has it, if that wants to know. */
  readonly holder?: LeaseHolder | undefined;
}

/** What a group needs of its bus. */
export interface GroupHost {
  /** How many messages a group may have handed out or passed over and not be done with. */
  readonly maxLeased: number;
  /** Gives a lease its token. */
  issue(item: Item): string;
  /** Ends what the token of an item could do. */
  revoke(token: string): void;
  /** Makes a dead letter of a message; ends in {@linkcode Group.finish} or {@linkcode Group.retry}, maybe at once. */
  bury(item: Item, message: Message): void;
  /** A message is to be handed out again: those who wait could have it. */
  wake(group: Group): void;
  /** A lease or a delay ends, maybe before all others. */
  watch(group: Group): void;
}

/** How a group begins. */
export interface GroupInit {
  /** The id of the message that it wants first. */
  readonly next: number;
  /** When that is, in milliseconds since the Unix epoch. */
  readonly usedMs: number;
  /** See {@linkcode Group.maxAttempts}. */
  readonly maxAttempts: number;
}

interface HeldKey {
  holder: Item;
  /** In the order of their ids. */
  readonly blocked: Set<Item>;
}

const NOTHING: readonly never[] = [];

/** Why a message becomes a dead letter whose lease has ended. */
export const LEASE_EXPIRED = "lease expired";

/**
 * The state of one group, changed in one go, never with an `await` in the middle. Messages below {@linkcode Group.next}
 * are done unless they are an {@linkcode Item}; items are made in the order of their ids.
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
  /** Messages acknowledged, or taken for good. */
  acked = 0;
  /** Messages that became dead letters. */
  dead = 0;
  /** Messages that left the log before the group was done with them. */
  lost = 0;

  readonly #host: GroupHost;
  #next: number;
  /** No id below it is that of an item. */
  #floor: number;
  readonly #items = new Map<number, Item>();
  /** Leased and waiting ones, by when that ends. */
  readonly #due = new Heap<Item>();
  /** Those to be handed out again, by id. */
  readonly #ready = new Heap<Item>();
  readonly #keys = new Map<string, HeldKey>();
  /** What the cursor has skipped and nobody was told of. */
  readonly #gaps: Gap[] = [];
  #unacked: UnackedMessage[] | undefined;
  #done: number[] | undefined;
  /** As {@linkcode Group.next} was when the store was told of it; what was passed over since it doesn't know of. */
  #toldNext: number;
  /** Whether there is something to tell the store: that there is a group is, but the queue is always there. */
  #moved: boolean;

  /** Makes a group of `topic`. */
  constructor(topic: Topic, name: string, host: GroupHost, { next, usedMs, maxAttempts }: GroupInit) {
    this.topic = topic;
    this.name = name;
    this.#host = host;
    this.#next = this.#floor = this.#toldNext = next;
    this.usedMs = usedMs;
    this.maxAttempts = maxAttempts;
    this.#moved = name !== QUEUE;
  }

  /** The id of the next message that is new to it; what that points at may have been dropped. */
  get next(): number {
    return this.#next;
  }

  /** Whether it has given anything, or is about to. */
  get isUsed(): boolean {
    return this.acked > 0 || this.#items.size > 0;
  }

  /** The lowest id that it is not done with. */
  get floor(): number {
    while (this.#floor < this.#next && !this.#items.has(this.#floor)) this.#floor++;
    return this.#floor;
  }

  /** The messages it is not done with, in the order of their ids. */
  items(): Iterable<Item> {
    return this.#items.values();
  }

  /** Whether it remembers any message. */
  get hasItems(): boolean {
    return this.#items.size > 0;
  }

  /** When the next lease or delay ends, in milliseconds since the Unix epoch; `Infinity` if none does. */
  get dueMs(): number {
    return this.#due.peek()?.key ?? Infinity;
  }

  /** How many retained messages are new to it. */
  get ahead(): number {
    return this.topic.log.countFrom(this.#next);
  }

  /** How many messages could be handed out now, if none of them had to wait for its key. */
  get offered(): number {
    return this.#ready.size + this.ahead;
  }

  /** Takes note of what is missing before the group begins. */
  miss(gap: Gap): void {
    this.#gaps.push(gap);
  }

  /** The oldest gap that its pullers have not been told of, which is told with that. */
  tellGap(): Gap | undefined {
    return this.#gaps.length === 0 ? undefined : this.#gaps.shift();
  }

  /** Moves over messages that are gone, and takes note of the gap. */
  skip(): void {
    const gap = this.topic.gapAt(this.#next);
    if (gap === undefined) return;
    const from = gap.from!;
    const to = gap.to!;
    this.lost += to - from + 1;
    this.#moveTo(to + 1);
    const last = this.#gaps.at(-1);
    if (last === undefined || last.to !== from - 1 || last.reason === "reset") this.#gaps.push(gap);
    // Nothing of it has been told, so it is one.
    else this.#gaps[this.#gaps.length - 1] = { ...gap, from: last.from, reason: worse(last.reason, gap.reason) };
  }

  /**
   * Whether a pull would give something. `full` if only a message that there is no room for. Passes over what must wait
   * for its key.
   */
  get available(): boolean | "full" {
    const next = this.#peek(true);
    return next === "full" ? next : next !== undefined;
  }

  /**
   * The message that comes next, not handed out yet: one that was handed out before, or a new one. `undefined` if there
   * is none, `full` if there is no room to pass over others that wait for their keys. After another message of a batch
   * nothing comes that is behind a hole, because its reader must be told of that first.
   */
  peek(isFirst: boolean): Message | "full" | undefined {
    const next = this.#peek(isFirst);
    return next instanceof Item ? this.topic.log.get(next.id) : next;
  }

  /** Takes what {@linkcode Group.peek} gives, for good or as a lease; `full` if there is no room for that. */
  take(isFirst: boolean, lease?: Lease): Message | "full" | undefined {
    const next = this.#peek(isFirst);
    if (next === undefined || next === "full") return next;
    if (next instanceof Item) return this.#takeAgain(next, lease);
    if (lease === undefined) {
      this.#moveTo(next.seq);
      this.acked++;
      return next;
    }
    if (!this.#hasRoom) return "full";
    const item = this.#add(next);
    if (next.key !== undefined) this.#keys.set(next.key, { holder: item, blocked: new Set() });
    return this.#lease(item, next, lease);
  }

  /** Ends leases and delays that are over. */
  settle(nowMs: number): void {
    for (let first = this.#due.peek(); first !== undefined && first.key <= nowMs; first = this.#due.peek()) {
      const item = first.value;
      this.#leave(item);
      if (item.lost) this.#remove(item);
      else if (this.#isSpent(item)) this.#bury(item, this.topic.log.get(item.id)!);
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
    if (counts && this.#isSpent(item)) this.#bury(item, this.topic.log.get(item.id)!);
    else if (dueMs > nowMs) this.#wait(item, dueMs);
    else this.#makeReady(item);
    // That of a dead letter is noted with it.
    if (item.state !== "dying") this.#note(item, dueMs > nowMs ? dueMs : undefined);
  }

  /** Makes a lease end later, or earlier. */
  extend(item: Item, { nowMs, leaseMs }: Lease): void {
    this.#leave(item);
    item.state = "leased";
    item.place = this.#due.add(item, nowMs + leaseMs);
    item.holder?.leased(item.token!);
    this.#host.watch(this);
  }

  /** Takes note that a message leaves the log at a time. */
  lose(message: Message, atMs: number): void {
    const item = this.#items.get(message.id);
    if (item === undefined || item.state === "dying") return;
    const hasEnded = item.state !== "leased" || item.place!.key < atMs;
    if (hasEnded && item.state !== "blocked" && this.#isSpent(item)) {
      this.#leave(item);
      return this.#bury(item, message);
    }
    this.lost++;
    item.lost = true;
    this.#release(item);
    if (hasEnded) this.#remove(item);
  }

  /** Is done with a message that has become a dead letter. */
  finish(item: Item): void {
    this.dead++;
    this.#remove(item);
  }

  /** Tries later to make a dead letter of a message, if it is retained still. */
  retry(item: Item, dueMs: number): void {
    if (this.topic.log.get(item.id) !== undefined) return this.#wait(item, dueMs);
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

  /** That it is done with one message, and nothing else that has changed, for the store. */
  changeOf({ id }: Item): GroupChange {
    return { group: this.name, next: this.#toldNext, unacked: NOTHING, done: [id] };
  }

  /** What has changed since this was asked last, for the store; `undefined` if nothing has. */
  takeChange(): GroupChange | undefined {
    if (!this.#moved) return undefined;
    const { name: group, next } = this;
    const change = { group, next, unacked: this.#unacked ?? NOTHING, done: this.#done ?? NOTHING };
    this.#moved = false;
    this.#toldNext = next;
    this.#unacked = this.#done = undefined;
    return change;
  }

  /** Takes back what {@linkcode Group.takeChange} gave, as it is now: the store has refused it. */
  tellAgain({ unacked, done }: GroupChange): void {
    this.#moved = true;
    for (const { id } of unacked) {
      const item = this.#items.get(id);
      if (item === undefined) continue;
      this.#toldNext = Math.min(this.#toldNext, id);
      this.#note(item, item.state === "waiting" ? item.place!.key : undefined);
    }
    (this.#done ??= []).push(...done);
  }

  get #hasRoom(): boolean {
    return this.#items.size < this.#host.maxLeased;
  }

  #peek(isFirst: boolean): Item | Message | "full" | undefined {
    const ready = this.#ready.peek();
    if (ready !== undefined) return ready.value;
    for (;;) {
      if (isFirst) this.skip();
      const message = this.topic.log.get(this.#next);
      if (message === undefined || message.key === undefined) return message;
      const held = this.#keys.get(message.key);
      if (held === undefined) return message;
      if (!this.#hasRoom) return "full";
      const item = this.#add(message);
      held.blocked.add(item);
      this.#note(item);
    }
  }

  #moveTo(next: number): void {
    this.#next = next;
    this.#moved = true;
  }

  #add(message: Message): Item {
    const item = new Item(this, message);
    this.#items.set(message.id, item);
    if (this.#items.size === 1) this.topic.holding.add(this);
    this.#moveTo(message.seq);
    return item;
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
    item.state = "leased";
    item.attempt++;
    item.leaseMs = this.leaseMs = leaseMs;
    item.reason = LEASE_EXPIRED;
    item.token = this.#host.issue(item);
    item.holder = holder;
    holder?.leased(item.token);
    item.place = this.#due.add(item, nowMs + leaseMs);
    this.#note(item);
    this.#host.watch(this);
    return message.handedOut({ attempt: item.attempt, lease: item.token });
  }

  #isSpent(item: Item): boolean {
    return item.attempt >= this.maxAttempts;
  }

  #wait(item: Item, dueMs: number): void {
    item.state = "waiting";
    item.place = this.#due.add(item, dueMs);
    this.#host.watch(this);
  }

  #makeReady(item: Item): void {
    item.state = "ready";
    item.place = this.#ready.add(item, item.id);
    this.#host.wake(this);
  }

  #bury(item: Item, message: Message): void {
    item.state = "dying";
    this.#revoke(item);
    this.#host.bury(item, message);
  }

  /** Takes an item out of its place, its token still known. */
  #leave(item: Item): void {
    if (item.place === undefined) return;
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
    (this.#done ??= []).push(item.id);
    this.#moved = true;
  }

  /** Lets the key of an item go, to the next message that waits for it. */
  #release(item: Item): void {
    if (item.key === undefined) return;
    const held = this.#keys.get(item.key);
    if (held === undefined) return;
    if (held.holder !== item) {
      held.blocked.delete(item);
      return;
    }
    const [next] = held.blocked;
    if (next === undefined) {
      this.#keys.delete(item.key);
      return;
    }
    held.blocked.delete(next);
    held.holder = next;
    this.#makeReady(next);
  }

  #revoke(item: Item): void {
    if (item.token !== undefined) this.#host.revoke(item.token);
    item.token = undefined;
  }

  #note({ id, attempt }: Item, notBeforeMs?: number): void {
    this.#moved = true;
    (this.#unacked ??= []).push({ id, attempt, notBeforeMs });
  }
}

/** The reason of two gaps that are told as one. */
function worse(a: GapReason, b: GapReason): GapReason {
  return a === "dropped" ? a : b;
}

/** How a message is handed back. */
export interface NackRequest {
  /** When, in milliseconds since the Unix epoch. */
  readonly nowMs: number;
  /** When it may be handed out again. */
  readonly dueMs: number;
  /** Why. */
  readonly reason: string;
  /** Whether the attempt counts. */
  readonly counts: boolean;
}
