/**
 * Clients of a real server that write down what they see: publishers, workers, pullers, subscribers, a browser, and at the
 * end the drain that the checker compares everything with. They come back when their connection is cut, as long as
 * {@linkcode Place.up} says that there is a server.
 *
 * A test makes a {@linkcode Crowd}, kills and starts the server as it likes (see {@linkcode Crowd.killed} and
 * {@linkcode Crowd.back}), then {@linkcode Crowd.finish}es, and has the history checked:
 *
 * ```ts
 * const crowd = new Crowd({ history, place, random });
 * crowd.start({ publishers: 8, workers: 4, pullers: 2, subscribers: 2, patterns: 1, browsers: 1 });
 * // faults
 * await crowd.finish();
 * assertClean(history.lines);
 * ```
 *
 * @module
 */

import { Position } from "../../lib/client/position.ts";
import { decodeLine } from "../../lib/client/lines.ts";
import { Message } from "../../lib/message.ts";
import { decodeEnvelope } from "../../lib/wire/json.ts";
import { Connection, type HttpAnswer, type HttpRequest } from "./connection.ts";
import { digest, type Entry, type History, type Outcome, Payloads } from "./history.ts";

/** Where the server is. */
export interface Place {
  /** Its port. */
  readonly port: number;
  /** Resolves when there is a server. */
  up(): Promise<void>;
}

/** What a {@linkcode Crowd} needs. */
export interface CrowdOptions {
  readonly history: History;
  readonly place: Place;
  /** Numbers from 0 to 1. */
  readonly random: () => number;
  /** Their topics. Default `a`, `b` and `c/d`. */
  readonly topics?: readonly string[];
  /** How long a publisher pauses after an answer, in milliseconds. Default 0. */
  readonly pauseMs?: number;
  /** How long payloads are at least, in bytes. Default 0. */
  readonly payloadBytes?: number;
}

/** How many there are of each. */
export interface CrowdSize {
  readonly publishers?: number;
  readonly workers?: number;
  readonly pullers?: number;
  /** Of one topic each, over NDJSON and WebSockets by turns. */
  readonly subscribers?: number;
  /** Subscribers of all topics at once. */
  readonly patterns?: number;
  readonly browsers?: number;
}

const GROUP = "workers";
const LEASE_MS = 1000;
const LONGEST_LEASE_MS = 2000;

/** The clients of one server. */
export class Crowd {
  readonly #options: Required<CrowdOptions>;
  readonly #publishing: Promise<void>[] = [];
  readonly #reading: Promise<void>[] = [];
  readonly #connections = new Set<Disposable>();
  #hasWorkers = false;
  #isPublishing = true;
  #isReading = true;
  #killedAt = 0;
  /** The last message of each topic, when there will be no more. */
  readonly #heads = new Map<string, { readonly id: number; readonly epoch: string }>();
  #headsReached = Promise.withResolvers<void>();
  readonly #places = new Map<string, Map<string, { readonly id: number; readonly epoch: string }>>();
  #acked = 0;
  #waiting: { readonly count: number; readonly resolve: () => void }[] = [];

  constructor(options: CrowdOptions) {
    this.#options = { topics: ["a", "b", "c/d"], pauseMs: 0, payloadBytes: 0, ...options };
  }

  /** How many publishes were acknowledged. */
  get acked(): number {
    return this.#acked;
  }

  /** Milliseconds by the clock of the history. */
  get now(): number {
    return performance.now();
  }

  /** Starts clients. */
  start({ publishers = 0, workers = 0, pullers = 0, subscribers = 0, patterns = 0, browsers = 0 }: CrowdSize): void {
    const { topics } = this.#options;
    this.#hasWorkers ||= workers > 0;
    const each = (count: number, start: (n: number) => void) => {
      for (let n = 0; n < count; n++) start(n);
    };
    each(subscribers, (n) => {
      const topic = topics[n % topics.length]!;
      const read = n % 2 === 0 ? this.#readStream : this.#readSocket;
      this.#reading.push(this.#subscriber(`subscriber-${n}`, [topic], read));
    });
    each(patterns, (n) => void this.#reading.push(this.#subscriber(`pattern-${n}`, topics, this.#readStream)));
    each(publishers, (n) => void this.#publishing.push(this.#publisher(`publisher-${n}`)));
    each(workers, (n) => void this.#publishing.push(this.#worker(`worker-${n}`)));
    each(pullers, (n) => void this.#publishing.push(this.#puller(`puller-${n}`)));
    each(browsers, (n) => void this.#publishing.push(this.#browser(`browser-${n}`)));
  }

  /** Notes that the server is being killed, or told to end. To be called right before. */
  killed(reason: "kill" | "stop" = "kill"): void {
    this.#killedAt = this.now;
    this.#write({ t0: this.#killedAt, client: "server", op: "restart", outcome: "called", reason });
  }

  /** Notes that the server is back. */
  back(): void {
    this.#write({ t0: this.#killedAt, t1: this.now, client: "server", op: "restart", outcome: "ok" });
  }

  /** Resolves when so many publishes were acknowledged, in all. */
  async published(count: number): Promise<void> {
    if (this.acked >= count) return;
    await new Promise<void>((resolve) => this.#waiting.push({ count, resolve }));
  }

  /** Ends the clients that publish, pull, work and browse. */
  async stopPublishing(): Promise<void> {
    this.#isPublishing = false;
    await Promise.all(this.#publishing);
  }

  /** Deletes a topic. Resolves when it is answered, or nobody answers. */
  async delete(topic: string): Promise<void> {
    using connection = await this.#connect();
    const asker = new Asker(connection, (entry) => this.#write(entry), this);
    await asker.delete({ client: `deleter-${topic}`, topic }).catch(assertCut);
  }

  /**
   * When nothing is broken any more: ends the clients that publish, publishes one more message to every topic, ends the
   * subscribers when they have everything, then works off what is left and reads every log from beginning to end.
   */
  async finish(): Promise<void> {
    this.#write({ t0: this.now, t1: this.now, client: "-", op: "calm", outcome: "ok" });
    await this.stopPublishing();
    const { topics } = this.#options;
    this.#heads.clear();
    for (const topic of topics) this.#heads.set(topic, await this.#publishLast(topic));
    this.#noteProgress();
    await this.#headsReached.promise;
    this.#isReading = false;
    for (const connection of this.#connections) connection[Symbol.dispose]();
    await Promise.all(this.#reading);
    // It takes longer than a lease lasts to know that a group is done.
    const groups = this.#hasWorkers ? topics.map((topic) => this.#drainGroup(topic)) : [];
    await Promise.all([...groups, ...topics.map((topic) => this.#drainQueue(topic))]);
    for (const topic of topics) await this.#drainLog(topic);
  }

  #write(entry: Entry): void {
    this.#options.history.write(entry);
  }

  #topic(): string {
    const { topics, random } = this.#options;
    return topics[Math.floor(random() * topics.length)]!;
  }

  /** A real pause: these clients live in real time. */
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms));
  }

  /** A connection, as soon as there is a server. */
  async #connect(): Promise<Connection> {
    for (;;) {
      await this.#options.place.up();
      try {
        return await Connection.open(this.#options.place.port);
      } catch {
        await this.#pause(1); // it was killed meanwhile, or it is not listening yet
      }
    }
  }

  /** Lets a client work with a connection, and with another one when that is cut. */
  async #withConnection(work: (asker: Asker) => Promise<void>, goesOn: () => boolean): Promise<void> {
    while (goesOn()) {
      using connection = await this.#connect();
      this.#connections.add(connection);
      const asker = new Asker(connection, (entry) => this.#write(entry), this);
      try {
        while (goesOn()) await work(asker);
      } catch (error) {
        assertCut(error);
      } finally {
        this.#connections.delete(connection);
      }
    }
  }

  async #publisher(client: string): Promise<void> {
    const { random, pauseMs, payloadBytes } = this.#options;
    const payloads = new Payloads(client, random);
    let wanted: Wanted | undefined;
    let number = 0;
    await this.#withConnection(async (asker) => {
      if (wanted === undefined) {
        const key = random() < 0.3 ? `key-${Math.floor(random() * 8)}` : undefined;
        // Keys are unique in a topic; the same one in another topic is another message.
        const idempotencyKey = random() < 0.8 ? `${client}-${number++ >> 1}` : undefined;
        const { topics } = this.#options;
        const topic = idempotencyKey === undefined ? this.#topic() : topics[number % topics.length]!;
        wanted = { client, topic, payload: payloads.next().padEnd(payloadBytes, "."), key, idempotencyKey };
      }
      const given: Wanted = wanted;
      // Without a key nobody can try again.
      if (given.idempotencyKey === undefined) wanted = undefined;
      const receipt = await asker.publish(given);
      if (receipt === "unknown") return await this.#pause(1);
      wanted = undefined;
      if (receipt !== "refused") {
        this.#acked++;
        this.#waiting = this.#waiting.filter(({ count, resolve }) => count > this.#acked || resolve());
      }
      if (pauseMs > 0) await this.#pause(pauseMs);
    }, () => this.#isPublishing);
  }

  async #publishLast(topic: string): Promise<{ readonly id: number; readonly epoch: string }> {
    const client = `last-${topic}`;
    const payload = new Payloads(client, this.#options.random).next();
    let receipt: Published = "unknown";
    await this.#withConnection(async (asker) => {
      receipt = await asker.publish({ client, topic, payload, idempotencyKey: client });
    }, () => typeof receipt === "string");
    return receipt as unknown as { readonly id: number; readonly epoch: string };
  }

  async #worker(client: string): Promise<void> {
    const { random } = this.#options;
    await this.#withConnection(async (asker) => {
      const limit = random() < 0.5 ? 1 : 20;
      const options = { client, topic: this.#topic(), group: GROUP, leaseMs: LEASE_MS, limit, waitMs: 20 };
      const leased = await asker.take(options);
      const fates = Map.groupBy(leased, () => fateOf(random()));
      const tokens = (fate: Fate) => (fates.get(fate) ?? []).map(({ lease }) => lease!);
      await asker.settle({ client, op: "ack", tokens: tokens("ack") });
      await asker.settle({ client, op: "nack", tokens: tokens("nack"), delayMs: 50, counted: random() < 0.5 });
      await asker.settle({ client, op: "extend", tokens: tokens("extend"), leaseMs: LONGEST_LEASE_MS });
      await asker.settle({ client, op: "ack", tokens: tokens("extend").filter(() => random() < 0.7) });
    }, () => this.#isPublishing);
  }

  async #puller(client: string): Promise<void> {
    const { random } = this.#options;
    await this.#withConnection(async (asker) => {
      const limit = random() < 0.7 ? 1 : 10;
      await asker.take({ client, topic: this.#topic(), group: "", limit, waitMs: 20 });
    }, () => this.#isPublishing);
  }

  async #browser(client: string): Promise<void> {
    await this.#withConnection(async (asker) => {
      const topic = this.#topic();
      let cursor: string | undefined = "last:50";
      for (let pages = 0; pages < 3 && cursor !== undefined; pages++) {
        cursor = (await asker.browse({ client, op: "browse", topic, cursor, limit: 20 }))?.cursor;
      }
      await this.#pause(20);
    }, () => this.#isPublishing);
  }

  async #subscriber(
    client: string,
    topics: readonly string[],
    read: (target: string, line: (line: string) => void) => Promise<void>,
  ): Promise<void> {
    const several = topics.length > 1;
    const topic = topics.join(",");
    const position = new Position(several, "earliest");
    this.#places.set(client, new Map(topics.map((topic) => [topic, { id: -1, epoch: "" }])));
    while (this.#isReading) {
      await this.#options.place.up();
      const cursor = position.text ?? "latest";
      this.#write({ t0: this.now, client, op: "subscribe", outcome: "called", topic, cursor });
      await read.call(this, `/${topic}?since=${encodeURIComponent(cursor)}`, (text) => {
        const line = decodeLine(text);
        position.note(line);
        this.#deliver(client, line);
      });
      position.reconnect();
      await this.#pause(1);
    }
  }

  #deliver(client: string, line: ReturnType<typeof decodeLine>): void {
    const t0 = this.now;
    if (line instanceof Message) {
      this.#write({ t0, t1: t0, client, op: "deliver", outcome: "ok", ...saidOf(line) });
      this.#places.get(client)!.set(line.topic.name, { id: line.id, epoch: line.topic.epoch });
      this.#noteProgress();
    } else if (line.event === "gap") {
      const { topic, from, to, reason, cursor } = line;
      const epoch = /@(.+)$/.exec(cursor)?.[1];
      const ids = { from: from ?? undefined, to: to ?? undefined };
      this.#write({ t0, t1: t0, client, op: "gap", outcome: "ok", topic, ...ids, reason, epoch });
    } else if (line.event === "deleted") {
      this.#write({ t0, t1: t0, client, op: "gap", outcome: "ok", topic: line.topic, reason: "deleted" });
    }
  }

  /** Sees whether every subscriber has everything. */
  #noteProgress(): void {
    if (this.#heads.size < this.#options.topics.length) return;
    for (const topics of this.#places.values()) {
      for (const [topic, place] of topics) {
        const head = this.#heads.get(topic)!;
        if (place.epoch !== head.epoch || place.id < head.id) return;
      }
    }
    this.#headsReached.resolve();
  }

  async #readStream(target: string, line: (line: string) => void): Promise<void> {
    using connection = await this.#connect();
    this.#connections.add(connection);
    try {
      for await (const text of connection.lines({ target: `${target}&format=ndjson` })) line(text);
    } catch {
      // It was cut.
    }
    this.#connections.delete(connection);
  }

  async #readSocket(target: string, line: (line: string) => void): Promise<void> {
    const socket = new WebSocket(`ws://127.0.0.1:${this.#options.place.port}${target}`, "msgbus.ndjson");
    const closing = { [Symbol.dispose]: () => socket.close() };
    this.#connections.add(closing);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    socket.onmessage = ({ data }) => {
      try {
        for (const text of data.split("\n")) if (text !== "") line(text);
      } catch (error) {
        reject(error);
      }
    };
    socket.onclose = () => resolve();
    await promise;
    this.#connections.delete(closing);
  }

  /** Works a group off: nothing is left when nothing comes for longer than any lease lasts. */
  async #drainGroup(topic: string): Promise<void> {
    const client = `drain-${GROUP}-${topic}`;
    let over = false;
    await this.#withConnection(async (asker) => {
      const waitMs = LONGEST_LEASE_MS + 500;
      const leased = await asker.take({ client, topic, group: GROUP, leaseMs: LEASE_MS, limit: 1000, waitMs });
      await asker.settle({ client, op: "ack", tokens: leased.map(({ lease }) => lease!) });
      over = leased.length === 0;
    }, () => !over);
    this.#write({ t0: this.now, t1: this.now, client, op: "drain", outcome: "end", topic, group: GROUP });
  }

  async #drainQueue(topic: string): Promise<void> {
    const client = `drain-${topic}`;
    let over = false;
    await this.#withConnection(async (asker) => {
      over = (await asker.take({ client, topic, group: "", limit: 1000 })).length === 0;
    }, () => !over);
    this.#write({ t0: this.now, t1: this.now, client, op: "drain", outcome: "end", topic, group: "" });
  }

  async #drainLog(topic: string): Promise<void> {
    let cursor = "earliest";
    let over = false;
    await this.#withConnection(async (asker) => {
      const page = await asker.browse({ client: "drain", op: "drain", topic, cursor, limit: 10_000 });
      over = page === undefined || page.count === 0;
      cursor = page?.cursor ?? cursor;
    }, () => !over);
  }
}

type Fate = "ack" | "nack" | "extend";

function fateOf(chance: number): Fate {
  return chance < 0.9 ? "ack" : chance < 0.95 ? "nack" : "extend";
}

function assertCut(error: unknown): void {
  if (!(error instanceof Cut)) throw error;
}

/** What a publisher wants to publish. */
export interface Wanted {
  readonly client: string;
  readonly topic: string;
  readonly payload: string;
  readonly key?: string | undefined;
  readonly idempotencyKey?: string | undefined;
}

/** What came of a publish. */
export type Published = { readonly id: number; readonly epoch: string } | "refused" | "unknown";

/** Nobody answered; the connection is of no use any more. */
export class Cut extends Error {}

/** Asks over one connection, and writes down what was asked and answered. Everything throws {@linkcode Cut}. */
export class Asker {
  readonly #connection: Connection;
  readonly #write: (entry: Entry) => void;
  readonly #clock: { readonly now: number };
  #isOver = false;

  constructor(connection: Connection, write: (entry: Entry) => void, clock: { readonly now: number }) {
    this.#connection = connection;
    this.#write = write;
    this.#clock = clock;
  }

  /** Publishes; `unknown` if the server says that it went wrong. */
  async publish(wanted: Wanted): Promise<Published> {
    const { client, topic, payload, key, idempotencyKey } = wanted;
    const line = { client, op: "publish" as const, topic, key, idempotencyKey, sha: digest(payload) };
    const headers = {
      ...key === undefined ? {} : { "msgbus-key": key },
      ...idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey },
    };
    return await this.#ask<Published>(
      [line],
      { method: "PUT", target: `/${topic}`, headers, body: payload },
      (answer) => {
        const { status, headers } = answer;
        if (status !== 202) {
          const outcome = outcomeOf(answer);
          return [[{ outcome, code: headers.get("msgbus-error") }], outcome];
        }
        const id = Number(headers.get("msgbus-id"));
        const cursor = headers.get("msgbus-cursor")!;
        const epoch = cursor.split("@")[1]!;
        const outcome = headers.has("msgbus-duplicate") ? "duplicate" : "ok";
        return [[{ outcome, id, epoch, cursor, durability: headers.get("msgbus-durability") }], { id, epoch }];
      },
    );
  }

  /** Pulls, or leases; gives what it got. */
  async take(
    { client, topic, group, leaseMs, limit, waitMs }: {
      readonly client: string;
      readonly topic: string;
      readonly group: string;
      readonly leaseMs?: number;
      readonly limit: number;
      readonly waitMs?: number;
    },
  ): Promise<readonly { readonly lease?: string | undefined }[]> {
    const line = {
      client,
      op: leaseMs === undefined ? "pull" as const : "lease" as const,
      topic,
      group,
      leaseMs,
      limit,
    };
    const query = new URLSearchParams({ limit: `${limit}` });
    if (group !== "") query.set("group", group);
    if (leaseMs !== undefined) query.set("lease", `${leaseMs}ms`);
    if (waitMs !== undefined) query.set("wait", `${waitMs}ms`);
    return await this.#ask([line], { target: `/${topic}?${query}` }, (answer) => {
      if (answer.status === 404) return [[{ outcome: "empty" }], []];
      if (answer.status !== 200) return [[{ outcome: outcomeOf(answer) }], []];
      const messages = messagesOf(answer).map(saidOf);
      return [messages.map((said) => ({ ...said, outcome: "ok" })), messages];
    });
  }

  /** Acks, nacks or extends; nothing happens without a token. */
  async settle(
    { client, op, tokens, delayMs, counted, leaseMs }: {
      readonly client: string;
      readonly op: "ack" | "nack" | "extend";
      readonly tokens: readonly string[];
      readonly delayMs?: number;
      readonly counted?: boolean;
      readonly leaseMs?: number;
    },
  ): Promise<void> {
    if (tokens.length === 0) return;
    const query = new URLSearchParams();
    if (delayMs !== undefined) query.set("delay", `${delayMs}ms`);
    if (counted === false) query.set("count", "false");
    if (leaseMs !== undefined) query.set("lease", `${leaseMs}ms`);
    const lines = tokens.map((lease) => ({ client, op, lease, delayMs, counted, leaseMs }));
    const target = `/-/${op}${query.size > 0 ? `?${query}` : ""}`;
    await this.#ask(lines, { method: "POST", target, body: JSON.stringify(tokens) }, (answer) => {
      if (answer.status !== 200) return [tokens.map((lease) => ({ lease, outcome: outcomeOf(answer) })), undefined];
      const done = new Set((JSON.parse(answer.text) as { done: string[] }).done);
      return [tokens.map((lease) => ({ lease, outcome: done.has(lease) ? "ok" : "gone" })), undefined];
    });
  }

  /** Browses a page; gives where the next one begins, `undefined` if there is no topic, or it was refused. */
  async browse(
    { client, op, topic, cursor, limit }: {
      readonly client: string;
      readonly op: "browse" | "drain";
      readonly topic: string;
      readonly cursor: string;
      readonly limit: number;
    },
  ): Promise<{ readonly cursor: string; readonly count: number } | undefined> {
    const line = { client, op, topic, cursor };
    const target = `/${topic}?since=${encodeURIComponent(cursor)}&limit=${limit}`;
    return await this.#ask([line], { target }, (answer) => {
      const { status, headers } = answer;
      if (status === 404) return [[{ outcome: "end", cursor: undefined }], undefined];
      if (status !== 200) throw new Cut(`Cannot browse ${topic}: ${status} ${answer.text}`);
      const messages = messagesOf(answer).map(saidOf);
      const next = headers.get("msgbus-next")!;
      const told = gapOf(headers.get("msgbus-gap"), next.split("@")[1]!);
      const got = messages.map((said) => ({ ...said, cursor: undefined, outcome: "ok" as const }));
      return [[...told, ...got, { outcome: "end", cursor: next }], {
        cursor: next,
        count: messages.length + told.length,
      }];
    });
  }

  /** Deletes a topic with everything that is in it. */
  async delete({ client, topic }: { readonly client: string; readonly topic: string }): Promise<void> {
    const line = { client, op: "delete" as const, topic };
    await this.#ask([line], { method: "DELETE", target: `/${topic}` }, (answer) => {
      return [[{ outcome: answer.status === 204 ? "ok" : outcomeOf(answer) }], undefined];
    });
  }

  /** Asks; `read` gives a line for each thing in the answer, and what to return. */
  async #ask<T>(
    calls: readonly Omit<Entry, "t0" | "outcome">[],
    request: HttpRequest,
    read: (answer: HttpAnswer) => [(Partial<Entry> & { readonly outcome: Outcome })[], T],
  ): Promise<T> {
    if (this.#isOver) throw new Cut("The server has closed the connection");
    const t0 = this.#clock.now;
    for (const call of calls) this.#write({ ...call, t0, outcome: "called" });
    let answer: HttpAnswer;
    try {
      answer = await this.#connection.ask(request);
    } catch (cause) {
      const t1 = this.#clock.now;
      for (const call of calls) this.#write({ ...call, t0, t1, outcome: "unknown" });
      throw new Cut("Nobody answered", { cause });
    }
    const t1 = this.#clock.now;
    const [lines, given] = read(answer);
    for (const line of lines) this.#write({ ...calls[0]!, t0, t1, ...line });
    this.#isOver = answer.headers.get("connection") === "close";
    return given;
  }
}

/** A refusal has no effect; of an error nobody knows. */
function outcomeOf({ status }: HttpAnswer): "refused" | "unknown" {
  return status < 500 && status !== 408 ? "refused" : "unknown";
}

function messagesOf({ text }: HttpAnswer): Message[] {
  return text.split("\n").filter((line) => line !== "").map((line) => decodeEnvelope(line));
}

function saidOf({ id, topic, key, attempt, lease, payload }: Message) {
  return { topic: topic.name, epoch: topic.epoch, id, key, attempt, lease, sha: digest(payload) };
}

/** `<from>-<to>;<reason>`. */
function gapOf(header: string | undefined, epoch: string): (Partial<Entry> & { readonly outcome: "ok" })[] {
  if (header === undefined) return [];
  const [, from, to, reason] = /^([0-9]*)-([0-9]*);(.*)$/.exec(header)!;
  const id = (digits: string) => digits === "" ? undefined : Number(digits);
  return [{ op: "gap", outcome: "ok", epoch, from: id(from!), to: id(to!), reason: reason!, cursor: undefined }];
}
