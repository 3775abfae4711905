/**
 * What groups promise, judged by nothing but what was asked of a bus and what it answered: however wrong the model is,
 * these hold.
 *
 * @module
 */

import type { GroupStats, NackOptions, Settlement } from "../../lib/bus/answers.ts";
import type { Message, TopicInfo } from "../../lib/message.ts";
import { assert, assertEquals } from "../deps.ts";

/** One time that a group handed a message out. */
interface Handout {
  readonly message: Message;
  readonly attempt: number;
  readonly token: string | undefined;
  readonly leaseMs: number;
  /** When its lease ends. */
  endMs: number;
  /** Whether it was handed back. */
  isBack: boolean;
}

/** What a group did while it lived. */
interface Life {
  readonly topic: string;
  readonly epoch: string;
  readonly group: string;
  /** The first message that it must account for. */
  readonly fromId: number;
  /** How often each message was handed out, the last time last. */
  readonly handouts: Map<number, Handout[]>;
  /** How many attempts of a message did not count. */
  readonly uncounted: Map<number, number>;
  /** What it is done with, and how. */
  readonly done: Map<number, "acked" | "taken" | "dead">;
  cursor: number;
}

/** Remembers everything that groups of a bus did. */
export class GroupHistory {
  readonly #maxAttempts: number;
  readonly #maxLeased: number;
  /** Every message published, by topic and epoch, and then by its id. */
  readonly #logs = new Map<string, { readonly message: Message; isGone: boolean }[]>();
  readonly #lives = new Map<string, Life>();
  readonly #tokens = new Map<string, { readonly life: Life; readonly handout: Handout }>();
  /** The groups that the last look has shown. */
  #shown = new Set<string>();

  /** Begins with an empty bus. */
  constructor({ maxAttempts, maxLeased }: { readonly maxAttempts: number; readonly maxLeased: number }) {
    this.#maxAttempts = maxAttempts;
    this.#maxLeased = maxLeased;
  }

  /** Notes that a message was published. */
  published(message: Message): void {
    const { topic, id, headers } = message;
    const log = this.#logOf(topic.name, topic.epoch);
    assertEquals(id, log.length, `the id of a message of ${topic.name}`);
    log.push({ message, isGone: false });
    if (topic.name.endsWith("/-dead")) this.#buried(headers);
  }

  /** Notes which messages a topic retains. */
  retained({ name, epoch }: Pick<TopicInfo, "name" | "epoch">, ids: ReadonlySet<number>): void {
    for (const entry of this.#logOf(name, epoch)) {
      assert(!entry.isGone || !ids.has(entry.message.id), `${entry.message.id} of ${name} was gone and is back`);
      entry.isGone = !ids.has(entry.message.id);
    }
  }

  /** Notes what a pull gave. */
  pulled(topic: string, group: string, leaseMs: number | undefined, messages: readonly Message[], nowMs: number): void {
    for (const message of messages) {
      const { id, lease, attempt = 1, key } = message;
      const life = this.#lifeOf(topic, message.topic.epoch, group, id);
      const what = `${id} of ${topic} in "${group}"`;
      const earlier = life.handouts.get(id) ?? [];
      const last = earlier.at(-1);
      assert(!this.#isGone(message, nowMs), `${what} is no longer retained`);
      // No acknowledged message comes back.
      assert(!life.done.has(id), `${what} was ${life.done.get(id)} and came back`);
      // A message has one lease at a time.
      assert(last === undefined || last.isBack || last.endMs <= nowMs, `${what} is leased`);
      const counted = earlier.length - (life.uncounted.get(id) ?? 0);
      assertEquals(attempt, counted + 1, `the attempt of ${what}`);
      if (this.#hasMax(topic)) assert(attempt <= this.#maxAttempts, `attempt ${attempt} of ${what}`);
      // A key is held from the first lease on, until its message is done.
      if (key !== undefined) assertEquals(this.#holdersOf(life, message, nowMs), [], `${what} was handed out beside`);
      assertEquals(lease !== undefined, leaseMs !== undefined, `the lease of ${what}`);
      const handout: Handout = {
        message,
        attempt,
        token: lease,
        leaseMs: leaseMs ?? 0,
        endMs: nowMs + (leaseMs ?? 0),
        isBack: false,
      };
      life.handouts.set(id, [...earlier, handout]);
      if (lease === undefined) life.done.set(id, "taken");
      else {
        assert(!this.#tokens.has(lease), `the token of ${what} is not new`);
        this.#tokens.set(lease, { life, handout });
      }
    }
  }

  /** Notes what became of tokens that were acknowledged. */
  acked(tokens: readonly string[], settlement: Settlement, nowMs: number): void {
    this.#settled(tokens, settlement, nowMs, (life, { message }) => {
      life.done.set(message.id, "acked");
    });
  }

  /** Notes what became of tokens that were handed back. */
  nacked(tokens: readonly string[], settlement: Settlement, { count = true }: NackOptions, nowMs: number): void {
    this.#settled(tokens, settlement, nowMs, (life, handout) => {
      handout.isBack = true;
      const { id } = handout.message;
      if (!count) life.uncounted.set(id, (life.uncounted.get(id) ?? 0) + 1);
    });
  }

  /** Notes what became of tokens whose leases were extended. */
  extended(tokens: readonly string[], settlement: Settlement, leaseMs: number | undefined, nowMs: number): void {
    this.#settled(tokens, settlement, nowMs, (_, handout) => {
      handout.endMs = nowMs + (leaseMs ?? handout.leaseMs);
    });
  }

  /** Notes what the bus says of its groups, of all of them; groups that it no longer has have ended. */
  looked(groups: readonly GroupStats[], nowMs: number): void {
    const shown = new Set<string>();
    for (const stats of groups) {
      const { topic, group, cursor, leased, waiting, blocked } = stats;
      const [next, epoch] = cursor.split("@");
      const key = keyOf(topic, epoch!, group);
      shown.add(key);
      const life = this.#lifeOf(topic, epoch!, group, Number(next));
      assert(life.cursor <= Number(next), `the cursor of ${key} went back`);
      life.cursor = Number(next);
      // The cursor passes nothing that is not done.
      const passed = this.#openOf(life, nowMs).filter((id) => id < life.cursor);
      assertEquals(passed, [], `the cursor ${next} of ${key} has passed what is not done`);
      assert(leased + waiting + blocked <= this.#maxLeased, `${key} has more than it may`);
      const dead = [...life.done.values()].filter((how) => how === "dead").length;
      assertEquals(stats.dead, dead, `what ${key} has buried`);
      assertEquals(stats.acked, life.done.size - dead, `what was acknowledged in ${key}`);
    }
    for (const key of this.#shown) if (!shown.has(key)) this.#lives.delete(key);
    this.#shown = shown;
  }

  /** Notes that all leases have ended, and no token is good any more. */
  restarted(): void {
    for (const { handouts } of this.#lives.values()) {
      for (const handout of [...handouts.values()].flat()) handout.isBack = true;
    }
  }

  /** Notes that a group has ended. */
  ended(topic: string, group?: string): void {
    for (const [key, life] of this.#lives) {
      if (life.topic === topic && (group ?? life.group) === life.group) this.#lives.delete(key);
    }
  }

  /** Judges the groups after they were pulled until nothing was left: every message was done, or lost by retention. */
  drained(nowMs: number): void {
    for (const [key, life] of this.#lives) assertEquals(this.#openOf(life, nowMs), [], `left over in ${key}`);
  }

  #lifeOf(topic: string, epoch: string, group: string, fromId: number): Life {
    const key = keyOf(topic, epoch, group);
    let life = this.#lives.get(key);
    if (life === undefined) {
      life = {
        topic,
        epoch,
        group,
        fromId,
        handouts: new Map(),
        uncounted: new Map(),
        done: new Map(),
        cursor: fromId,
      };
      this.#lives.set(key, life);
    }
    return life;
  }

  /** What a group has neither done nor lost. */
  #openOf({ topic, epoch, fromId, done }: Life, nowMs: number): number[] {
    const log = this.#logOf(topic, epoch).slice(fromId);
    const open = log.filter(({ message, isGone }) => !isGone && message.expiresMs > nowMs && !done.has(message.id));
    return open.map(({ message }) => message.id);
  }

  /** The messages that hold the key of a message. */
  #holdersOf(life: Life, { id, key }: Message, nowMs: number): number[] {
    return [...life.handouts.values()].map((handouts) => handouts.at(-1)!.message).filter((other) => {
      return other.id !== id && other.key === key && !life.done.has(other.id) && !this.#isGone(other, nowMs);
    }).map(({ id }) => id);
  }

  #isGone({ topic, id, expiresMs }: Message, nowMs: number): boolean {
    return expiresMs <= nowMs || this.#logOf(topic.name, topic.epoch)[id]?.isGone === true;
  }

  #logOf(topic: string, epoch: string) {
    const key = `${topic} ${epoch}`;
    let log = this.#logs.get(key);
    if (log === undefined) this.#logs.set(key, log = []);
    return log;
  }

  #hasMax(topic: string): boolean {
    return this.#maxAttempts > 0 && !topic.endsWith("/-dead") && topic.split("/").length < 16;
  }

  #settled(
    tokens: readonly string[],
    { done, unknown }: Settlement,
    nowMs: number,
    note: (life: Life, handout: Handout) => void,
  ): void {
    assertEquals([...done, ...unknown].sort(), [...new Set(tokens)].sort(), "tokens without an answer");
    for (const token of done) {
      const { life, handout } = this.#tokens.get(token)!;
      const what = `${handout.message.id} of ${life.topic} in "${life.group}"`;
      const isAlive = this.#lives.get(keyOf(life.topic, life.epoch, life.group)) === life;
      assert(isAlive, `the token of ${what} outlived its group`);
      // Fenced: an older lease of a message that was handed out again counts for nothing.
      assert(life.handouts.get(handout.message.id)!.at(-1) === handout, `an old token of ${what} was good`);
      assert(!handout.isBack && !life.done.has(handout.message.id), `a token of ${what} that was settled was good`);
      const isLost = this.#isGone(handout.message, nowMs) && handout.endMs <= nowMs;
      assert(!isLost, `a token of ${what}, which is lost, was good`);
      note(life, handout);
    }
    for (const token of unknown) {
      const known = this.#tokens.get(token);
      if (known === undefined) continue;
      const { life, handout } = known;
      const { message } = handout;
      const isLast = life.handouts.get(message.id)!.at(-1) === handout;
      const isAlive = this.#lives.get(keyOf(life.topic, life.epoch, life.group)) === life;
      const isOpen = isLast && isAlive && !handout.isBack && !life.done.has(message.id);
      const isSpent = this.#hasMax(life.topic) && handout.attempt >= this.#maxAttempts && handout.endMs <= nowMs;
      const isLost = isSpent || this.#isGone(message, nowMs);
      assert(!isOpen || isLost, `the token of ${message.id} of ${life.topic} in "${life.group}" was lost`);
    }
  }

  /** A dead letter has appeared. */
  #buried(headers: Readonly<Record<string, string>>): void {
    const [topic, epoch, group, id, attempts] = ["topic", "epoch", "group", "id", "attempts"].map((name) => {
      return headers[`msgbus-dead-${name}`]!;
    }) as [string, string, string, string, string];
    const what = `${id} of ${topic} in "${group}"`;
    const life = this.#lives.get(keyOf(topic, epoch, group));
    assert(life !== undefined, `${what} was buried by nobody`);
    assert(!life.done.has(Number(id)), `${what} was ${life.done.get(Number(id))} and then buried`);
    assert(this.#hasMax(topic), `${what} was buried`);
    const handout = life.handouts.get(Number(id))!.at(-1)!;
    assertEquals(Number(attempts), handout.attempt, `the attempts of ${what}`);
    assert(handout.attempt >= this.#maxAttempts, `${what} was buried too early`);
    life.done.set(Number(id), "dead");
  }
}

function keyOf(topic: string, epoch: string, group: string): string {
  return `${topic} ${epoch} ${group}`;
}
