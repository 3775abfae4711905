/**
 * A small bus in simulated time that can be killed, and that has a switch for each of the mistakes that the checker is to
 * find. What it keeps is there twice: as it is, and as the disk has it.
 *
 * @module
 */

import type { Verdict } from "./violation.ts";

/** The mistakes, each with the verdict that is to find it. */
export const BUGS = {
  "drops each 1000th acknowledged message": "V1",
  "acknowledges before the commit": "V1",
  "loses the tail at a checkpoint": "V1",
  "expires a message that is to be kept": "V1",
  "knows repeats by their key, whatever the topic": "V1",
  "alters a payload": "V2",
  "makes up a message": "V2",
  "gives an id again after a restart": "V3",
  "shows a message before the commit": "V3",
  "forgets everything, and keeps its epochs": "V3",
  "takes an id for a refused publish": "V3",
  "swaps two publishes": "V4",
  "swaps two publishes of one client": "V5",
  "does not announce a gap": "V6",
  "announces a gap where there is none": "V6",
  "skips a message when a subscriber resumes": "V6",
  "delivers out of order": "V6",
  "forgets at a restart which publishes it knows": "V7",
  "gives a plain pull what another one got": "V8",
  "leases a leased message": "V9",
  "leases a message while its key is leased": "V9",
  "does not hand out again": "V10",
  "does not count attempts": "V10",
  "forgets at a restart how often it handed out": "V10",
  "passes over what nobody got at a restart": "V10",
  "forgets an ack at a restart": "V11",
  "accepts the ack of a lease that was given to another": "V11",
  "says synced without an fsync": "V12",
  "does not deliver after a restart": "V13",
} as const satisfies Record<string, Verdict>;

/** One of them. */
export type Bug = keyof typeof BUGS;

/** What a simulated bus needs of its world. */
export interface World {
  /** Milliseconds. */
  readonly now: number;
  readonly random: () => number;
  /** Does something later. */
  after(ms: number, task: () => void): void;
  /** Notes that the disk was synced. */
  synced(t0: number, t1: number): void;
}

/** How to make a {@linkcode SimulatedBus}. */
export interface SimulatedOptions {
  readonly durable: boolean;
  readonly topics: readonly string[];
  /** How many messages of a topic are kept; `0` means all. */
  readonly maxMessages: number;
  readonly dedupeWindowMs: number;
  readonly bug?: Bug | undefined;
}

/** A message of the simulation. */
export interface SimulatedMessage {
  readonly id: number;
  readonly sha: string;
  readonly key?: string | undefined;
}

/** A message that was handed out, or, with attempt 0, passed over. */
interface Item {
  readonly message: SimulatedMessage;
  attempt: number;
  token?: string | undefined;
  untilMs: number;
}

interface GroupState {
  next: number;
  readonly items: Map<number, Item>;
}

interface TopicState {
  readonly epoch: string;
  next: number;
  readonly messages: Map<number, SimulatedMessage>;
  readonly known: Map<string, { readonly id: number; readonly epoch: string; readonly untilMs: number }>;
  readonly groups: Map<string, GroupState>;
}

type State = Map<string, TopicState>;

/** What is published. */
export interface SimulatedPublish {
  readonly client: string;
  readonly topic: string;
  readonly sha: string;
  readonly key?: string | undefined;
  readonly idempotencyKey?: string | undefined;
}

/** The answer to a publish. */
export type SimulatedReceipt =
  | { readonly refused: true }
  | { readonly refused: false; readonly id: number; readonly epoch: string; readonly duplicate: boolean };

/** A message that was taken or leased. */
export interface Taken extends SimulatedMessage {
  readonly epoch: string;
  readonly token?: string | undefined;
  readonly attempt?: number;
}

/** Messages that were looked at. */
export interface SimulatedPage {
  readonly epoch: string;
  readonly gap?: { readonly from?: number; readonly to?: number; readonly reason: string };
  readonly messages: readonly SimulatedMessage[];
  readonly next: number;
}

/** See the module. */
export class SimulatedBus {
  readonly #world: World;
  readonly #options: SimulatedOptions;
  #live: State;
  #disk: State;
  #batch: { change: (state: State) => void; done: () => void }[] = [];
  #committing = false;
  #life = 0;
  #tokens = new Map<string, { topic: string; group: string; id: number }>();
  #lastEpoch = 0;
  #count = 0;
  /** Items whose ack the disk doesn't have. */
  #forgotten: { topic: string; group: string; item: Item }[] = [];
  #spare: { client: string; topic: string; id: number } | undefined;

  constructor(world: World, options: SimulatedOptions) {
    this.#world = world;
    this.#options = options;
    this.#live = this.#fresh();
    this.#disk = clone(this.#live);
  }

  #has(bug: Bug): boolean {
    return this.#options.bug === bug;
  }

  /** Whether a mistake is made now: each `n`th time. */
  #strikes(bug: Bug, n: number): boolean {
    return this.#has(bug) && ++this.#count % n === 0;
  }

  #fresh(): State {
    const epoch = () => (this.#lastEpoch = Math.max(Math.floor(this.#world.now), this.#lastEpoch + 1)).toString(36);
    return new Map(this.#options.topics.map((topic) => [topic, {
      epoch: epoch(),
      next: 0,
      messages: new Map(),
      known: new Map(),
      groups: new Map(),
    }]));
  }

  /** It is killed: what is not on the disk is gone, and nobody is answered. */
  kill(): void {
    this.#life++;
    this.#batch = [];
    this.#committing = false;
    this.#tokens.clear();
    this.#spare = undefined;
  }

  /** It starts again. */
  start(): void {
    if (!this.#options.durable) {
      const before = this.#live;
      this.#live = this.#fresh();
      if (this.#has("forgets everything, and keeps its epochs")) {
        this.#live = new Map(
          [...this.#live].map(([name, topic]) => [name, { ...topic, epoch: before.get(name)!.epoch }]),
        );
      }
      return;
    }
    for (const topic of this.#disk.values()) this.#damage(topic);
    for (const { topic, group, item } of this.#forgotten.splice(0)) {
      groupOf(this.#disk.get(topic)!, group).items.set(item.message.id, item);
    }
    this.#live = clone(this.#disk);
  }

  #damage(topic: TopicState): void {
    const last = topic.next - 1;
    if (this.#has("loses the tail at a checkpoint") && last > 3) {
      for (const id of [last, last - 1, last - 2]) topic.messages.delete(id);
      topic.next -= 3;
    }
    if (this.#has("gives an id again after a restart") && last > 0) topic.next--;
    if (this.#has("forgets at a restart which publishes it knows")) topic.known.clear();
    if (this.#has("expires a message that is to be kept")) topic.messages.delete(last - 5);
    for (const group of topic.groups.values()) {
      if (this.#has("passes over what nobody got at a restart")) group.next = topic.next;
      for (const item of group.items.values()) {
        if (this.#has("forgets at a restart how often it handed out")) item.attempt = Math.min(item.attempt, 1) - 1;
      }
    }
  }

  /** Publishes. */
  publish(publish: SimulatedPublish, answer: (receipt: SimulatedReceipt) => void): void {
    const topic = this.#live.get(publish.topic)!;
    if (this.#world.random() < 0.01) {
      if (this.#has("takes an id for a refused publish")) {
        this.#change((state) => void state.get(publish.topic)!.next++);
      }
      return answer({ refused: true });
    }
    const known = this.#known(publish);
    if (known !== undefined) return answer({ refused: false, ...known, duplicate: true });
    const id = this.#spareId(publish);
    const drops = this.#strikes("drops each 1000th acknowledged message", 1000);
    const append = (state: State) => {
      const given = this.#append(state, publish, id);
      if (drops) state.get(publish.topic)!.messages.delete(given);
      return given;
    };
    const receipt = () => ({ refused: false, id: given!, epoch: topic.epoch, duplicate: false }) as const;
    let given: number | undefined;
    const early = this.#has("acknowledges before the commit");
    if (early || this.#has("shows a message before the commit")) {
      given = append(this.#live);
      if (early) answer(receipt());
      this.#commit(append, () => early || answer(receipt()));
    } else {
      this.#commit(append, () => {
        given = append(this.#live);
        answer(receipt());
      });
    }
  }

  #known({ topic, idempotencyKey }: SimulatedPublish): { id: number; epoch: string } | undefined {
    if (idempotencyKey === undefined) return undefined;
    const all = this.#has("knows repeats by their key, whatever the topic");
    for (const { known } of all ? this.#live.values() : [this.#live.get(topic)!]) {
      const found = known.get(idempotencyKey);
      if (found !== undefined && found.untilMs > this.#world.now) return { id: found.id, epoch: found.epoch };
    }
    return undefined;
  }

  /** An id that an earlier publish should have had. */
  #spareId({ client, topic }: SimulatedPublish): number | undefined {
    const ofClient = this.#has("swaps two publishes of one client");
    if (!ofClient && !this.#has("swaps two publishes")) return undefined;
    const spare = this.#spare;
    const isDue = spare?.topic === topic && this.#live.get(topic)!.next > spare.id + 10;
    if (isDue && (ofClient ? spare.client === client : spare.client !== client)) {
      this.#spare = undefined;
      return spare.id;
    }
    if (spare !== undefined || this.#world.random() > 0.02) return undefined;
    this.#spare = { client, topic, id: this.#live.get(topic)!.next + this.#batch.length + 1 };
    return undefined;
  }

  #append(
    state: State,
    { topic: name, sha, key, idempotencyKey }: SimulatedPublish,
    spare: number | undefined,
  ): number {
    const topic = state.get(name)!;
    if (spare === undefined && this.#spare?.topic === name && this.#spare.id === topic.next) topic.next++;
    if (state === this.#live && this.#strikes("makes up a message", 500)) {
      topic.messages.set(topic.next, { id: topic.next++, sha: `phantom ${this.#count}` });
    }
    const id = spare ?? topic.next++;
    topic.messages.set(id, { id, sha, key });
    if (idempotencyKey !== undefined) {
      topic.known.set(idempotencyKey, {
        id,
        epoch: topic.epoch,
        untilMs: this.#world.now + this.#options.dedupeWindowMs,
      });
    }
    const { maxMessages } = this.#options;
    if (maxMessages > 0) {
      for (const old of topic.messages.keys()) {
        if (topic.next - old <= maxMessages) break;
        topic.messages.delete(old);
        for (const { items } of topic.groups.values()) items.delete(old);
      }
    }
    return id;
  }

  /** Takes a message, or leases it. */
  take(name: string, of: string, leaseMs: number | undefined, answer: (taken: Taken | undefined) => void): void {
    const topic = this.#live.get(name)!;
    const group = groupOf(topic, of);
    const item = this.#nextItem(topic, group);
    if (item === undefined) return this.#noteGroup(name, of, () => answer(undefined));
    const { message } = item;
    if (leaseMs === undefined) {
      if (this.#strikes("gives a plain pull what another one got", 30)) group.items.set(message.id, item);
      else group.items.delete(message.id);
      return this.#noteGroup(name, of, () => answer({ ...message, epoch: topic.epoch }));
    }
    if (item.attempt === 0 || !this.#has("does not count attempts")) item.attempt++;
    item.token = `${of}-${name}-${this.#world.random().toString(36).slice(2)}`;
    item.untilMs = this.#world.now + leaseMs;
    group.items.set(message.id, item);
    this.#tokens.set(item.token, { topic: name, group: of, id: message.id });
    const { token, attempt } = item;
    this.#noteGroup(name, of, () => answer({ ...message, epoch: topic.epoch, token, attempt }));
  }

  #nextItem(topic: TopicState, group: GroupState): Item | undefined {
    const now = this.#world.now;
    const ids = [...group.items.keys()].sort((a, b) => a - b);
    for (const id of ids) {
      const item = group.items.get(id)!;
      if (item.token !== undefined && item.untilMs > now && this.#strikes("leases a leased message", 100)) return item;
      if (item.untilMs > now || this.#isHeld(group, item.message)) continue;
      if (item.attempt > 0 && this.#strikes("does not hand out again", 20)) item.untilMs = Infinity;
      else return item;
    }
    while (group.next < topic.next) {
      const message = topic.messages.get(group.next++);
      if (message === undefined) continue;
      const item = { message, attempt: 0, untilMs: -Infinity };
      if (!this.#isHeld(group, message)) return item;
      group.items.set(message.id, item);
    }
    return undefined;
  }

  #isHeld(group: GroupState, { id, key }: SimulatedMessage): boolean {
    if (key === undefined || this.#has("leases a message while its key is leased")) return false;
    return group.items.values().some(({ message, attempt }) =>
      message.key === key && message.id !== id && (attempt > 0 || message.id < id)
    );
  }

  /** Acks, nacks or extends; answers whether it counts. */
  settle(
    token: string,
    { op, ms = 0, counted = true }: { op: "ack" | "nack" | "extend"; ms?: number; counted?: boolean },
    answer: (done: boolean) => void,
  ): void {
    const lease = this.#tokens.get(token);
    const group = lease && groupOf(this.#live.get(lease.topic)!, lease.group);
    const item = group?.items.get(lease!.id);
    if (lease === undefined || item === undefined || item.token !== token) {
      return answer(
        item !== undefined && op === "ack" && this.#has("accepts the ack of a lease that was given to another"),
      );
    }
    if (op === "extend") item.untilMs = this.#world.now + ms;
    else {
      this.#tokens.delete(token);
      if (op === "ack") group!.items.delete(lease.id);
      else {
        item.token = undefined;
        item.untilMs = this.#world.now + ms;
        if (!counted) item.attempt--;
      }
    }
    if (op === "ack" && this.#strikes("forgets an ack at a restart", 10)) this.#forgotten.push({ ...lease, item });
    this.#noteGroup(lease.topic, lease.group, () => answer(true));
  }

  /** Reads from a position; `undefined` means from the beginning. */
  read(
    name: string,
    { epoch, from, limit = 20, resumes = false, client }: {
      readonly epoch?: string | undefined;
      readonly from?: number | undefined;
      readonly limit?: number;
      readonly resumes?: boolean;
      readonly client: string;
    },
  ): SimulatedPage {
    const topic = this.#live.get(name)!;
    const first = topic.messages.keys().next().value ?? topic.next;
    if (epoch !== undefined && (epoch !== topic.epoch || from! > topic.next)) {
      return { ...this.#page(topic, first, limit), gap: { reason: "reset" } };
    }
    const stuck = this.#life > 0 && client.startsWith("subscriber") && this.#has("does not deliver after a restart");
    if (stuck) return { epoch: topic.epoch, messages: [], next: from ?? 0 };
    if (from === undefined) return this.#page(topic, first, limit);
    let start = from;
    if (resumes && from < topic.next && this.#has("skips a message when a subscriber resumes")) start++;
    if (from < topic.next - 3 && this.#strikes("announces a gap where there is none", 50)) {
      return { ...this.#page(topic, from + 2, limit), gap: { from, to: from + 1, reason: "dropped" } };
    }
    while (start < topic.next && !topic.messages.has(start)) start++;
    const page = this.#page(topic, start, limit);
    const announced = start > from && !this.#has("does not announce a gap") &&
      !this.#has("skips a message when a subscriber resumes");
    return announced ? { ...page, gap: { from, to: start - 1, reason: "dropped" } } : page;
  }

  #page(topic: TopicState, start: number, limit: number): SimulatedPage {
    const messages: SimulatedMessage[] = [];
    let next = start;
    for (; next < topic.next && messages.length < limit; next++) {
      const message = topic.messages.get(next);
      if (message === undefined) break; // a page ends before a hole
      const altered = this.#strikes("alters a payload", 500);
      messages.push(altered ? { ...message, sha: `${message.sha}?` } : message);
    }
    if (messages.length > 1 && this.#strikes("delivers out of order", 20)) messages.reverse();
    return { epoch: topic.epoch, messages, next };
  }

  /** Writes what has changed of a group: its position, and items that were touched. */
  #noteGroup(name: string, of: string, done: () => void): void {
    const { next, items } = groupOf(this.#live.get(name)!, of);
    const kept = [...items].map(([id, { message, attempt, untilMs }]) =>
      [id, { message, attempt, untilMs: ended(untilMs) }] as const
    );
    this.#commit((state) => state.get(name)!.groups.set(of, { next, items: new Map(kept) }), done);
  }

  /** Changes memory and disk, and tells nobody. */
  #change(change: (state: State) => void): void {
    this.#commit(change, () => change(this.#live));
  }

  /** Changes the disk with the next commit, and then goes on. */
  #commit(change: (state: State) => void, done: () => void): void {
    if (!this.#options.durable) return done();
    this.#batch.push({ change, done });
    if (!this.#committing) this.#commitBatch();
  }

  #commitBatch(): void {
    this.#committing = true;
    const life = this.#life;
    const batch = this.#batch;
    this.#batch = [];
    const t0 = this.#world.now;
    // The disk has it some time before the bus knows.
    this.#world.after(0.2 + 3 * this.#world.random(), () => {
      if (life !== this.#life) return;
      for (const { change } of batch) change(this.#disk);
      if (!this.#strikes("says synced without an fsync", 50)) this.#world.synced(t0, this.#world.now);
      this.#world.after(this.#world.random() * 0.5, () => {
        if (life !== this.#life) return;
        for (const { done } of batch) done();
        this.#committing = false;
        if (this.#batch.length > 0) this.#commitBatch();
      });
    });
  }
}

function groupOf(topic: TopicState, name: string): GroupState {
  let group = topic.groups.get(name);
  if (group === undefined) topic.groups.set(name, group = { next: 0, items: new Map() });
  return group;
}

/** Leases end with the server; what it forgot stays forgotten. */
function ended(untilMs: number): number {
  return untilMs === Infinity ? Infinity : -Infinity;
}

function clone(state: State): State {
  return new Map([...state].map(([name, topic]) => [name, {
    ...topic,
    messages: new Map(topic.messages),
    known: new Map(topic.known),
    groups: new Map([...topic.groups].map(([name, { next, items }]) => [name, {
      next,
      items: new Map([...items].map(([id, item]) => [id, { ...item, token: undefined, untilMs: ended(item.untilMs) }])),
    }])),
  }]));
}
