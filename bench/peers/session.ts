/**
 * Publishers and subscribers of one server, and what they are made to do.
 *
 * @module
 */

import { cpuUsage } from "node:process";
import { LatencyHistogram } from "../latency_histogram.ts";
import { payloadAt } from "./message.ts";
import { type Publication, Publisher } from "./publisher.ts";
import { Subscriber, type SubscriptionPlan, Tally } from "./subscriber.ts";

/** Who is to be connected. */
export interface SessionPlan {
  /** How to publish. */
  readonly publication: Publication;
  /** How many connections do. */
  readonly publishers: number;
  /** How to subscribe. */
  readonly subscription?: SubscriptionPlan;
  /** How many connections do. */
  readonly subscribers: number;
}

/** What came of publishing. */
export interface SessionResult {
  /** Messages that were published and acknowledged. */
  readonly published: number;
  /** How long that took. */
  readonly publishMs: number;
  /** Messages that arrived, each once for each subscriber. */
  readonly deliveries: number;
  /** How long it took until the last had arrived. */
  readonly ms: number;
  /** The processor time this process used meanwhile, in milliseconds. */
  readonly cpuMs: number;
  /** How long messages were under way, if that was asked for. */
  readonly latency?: Latency;
  /** How long publishers waited for acknowledgements, if each waited for its own. */
  readonly acknowledged?: Latency;
}

/** From before a publish is written until after the message, or the acknowledgement, is read; in milliseconds. */
export interface Latency {
  /** The median. */
  readonly p50: number;
  /** What one in a hundred exceeds. */
  readonly p99: number;
  /** The longest. */
  readonly max: number;
}

const CONNECTING_AT_ONCE = 50;
const MANY = 1000;
const BUFFER_BYTES = 64 * 1024;
const BUFFER_BYTES_OF_MANY = 2 * 1024;
const DRAIN_POLL_MS = 5;
const DRAIN_DEADLINE_MS = 3000;

/** Connections to one server. */
export class Session {
  readonly #publishers: readonly Publisher[];
  readonly #subscribers: readonly Subscriber[];
  readonly #tally: Tally;
  readonly #messagesEach: number;

  private constructor(
    publishers: readonly Publisher[],
    subscribers: readonly Subscriber[],
    { tally, messagesEach }: { tally: Tally; messagesEach: number },
  ) {
    this.#messagesEach = messagesEach;
    this.#publishers = publishers;
    this.#subscribers = subscribers;
    this.#tally = tally;
  }

  /** Connects everybody. */
  static async open({ publication, publishers, subscription, subscribers }: SessionPlan): Promise<Session> {
    const tally = new Tally();
    const bufferBytes = subscribers > MANY ? BUFFER_BYTES_OF_MANY : BUFFER_BYTES;
    const subscribing = await repeat(
      subscription === undefined ? 0 : subscribers,
      (i) => Subscriber.connect(subscription!, { name: `subscriber-${i}`, tally, bufferBytes }),
    );
    const publishing = await repeat(publishers, (i) => Publisher.connect(publication, `publisher-${i}`));
    return new Session(publishing, subscribing, { tally, messagesEach: publication.lines ?? 1 });
  }

  /** Each publishes, waits for the acknowledgement, publishes again, for `ms`, at least once. */
  async publishInTurn(ms: number): Promise<SessionResult> {
    const histogram = new LatencyHistogram();
    const result = await this.#measure(async () => {
      let published = 0;
      const endMs = performance.now() + ms;
      const payload = Array(this.#messagesEach).fill(payloadAt(0)).join("\n");
      await Promise.all(this.#publishers.map(async (publisher) => {
        const publish = publisher.encode(payload);
        let sentMs = performance.now();
        await publisher.publishInTurn(publish, () => {
          published += this.#messagesEach;
          const nowMs = performance.now();
          histogram.record(nowMs - sentMs);
          sentMs = nowMs;
          return nowMs < endMs;
        });
      }));
      return published;
    });
    const [p50, p99, max] = [0.5, 0.99, 1].map((share) => histogram.percentile(share)) as [number, number, number];
    return { ...result, acknowledged: { p50, p99, max } };
  }

  /** Together they publish so many a second for `ms`, whether the ones before are acknowledged or not. */
  async publishSteadily({ perSecond, ms }: { perSecond: number; ms: number }): Promise<SessionResult> {
    const latenciesMs: number[] = [];
    this.#tally.latenciesMs = latenciesMs;
    const result = await this.#measure(async () => {
      const total = Math.round(perSecond * ms / 1000);
      const startMs = performance.now();
      const acknowledged = this.#publishers.map(async (publisher, i, { length }) => {
        for (let sent = i; sent < total; sent += length) await publisher.acknowledgement();
      });
      for (let sent = 0; sent < total;) {
        for (const due = (performance.now() - startMs) / 1000 * perSecond; sent < total && sent <= due; sent++) {
          const publisher = this.#publishers[sent % this.#publishers.length]!;
          void publisher.send(publisher.encode(payloadAt(performance.now())));
        }
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      await Promise.all(acknowledged);
      return total;
    });
    this.#tally.latenciesMs = undefined;
    return { ...result, latency: latencyOf(latenciesMs) };
  }

  async #measure(publish: () => Promise<number>): Promise<SessionResult> {
    const tally = this.#tally;
    const before = tally.deliveries;
    const cpuBefore = cpuUsage();
    const startMs = performance.now();
    const published = await publish();
    const publishedMs = performance.now();
    await this.#drain(before + published * this.#subscribers.length);
    if (tally.failure !== undefined) throw tally.failure;
    const { user, system } = cpuUsage(cpuBefore);
    return {
      published,
      publishMs: publishedMs - startMs,
      deliveries: tally.deliveries - before,
      ms: Math.max(publishedMs, tally.lastMs) - startMs,
      cpuMs: (user + system) / 1000,
    };
  }

  /** Waits until so many have arrived in all, or none comes any more. */
  async #drain(expected: number): Promise<void> {
    const tally = this.#tally;
    let lastMs = performance.now();
    while (tally.deliveries < expected && tally.failure === undefined) {
      lastMs = Math.max(lastMs, tally.lastMs);
      if (performance.now() - lastMs > DRAIN_DEADLINE_MS) return;
      await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
    }
  }

  /** Closes all connections. */
  close(): void {
    for (const connection of [...this.#publishers, ...this.#subscribers]) connection.close();
  }
}

async function repeat<T>(count: number, connect: (i: number) => Promise<T>): Promise<T[]> {
  const connected: T[] = [];
  while (connected.length < count) {
    const length = Math.min(CONNECTING_AT_ONCE, count - connected.length);
    connected.push(...await Promise.all(Array.from({ length }, (_, i) => connect(connected.length + i))));
  }
  return connected;
}

function latencyOf(latenciesMs: readonly number[]): Latency {
  const sorted = latenciesMs.filter((ms) => !Number.isNaN(ms)).sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}
