/**
 * Clients of a simulated bus that is killed now and then, in simulated time: a seed gives always the same history.
 *
 * @module
 */

import { Heap } from "../../lib/bus/heap.ts";
import { type Entry, History, type Line, type Op, type Outcome, Payloads, randomOf, type Settings } from "./history.ts";
import { type Bug, SimulatedBus, type SimulatedPage, type SimulatedReceipt, type Taken } from "./simulated_bus.ts";

/** What to simulate. */
export interface SimulationOptions {
  readonly seed: number;
  /** How many calls, about. */
  readonly calls: number;
  readonly durable?: boolean;
  /** How many messages of a topic are kept; default all. */
  readonly maxMessages?: number;
  /** A mistake that the bus makes. */
  readonly bug?: Bug;
}

const TOPICS = ["a", "b", "c"];
const LEASE_MS = 1000;
const DEDUPE_WINDOW_MS = 60_000;
/** A call that isn't answered by then is given up. */
const UNANSWERED = Symbol();

/** What a client waits for: it is called with how to go on. */
type Wait = (resume: (value: unknown) => void) => void;
/** A client: it yields what it waits for, and gets what came of it. */
type Client = Generator<Wait, void, unknown>;

/** The history of a simulation. */
export function simulate(options: SimulationOptions): readonly Line[] {
  return new Simulation(options).run();
}

class Simulation {
  now = 1_000_000;
  readonly random: () => number;
  readonly #options: SimulationOptions;
  readonly #history: History;
  readonly #bus: SimulatedBus;
  readonly #tasks = new Heap<() => void>();
  #tasksMade = 0;
  #calls = 0;
  #up = true;
  /** Whom nobody answers if the server is killed. */
  #waiting = new Set<() => void>();
  #ending = false;

  constructor(options: SimulationOptions) {
    const { seed, durable = true, maxMessages = 0, bug } = options;
    this.#options = options;
    this.random = randomOf(seed);
    const settings: Settings = {
      durable,
      ttlMs: 0,
      maxMessages,
      maxAttempts: 0,
      dedupeWindowMs: DEDUPE_WINDOW_MS,
      clockErrorMs: 0,
    };
    this.#history = new History(settings);
    this.#bus = new SimulatedBus(this, { durable, topics: TOPICS, maxMessages, dedupeWindowMs: DEDUPE_WINDOW_MS, bug });
  }

  run(): readonly Line[] {
    for (let i = 0; i < 5; i++) this.#start(this.#publisher(`publisher-${i}`));
    for (let i = 0; i < 6; i++) this.#start(this.#lessee(`lessee-${i}`));
    for (let i = 0; i < 2; i++) this.#start(this.#puller(`puller-${i}`));
    for (let i = 0; i < 3; i++) this.#start(this.#subscriber(`subscriber-${i}`, i === 2 ? 300 : 1));
    this.#start(this.#browser("browser-0"));
    this.#start(this.#killer());
    while (this.#calls < this.#options.calls || !this.#up) this.#step();
    this.#ending = true;
    this.#history.write({ t0: this.now, t1: this.now, client: "-", op: "calm", outcome: "ok" });
    const endMs = this.now + 2000;
    while (this.now < endMs) this.#step();
    this.#ended = true;
    this.#start(this.#drainer());
    while (!this.#drained) this.#step();
    return this.#history.lines;
  }

  #ended = false;
  #drained = false;

  #step(): void {
    const task = this.#tasks.peek()!;
    this.#tasks.remove(task);
    this.now = task.key;
    task.value();
  }

  after(ms: number, run: () => void): void {
    this.#tasks.add(run, this.now + ms, this.#tasksMade++);
  }

  synced(t0: number, t1: number): void {
    this.#history.write({ t0, t1, client: "-", op: "fsync", outcome: "ok" });
  }

  #start(client: Client): void {
    const resume = (value?: unknown) => {
      const { done, value: wait } = client.next(value);
      if (!done) (wait as Wait)(resume);
    };
    resume();
  }

  #sleep(ms: number): Wait {
    return (resume) => this.after(ms * (0.5 + this.random()), () => resume(undefined));
  }

  /** Asks the bus; {@linkcode UNANSWERED} if it is killed before the answer has arrived. */
  #ask<T>(ask: (answer: (value: T) => void) => void): Wait {
    return (resume) => {
      this.#calls++;
      let settled = false;
      const settle = (value: unknown) => {
        if (settled) return;
        settled = true;
        this.#waiting.delete(giveUp);
        resume(value);
      };
      const giveUp = () => this.after(this.random() * 5, () => settle(UNANSWERED));
      this.#waiting.add(giveUp);
      this.after(this.random(), () => {
        if (settled || !this.#up) return giveUp();
        const life = this.#life;
        ask((value) => {
          this.after(this.random(), () => {
            if (life === this.#life) settle(value);
          });
        });
      });
    };
  }

  #life = 0;

  *#killer(): Client {
    while (!this.#ended) {
      yield this.#sleep(700);
      if (this.#ending) return;
      const t0 = this.now;
      this.#write({ t0, client: "server", op: "restart", outcome: "called", reason: "kill" });
      this.#up = false;
      this.#life++;
      this.#bus.kill();
      for (const giveUp of [...this.#waiting]) giveUp();
      this.#waiting.clear();
      yield this.#sleep(30);
      this.#bus.start();
      this.#up = true;
      this.#write({ t0, t1: this.now, client: "server", op: "restart", outcome: "ok", reason: "kill" });
    }
  }

  *#publisher(client: string): Client {
    const payloads = new Payloads(client, this.random);
    for (let n = 0; !this.#ended; n++) {
      yield this.#sleep(10);
      // The same key in several topics means several messages.
      const idempotencyKey = this.random() < 0.8 ? `${client}-${n}` : undefined;
      const key = this.random() < 0.5 ? `key-${Math.floor(this.random() * 5)}` : undefined;
      for (const topic of this.random() < 0.1 ? TOPICS : [this.#topic()]) {
        const publish = { client, topic, sha: payloads.next(), key, idempotencyKey };
        let answered = false;
        for (let attempt = 0; !answered && attempt < (idempotencyKey === undefined ? 1 : 20); attempt++) {
          answered = yield* this.#publish(publish);
          yield this.#sleep(5);
        }
      }
    }
  }

  *#publish(publish: Parameters<SimulatedBus["publish"]>[0]): Generator<Wait, boolean, unknown> {
    const t0 = this.now;
    const line = { t0, op: "publish" as const, ...publish };
    this.#write({ ...line, outcome: "called" });
    const receipt = yield this.#ask<SimulatedReceipt>((answer) => this.#bus.publish(publish, answer));
    if (receipt === UNANSWERED) this.#write({ ...line, t1: this.now, outcome: "unknown" });
    else {
      const { refused, ...given } = receipt as SimulatedReceipt & { duplicate: boolean; id: number; epoch: string };
      const outcome = refused ? "refused" : given.duplicate ? "duplicate" : "ok";
      this.#write({ ...line, t1: this.now, outcome, id: given.id, epoch: given.epoch, durability: "synced" });
    }
    return receipt !== UNANSWERED;
  }

  #topic(): string {
    return TOPICS[Math.floor(this.random() * TOPICS.length)]!;
  }

  *#take(
    client: string,
    at: { topic: string; group: string; leaseMs?: number },
  ): Generator<Wait, Taken | undefined, unknown> {
    const line = { t0: this.now, client, op: (at.leaseMs === undefined ? "pull" : "lease") as Op, ...at };
    this.#write({ ...line, outcome: "called" });
    const taken = yield this.#ask<Taken | undefined>((answer) => {
      this.#bus.take(at.topic, at.group, at.leaseMs, answer);
    });
    const t1 = this.now;
    if (taken === UNANSWERED) this.#write({ ...line, t1, outcome: "unknown" });
    else if (taken === undefined) this.#write({ ...line, t1, outcome: "empty" });
    else {
      const { id, sha, key, epoch, token, attempt } = taken as Taken;
      this.#write({ ...line, t1, outcome: "ok", id, sha, key, epoch, lease: token, attempt });
      return taken as Taken;
    }
    return undefined;
  }

  *#settle(
    client: string,
    lease: string,
    settle: { op: "ack" | "nack" | "extend"; ms?: number; counted?: boolean },
  ): Generator<Wait, void, unknown> {
    const { op, ms, counted } = settle;
    const more = op === "nack" ? { delayMs: ms, counted } : op === "extend" ? { leaseMs: ms } : {};
    const line = { t0: this.now, client, op, lease, ...more };
    this.#write({ ...line, outcome: "called" });
    const done = yield this.#ask<boolean>((answer) => this.#bus.settle(lease, settle, answer));
    const outcome: Outcome = done === UNANSWERED ? "unknown" : done ? "ok" : "gone";
    this.#write({ ...line, t1: this.now, outcome });
  }

  *#lessee(client: string): Client {
    while (!this.#ended) {
      yield this.#sleep(5);
      const taken = yield* this.#take(client, { topic: this.#topic(), group: "workers", leaseMs: LEASE_MS });
      if (taken === undefined) continue;
      yield this.#sleep(5);
      const fate = this.random();
      if (fate < 0.7) yield* this.#settle(client, taken.token!, { op: "ack" });
      else if (fate < 0.8) yield* this.#settle(client, taken.token!, { op: "nack", ms: 50, counted: fate < 0.75 });
      else if (fate < 0.9) {
        yield* this.#settle(client, taken.token!, { op: "extend", ms: LEASE_MS * 2 });
        yield this.#sleep(LEASE_MS / 2);
        yield* this.#settle(client, taken.token!, { op: "ack" });
      } else if (fate < 0.95) {
        yield this.#sleep(LEASE_MS * 1.5);
        yield* this.#settle(client, taken.token!, { op: "ack" });
      } // else it forgets it
    }
  }

  *#puller(client: string): Client {
    while (!this.#ended) {
      yield this.#sleep(6);
      yield* this.#take(client, { topic: this.#topic(), group: "" });
    }
  }

  *#subscriber(client: string, pauseMs: number): Client {
    const topic = TOPICS[Number(client.at(-1))]!;
    let place: { epoch: string; from: number } | undefined;
    let resumes = true;
    while (!this.#ended) {
      if (resumes) {
        const cursor = place === undefined ? "earliest" : `${place.from}@${place.epoch}`;
        this.#write({ t0: this.now, client, op: "subscribe", outcome: "called", topic, cursor });
      }
      const page = yield this.#ask<SimulatedPage>((answer) => {
        answer(this.#bus.read(topic, { ...place, resumes, client }));
      });
      resumes = page === UNANSWERED;
      if (!resumes) place = this.#notePage(page as SimulatedPage, { t0: this.now, client, op: "deliver", topic });
      yield this.#sleep(this.#ending ? 2 : pauseMs);
    }
  }

  #notePage(
    { epoch, gap, messages, next }: SimulatedPage,
    line: Pick<Entry, "t0" | "client" | "op" | "topic">,
  ): { epoch: string; from: number } {
    const t1 = this.now;
    if (gap !== undefined) this.#write({ ...line, ...gap, t1, op: "gap", epoch, outcome: "ok" });
    for (const { id, sha, key } of messages) this.#write({ ...line, t1, epoch, id, sha, key, outcome: "ok" });
    return { epoch, from: next };
  }

  *#browse(
    client: string,
    { op, topic, place }: {
      op: "browse" | "drain";
      topic: string;
      place?: { epoch: string; from: number } | undefined;
    },
  ): Generator<Wait, { epoch: string; from: number } | undefined, unknown> {
    const cursor = place === undefined ? "earliest" : `${place.from}@${place.epoch}`;
    const line = { t0: this.now, client, op, topic };
    this.#write({ ...line, outcome: "called", cursor });
    const page = yield this.#ask<SimulatedPage>((answer) => {
      answer(this.#bus.read(topic, { ...place, limit: 100, client }));
    });
    if (page === UNANSWERED) {
      this.#write({ ...line, t1: this.now, outcome: "unknown" });
      return undefined;
    }
    const next = this.#notePage(page as SimulatedPage, line);
    this.#write({ ...line, t1: this.now, outcome: "end", cursor: `${next.from}@${next.epoch}` });
    return next;
  }

  *#browser(client: string): Client {
    while (!this.#ended) {
      yield this.#sleep(500);
      const topic = this.#topic();
      let place: { epoch: string; from: number } | undefined;
      for (let pages = 0; pages < 3; pages++) place = yield* this.#browse(client, { op: "browse", topic, place });
    }
  }

  /** Works off the groups, and reads every log from the beginning to the end. */
  *#drainer(): Client {
    const client = "drainer";
    yield this.#sleep(5 * LEASE_MS);
    for (const topic of TOPICS) {
      for (let empty = 0; empty < 5;) {
        const taken = yield* this.#take(client, { topic, group: "workers", leaseMs: LEASE_MS });
        if (taken !== undefined) yield* this.#settle(client, taken.token!, { op: "ack" });
        else empty++;
        if (taken === undefined) yield this.#sleep(LEASE_MS);
      }
      this.#write({ t0: this.now, t1: this.now, client, op: "drain", outcome: "end", topic, group: "workers" });
      while (yield* this.#take(client, { topic, group: "" }));
      this.#write({ t0: this.now, t1: this.now, client, op: "drain", outcome: "end", topic, group: "" });
      let place: { epoch: string; from: number } | undefined;
      for (let from = -1; place?.from !== from;) {
        from = place?.from ?? -1;
        place = yield* this.#browse(client, { op: "drain", topic, place });
        yield this.#sleep(1);
      }
    }
    this.#drained = true;
  }

  #write(entry: Entry): void {
    this.#history.write(entry);
  }
}
