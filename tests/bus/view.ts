/**
 * What a reader must have seen, judged by a witness who remembers every message that a bus ever showed.
 *
 * @module
 */

import type { MessageBus } from "../../lib/bus/bus.ts";
import type { Delivery } from "../../lib/bus/feed.ts";
import type { DropReason, Observer } from "../../lib/bus/observer.ts";
import type { EndReason, Subscription } from "../../lib/bus/subscription.ts";
import type { ControlEvent, Gap } from "../../lib/event.ts";
import type { Message, TopicInfo } from "../../lib/message.ts";
import { matchesItem } from "../matches_item.ts";
import { parseSince, type Since } from "../../lib/wire/since.ts";
import { assert, assertEquals } from "../deps.ts";

/** A message that was shown. */
interface Shown {
  readonly id: number;
  readonly createdMs: number;
  lost?: DropReason;
}

/** One life of a topic. */
interface Life {
  readonly name: string;
  readonly epoch: string;
  readonly messages: Shown[];
  ended?: "deleted" | "forgotten";
}

/** Remembers every message of every topic that a bus ever had, and what became of it. */
export class Witness implements Observer {
  readonly lives: Map<string, Life> = new Map();
  readonly #deleted = new Set<string>();

  published(message: Message): void {
    const { name, epoch } = message.topic;
    const { messages } = this.#meet(name, epoch);
    assertEquals(message.id, messages.length);
    messages.push({ id: message.id, createdMs: message.createdMs });
  }

  dropped({ epoch }: TopicInfo, id: number, reason: DropReason): void {
    this.lives.get(epoch)!.messages[id]!.lost = reason;
  }

  /** When the newest message of a topic was created that is gone; `-Infinity` if there was none. */
  goneMs(name: string): number {
    const gone = [...this.lives.values()].filter((life) => life.name === name && life.ended !== undefined);
    return Math.max(...gone.map(({ messages }) => messages.at(-1)?.createdMs ?? -Infinity));
  }

  /** Notes that somebody has deleted a topic. */
  noteDeleted(name: string): void {
    this.#deleted.add(name);
  }

  /** Looks which topics there are and which are gone; returns the lives of those. */
  look(bus: MessageBus): Life[] {
    const topics = new Map(bus.topics().map(({ name, cursor }) => [cursor.split("@")[1]!, name]));
    for (const [epoch, name] of topics) this.#meet(name, epoch);
    const gone = [...this.lives.values()].filter(({ epoch, ended }) => ended === undefined && !topics.has(epoch));
    for (const life of gone) life.ended = this.#deleted.delete(life.name) ? "deleted" : "forgotten";
    return gone;
  }

  #meet(name: string, epoch: string): Life {
    let life = this.lives.get(epoch);
    if (life === undefined) this.lives.set(epoch, life = { name, epoch, messages: [] });
    return life;
  }
}

/** Whether a message of a life was given, or told to be missing. */
type Covers = (epoch: string, id: number) => boolean;

/** Something that a reader got, and the position after it. */
interface Item {
  readonly cursor: string;
  readonly covers: Covers;
}

/** A gap that a reader must be told at once. */
interface Missing {
  readonly gap: Gap;
  readonly covers: Covers;
}

/** What a reader expects of the connection that it has. */
interface Connection {
  readonly subscription: Subscription;
  readonly since: Since;
  /** The next id of each life of a topic; 0 of one that begins later. */
  readonly next: Map<string, number>;
  /** The gaps that it must be told before anything else, in any order. */
  readonly missing: Missing[];
  /** The lives that were over when it began. */
  readonly gone: ReadonlySet<string>;
  /** The messages that were retained when it began and that it wants. */
  readonly replay: Set<string>;
  readonly deleted: Life[];
  /** What it was told while it took messages. */
  readonly events: ControlEvent[];
  caughtUp: boolean;
  createdMs: number;
  /** What it got on this connection. */
  readonly items: Item[];
  ended?: EndReason;
}

/** A reader that comes again where it left, and judges what it gets. */
export class Reader {
  readonly pattern: string;
  readonly #bus: MessageBus;
  readonly #witness: Witness;
  /** Whether messages become visible in the order of their creation. */
  readonly #inOrder: boolean;
  /** Whether something may have to be loaded before it can be read. */
  readonly #isLoading: () => boolean;
  readonly #isMatch: (name: string) => boolean;
  /** Everything that it has kept of earlier connections. */
  readonly #kept: Item[] = [];
  /** What it never wanted, or can't be told of: ids before these, by the life of a topic. */
  readonly #excused = new Map<string, number>();
  #cursor: string;
  readonly #since: string;
  #connection: Connection | undefined;

  /** Makes one that begins at `since`. */
  constructor(
    bus: MessageBus,
    witness: Witness,
    pattern: string,
    since: string,
    { inOrder, isLoading }: { inOrder: boolean; isLoading: () => boolean },
  ) {
    this.#bus = bus;
    this.#witness = witness;
    this.pattern = pattern;
    this.#cursor = this.#since = since;
    this.#inOrder = inOrder;
    this.#isLoading = isLoading;
    this.#isMatch = (name) => pattern.split(",").some((item) => matchesItem(item, name));
  }

  /** Whether it is connected. */
  get connected(): boolean {
    return this.#connection !== undefined && this.#connection.ended === undefined;
  }

  /** Connects at its cursor, at the time `nowMs`. */
  connect(nowMs: number): void {
    if (this.#connection !== undefined) this.leave(Infinity);
    const since = parseSince(this.#cursor, nowMs);
    assert(since !== undefined, `${this.#cursor} is no position`);
    const subscription = this.#bus.subscribe(this.pattern, {
      since,
      onEvent: (event) => connection.events.push(event),
      onEnd: (_, reason) => connection.ended = reason,
    });
    // Subscribing has dropped what had expired.
    this.lookAround(this.#witness.look(this.#bus));
    const gone = this.#lives().filter(({ ended }) => ended !== undefined);
    const connection: Connection = {
      subscription,
      since,
      gone: new Set(gone.map(({ epoch }) => epoch)),
      next: new Map(),
      missing: [],
      replay: new Set(),
      deleted: [],
      events: [],
      caughtUp: false,
      createdMs: -Infinity,
      items: [],
    };
    this.#connection = connection;
    for (const { epoch, messages } of gone) connection.next.set(epoch, messages.length);
    const lives = this.#lives().filter(({ ended }) => ended === undefined);
    for (const life of lives) this.#begin(connection, life, since);
    const isTime = typeof since === "object" && "createdMs" in since;
    // Without an epoch the position is one of whatever topic there is.
    const isNew = typeof since === "object" && "next" in since && since.next === 0 && since.epoch === undefined;
    if (isTime && subscription.several) this.#missGone(connection, since.createdMs);
    else if (lives.length === 0 && typeof since === "object") {
      const isMissed = isTime ? this.#witness.goneMs(this.pattern) >= since.createdMs : "next" in since && !isNew;
      if (isMissed) connection.missing.push(this.#reset(connection, this.pattern, undefined));
    }
    // One that never got a cursor begins afresh.
    const isFirst = this.#cursor === this.#since;
    if (isFirst || isNew) { for (const { epoch } of gone) this.#excused.set(epoch, Infinity); }
    if (isFirst) { for (const { epoch } of lives) this.#excused.set(epoch, connection.next.get(epoch)!); }
    else if (isTime) this.#assertCovered(since.createdMs);
  }

  /** Of several topics it must be told which are gone that had messages which it may not have seen. */
  #missGone(connection: Connection, createdMs: number): void {
    const names = new Set([...connection.gone].map((epoch) => this.#witness.lives.get(epoch)!.name));
    for (const name of names) {
      if (this.#witness.goneMs(name) >= createdMs) connection.missing.push(this.#reset(connection, name, undefined));
    }
  }

  /** A gap that stands for everything of this name that was over when it began, and what the topic has lost since. */
  #reset({ gone }: Connection, topic: string, life: Life | undefined): Missing {
    const first = life === undefined ? 0 : firstOf(life);
    return {
      gap: { topic, from: null, to: first === 0 ? null : first - 1, reason: "reset" },
      covers: (epoch, id) => {
        if (epoch === life?.epoch) return id < first;
        return gone.has(epoch) && this.#witness.lives.get(epoch)!.name === topic;
      },
    };
  }

  /** Notes which lives of topics have ended. */
  lookAround(gone: readonly Life[]): void {
    if (!this.connected || !this.#connection!.subscription.several) return;
    for (const life of gone) {
      if (life.ended === "deleted" && this.#isMatch(life.name)) this.#connection!.deleted.push(life);
    }
  }

  /** Reads once; returns whether there was anything. */
  read(limits: { maxBytes?: number; maxMessages?: number }): boolean {
    if (this.#connection === undefined) return false;
    const { subscription } = this.#connection;
    const delivery = subscription.read(limits);
    if (delivery === "full") return false;
    if (delivery === undefined) this.#judgeEnd();
    else this.#judge(delivery);
    return delivery !== undefined;
  }

  /** Takes so many messages. */
  take(count: number): void {
    for (let i = 0; i < count && this.#connection !== undefined; i++) {
      const { subscription } = this.#connection;
      const message = subscription.take();
      this.#judgeEvents();
      if (message === undefined) return this.#judgeEnd();
      this.#judgeMessage(message);
    }
  }

  /** Iterates over so many messages, as far as there are as many. */
  async iterate(count: number): Promise<void> {
    for (let i = 0; i < count && this.#connection !== undefined; i++) {
      const { subscription } = this.#connection;
      if (subscription.lag === 0) return;
      const { value } = await subscription[Symbol.asyncIterator]().next();
      this.#judgeEvents();
      this.#judgeMessage(value as Message);
    }
  }

  /** Disconnects after getting so many of the things that were sent, all if none of them is lost on the way. */
  leave(got: number): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    const { subscription, items, missing, since } = connection;
    if (missing.length > 0) {
      const from = parseSince(subscription.cursor, 0);
      // Of a time that people write, it may be before that.
      if (typeof since !== "object" || !("fromMs" in since)) assertEquals(from, since, "past what it was not told");
      else assert((from as { createdMs: number }).createdMs <= since.fromMs, "past what it was not told");
    }
    const isWhole = got >= items.length;
    const kept = items.slice(0, got);
    this.#kept.push(...kept);
    this.#cursor = isWhole ? subscription.cursor : kept.at(-1)?.cursor ?? this.#cursor;
    subscription.close();
    assert(!isWhole || subscription.cursor === this.#cursor, "its cursor changed when it ended");
    this.#connection = undefined;
  }

  /** Reads all there is, has `load` load what needs it, and has then seen or been told of everything. */
  async finish(nowMs: number, load: () => Promise<void>): Promise<void> {
    if (!this.connected) this.connect(nowMs);
    while (this.read({}) || this.#isLoading()) if (this.#isLoading()) await load();
    this.leave(Infinity);
    this.#assertCovered(Infinity);
  }

  #lives(): Life[] {
    return [...this.#witness.lives.values()].filter(({ name }) => this.#isMatch(name));
  }

  #begin(connection: Connection, life: Life, since: Since): void {
    const { next, missing, replay, subscription } = connection;
    const { name, epoch, messages } = life;
    const first = firstOf(life);
    const reset = this.#reset(connection, name, life);
    let wanted = first;
    if (since === "latest") wanted = messages.length;
    else if (since !== "earliest" && "last" in since) wanted = firstOfLast(life, since.last);
    else if (since !== "earliest" && "next" in since) {
      if ((since.epoch ?? epoch) !== epoch || since.next > messages.length) missing.push(reset);
      else wanted = since.next;
    } else if (since !== "earliest") {
      const ms = "fromMs" in since ? since.fromMs : since.createdMs;
      wanted = messages.find(({ createdMs, lost }) => lost === undefined && createdMs >= ms)?.id ?? messages.length;
      const lost = messages.slice(0, wanted).filter(({ createdMs }) => createdMs >= ms);
      if ("createdMs" in since && !subscription.several && this.#witness.goneMs(name) >= ms) missing.push(reset);
      else if (lost.length > 0) {
        const gap: Gap = { topic: name, from: null, to: wanted - 1, reason: reasonOf(lost) };
        missing.push({ gap, covers: (of, id) => of === epoch && lost.some((message) => message.id === id) });
      }
    }
    next.set(epoch, wanted);
    for (const { id, lost } of messages) if (id >= wanted && lost === undefined) replay.add(`${epoch} ${id}`);
  }

  #judge(delivery: Delivery): void {
    if (delivery.event !== "messages") return this.#judgeEvent(delivery);
    for (const message of delivery.messages) this.#judgeMessage(message);
  }

  #judgeMessage(message: Message): void {
    const { subscription, next, missing, items, replay } = this.#connection!;
    const { topic: { name, epoch }, id, createdMs } = message;
    assert(this.#isMatch(name), `${name} is not in ${this.pattern}`);
    assertEquals(missing, [], "not told");
    assertEquals(
      `${name} ${id}`,
      `${name} ${next.get(epoch) ?? 0}`,
      "a message in another order, twice, or after a hole",
    );
    assert(!this.#inOrder || createdMs >= this.#connection!.createdMs, "older than the message before it");
    this.#connection!.createdMs = createdMs;
    next.set(epoch, id + 1);
    replay.delete(`${epoch} ${id}`);
    items.push({ cursor: subscription.cursorOf(message), covers: (of, each) => of === epoch && each === id });
  }

  #judgeEvents(): void {
    for (const event of this.#connection!.events.splice(0)) this.#judgeEvent(event);
  }

  #judgeEvent(event: ControlEvent): void {
    if (event.event === "gap") return this.#judgeGap(event);
    const { missing, deleted, items } = this.#connection!;
    assertEquals(missing, [], "not told");
    if (event.event === "deleted") {
      const life = deleted.shift();
      assertEquals(event.topic, life?.name);
      items.push({ cursor: event.cursor, covers: (of) => of === life!.epoch });
    }
    if (event.event === "caught-up") this.#judgeCaughtUp();
  }

  #judgeGap({ event: _, cursor, ...gap }: { event: "gap"; cursor: string } & Gap): void {
    const { next, missing, items } = this.#connection!;
    if (missing.length > 0) {
      const at = Math.max(0, missing.findIndex((missing) => JSON.stringify(missing.gap) === JSON.stringify(gap)));
      const [{ gap: expected, covers }] = missing.splice(at, 1) as [Missing];
      assertEquals(gap, expected);
      items.push({ cursor, covers });
      return;
    }
    const { topic, from, to, reason } = gap;
    if (reason === "reset") return this.#judgeReset(cursor, gap);
    const life = this.#lives().find((life) => {
      return life.name === topic && life.ended !== "deleted" && (next.get(life.epoch) ?? 0) === from &&
        nextRetained(life, from) > from;
    });
    assert(life !== undefined, `nothing is missing in ${topic} from ${from} on`);
    assertEquals({ to, reason }, {
      to: nextRetained(life, from!) - 1,
      reason: reasonOf(life.messages.slice(from!, to! + 1)),
    });
    next.set(life.epoch, to! + 1);
    items.push({ cursor, covers: (of, id) => of === life.epoch && from! <= id && id <= to! });
  }

  /** Its topic was forgotten and made again, while it was connected and had not read all. */
  #judgeReset(cursor: string, gap: Gap): void {
    const { subscription, next, items } = this.#connection!;
    const life = this.#lives().find(({ epoch, messages, ended }) => {
      return ended === "forgotten" && next.has(epoch) && next.get(epoch) !== messages.length;
    });
    assert(life !== undefined && !subscription.several, "reset without a reason");
    assertEquals(gap, { topic: life.name, from: null, to: null, reason: "reset" });
    next.set(life.epoch, life.messages.length);
    items.push({ cursor, covers: (of) => of === life.epoch });
  }

  #judgeCaughtUp(): void {
    const { caughtUp, replay } = this.#connection!;
    assert(!caughtUp, "caught up twice");
    this.#connection!.caughtUp = true;
    const retained = [...replay].filter((key) => {
      const [epoch, id] = key.split(" ");
      const { messages, ended } = this.#witness.lives.get(epoch!)!;
      return ended !== "deleted" && messages[Number(id)]!.lost === undefined;
    });
    assertEquals(retained, [], "not caught up");
  }

  /** Nothing is left to read: everything was given or told. */
  #judgeEnd(): void {
    const { ended, missing, deleted, caughtUp, next } = this.#connection!;
    if (ended !== undefined || this.#isLoading()) return;
    const lives = this.#lives().filter((life) => life.ended !== "deleted");
    const left = lives.filter(({ epoch, messages }) => (next.get(epoch) ?? 0) !== messages.length);
    assertEquals({ missing, deleted, caughtUp, left }, { missing: [], deleted: [], caughtUp: true, left: [] });
  }

  /** Everything that was created before a time, it has got, or been told that it is missing. */
  #assertCovered(createdMs: number): void {
    for (const { name, epoch, messages } of this.#lives()) {
      const wanted = messages.slice(this.#excused.get(epoch) ?? 0).filter((message) => message.createdMs < createdMs);
      const silent = wanted.filter(({ id }) => !this.#kept.some(({ covers }) => covers(epoch, id)));
      assertEquals(silent.map(({ id }) => `${name} ${id}`), [], `skipped in silence by ${this.#cursor}`);
    }
  }
}

function nextRetained({ messages }: Life, from: number): number {
  return messages.find(({ id, lost }) => id >= from && lost === undefined)?.id ?? messages.length;
}

function firstOf(life: Life): number {
  return nextRetained(life, 0);
}

function firstOfLast({ messages }: Life, count: number): number {
  const retained = messages.filter(({ lost }) => lost === undefined);
  return retained.slice(Math.max(retained.length - count, 0))[0]?.id ?? messages.length;
}

function reasonOf(lost: readonly Shown[]): "dropped" | "expired" {
  return lost.some(({ lost }) => lost === "limit") ? "dropped" : "expired";
}
