/**
 * The counts that neither the bus nor the platform keeps.
 *
 * @module
 */

import type { Observer } from "../bus/observer.ts";
import type { EndReason, Subscription } from "../bus/subscription.ts";
import { ERROR_CODES, type ErrorCode } from "../errors.ts";
import type { Gap, GapReason } from "../event.ts";
import type { Answer } from "../http/handler.ts";
import type { Route } from "../http/head.ts";
import type { Message } from "../message.ts";
import type { Sample } from "./exposition.ts";
import { Histogram } from "./histogram.ts";

/** The methods that are counted by name; there is no end to those that clients can make up. */
const METHODS: readonly string[] = ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"];
const OTHER_METHOD = METHODS.length;
const STATUSES = 600;

/** From a request that only looks something up to one that waits for a message, in seconds. */
const DURATION_BOUNDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30];
/** From a disk that only says that it has synced to one that hangs, in seconds. */
const COMMIT_BOUNDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30];
/** From what a timer is late anyway to what clients take for an outage, in seconds. */
const LAG_BOUNDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];

/**
 * Counts what a bus and its handler do: give it to the bus as its observer, and each answer to
 * {@linkcode Metrics.answered}. `encodeMetrics` writes what it has counted. Counting allocates nothing.
 *
 * @example
 * ```ts
 * import { createHandler, encodeMetrics, MessageBus, Metrics } from "@msgbus/msgbus";
 *
 * const metrics = new Metrics();
 * const bus = new MessageBus({ observer: metrics });
 * const handler = createHandler(bus, {
 *   onAnswer: (answer) => metrics.answered(answer),
 *   metrics: () => encodeMetrics({ bus, metrics, topics: 20 }),
 * });
 * ```
 */
export class Metrics implements Observer {
  #publishedBytes = 0;
  #postponed = 0;
  readonly #gaps: Record<GapReason, number> = { expired: 0, dropped: 0, damaged: 0, reset: 0 };
  readonly #missed: Record<GapReason, number> = { expired: 0, dropped: 0, damaged: 0, reset: 0 };
  readonly #ended: Record<EndReason, number> = { closed: 0, deleted: 0, drained: 0, stalled: 0 };
  readonly #errors = Object.fromEntries(ERROR_CODES.map((code) => [code, 0])) as Record<ErrorCode, number>;
  /** Answers by method and status: a row of all statuses for each method. */
  readonly #answers = new Float64Array((METHODS.length + 1) * STATUSES);
  readonly #durations: Readonly<Record<Route, Histogram>> = {
    publish: new Histogram(DURATION_BOUNDS),
    pull: new Histogram(DURATION_BOUNDS),
    subscribe: new Histogram(DURATION_BOUNDS),
    other: new Histogram(DURATION_BOUNDS),
  };
  readonly #lags = new Histogram(LAG_BOUNDS);
  readonly #commits = new Histogram(COMMIT_BOUNDS);
  #changes = 0;

  /** Counts the payload of a message. */
  published(message: Message): void {
    this.#publishedBytes += message.payload.length;
  }

  /** Counts that a message was due and could not be published. */
  postponed(): void {
    this.#postponed++;
  }

  /** Counts a gap, and the messages in it as far as their number is known. */
  gap({ reason, from, to }: Gap): void {
    this.#gaps[reason]++;
    if (from !== null && to !== null) this.#missed[reason] += to - from + 1;
  }

  /** Counts the end of a subscription. */
  unsubscribed(_subscription: Subscription, reason: EndReason): void {
    this.#ended[reason]++;
  }

  /** Counts a message over a WebSocket that was refused; give it to `HandlerOptions.onMessageRefused`. */
  refused(code: ErrorCode): void {
    this.#errors[code]++;
  }

  /** Counts a request that was answered. */
  answered({ method, status, route, error, seconds }: Answer): void {
    const known = METHODS.indexOf(method);
    this.#answers[(known < 0 ? OTHER_METHOD : known) * STATUSES + status]!++;
    this.#durations[route].observe(seconds);
    if (error !== undefined) this.#errors[error]++;
  }

  /** Counts how late the event loop was. */
  lagged(seconds: number): void {
    this.#lags.observe(seconds);
  }

  /** Counts a transaction of the journal: how long it took until it was on the disk, and how many changes it had. */
  committed({ seconds, changes }: { readonly seconds: number; readonly changes: number }): void {
    this.#commits.observe(seconds);
    this.#changes += changes;
  }

  /** Bytes of the payloads published. */
  get publishedBytes(): number {
    return this.#publishedBytes;
  }

  /** How often a message was due and could not be published. */
  get postponements(): number {
    return this.#postponed;
  }

  /** How often readers were told of missing messages, by reason. */
  get gaps(): Readonly<Record<GapReason, number>> {
    return this.#gaps;
  }

  /** The messages they were told of, by reason. */
  get missed(): Readonly<Record<GapReason, number>> {
    return this.#missed;
  }

  /** The subscriptions that have ended, by reason. */
  get ended(): Readonly<Record<EndReason, number>> {
    return this.#ended;
  }

  /** The requests that were refused or failed, by code. */
  get errors(): Readonly<Record<ErrorCode, number>> {
    return this.#errors;
  }

  /** How many requests were answered. */
  get requests(): number {
    return this.#answers.reduce((sum, count) => sum + count, 0);
  }

  /** The requests that were answered, by method and status; what never happened is left out. */
  answers(): Sample[] {
    return [...this.#answers].flatMap((value, i) => {
      if (value === 0) return [];
      const method = METHODS[Math.floor(i / STATUSES)] ?? "other";
      return [{ labels: { method, code: String(i % STATUSES) }, value }];
    });
  }

  /** How late the event loop was. */
  lags(): Sample[] {
    return this.#lags.samples();
  }

  /** How long transactions of the journal took. */
  commits(): Sample[] {
    return this.#commits.samples();
  }

  /** The changes in them. */
  get changes(): number {
    return this.#changes;
  }

  /** How long requests took, by route. */
  durations(): Sample[] {
    return Object.entries(this.#durations).flatMap(([route, histogram]) => histogram.samples({ route }));
  }
}
