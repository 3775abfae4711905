/**
 * The worker that `Client.work` makes.
 *
 * @module
 */

import { type Batch, MAX_LEASE_MS, MIN_LEASE_MS } from "../bus/answers.ts";
import { BusError, escapeControls } from "../errors.ts";
import type { Message } from "../message.ts";
import { canonicalTopicName } from "../topic_name.ts";
import { pathOf } from "./address.ts";
import { Attempts } from "./attempts.ts";
import { type ClientClock, DEFAULT_WAITS, machineClock, pause } from "./backoff.ts";
import { withDeadline } from "./deadline.ts";
import { refusalOf } from "./failure.ts";
import { ACK_PATH, extendPath, nackPath, settle } from "./groups.ts";
import { KeptLease } from "./kept_lease.ts";
import { assertSince, batchOf, pullPath } from "./reading.ts";
import { isMissing, type Requests } from "./requests.ts";
import { Settler } from "./settler.ts";
import { type ClientWorker, MAX_DELAY_MS, Retry, type WorkHandler, type WorkOptions } from "./work.ts";

// Well below what proxies cut.
const POLL_MS = 30_000;
const ANSWER_TIMEOUT_MS = 30_000;
const CLOSE_TIMEOUT_MS = 5_000;
const MAX_PULLED = 1000;
/** How many results may be on their way while as many handlers as may run do. */
const MAX_SETTLING = 16;
/** A server that has nothing, and says so at once though it was asked to wait, is asked again after a while. */
const HASTY_MS = 1_000;
const MAX_REASON_BYTES = 1024;
const MAX_REMEMBERED = 10_000;

/** What is left of the server's answer to a pull that may find no room. */
type Leased = Batch | { readonly full: BusError; readonly waitMs: number };

/** A message that a handler has. */
interface Job {
  readonly message: Message;
  readonly token: string;
  readonly lease: KeptLease;
}

/** The {@linkcode ClientWorker} of a {@linkcode Client}. */
export class LeaseWorker implements ClientWorker {
  readonly topic: string;
  readonly group: string;
  readonly ready: Promise<void>;
  readonly ended: Promise<void>;

  readonly #requests: Requests;
  readonly #options: WorkOptions;
  readonly #handler: WorkHandler;
  readonly #clock: ClientClock;
  readonly #leaseMs: number;
  readonly #parallel: number;
  readonly #attempts: Attempts;
  readonly #settler: Settler;
  /** Aborts when no more messages are wanted. */
  readonly #draining = new AbortController();
  /** Aborts when nothing is wanted any more. */
  readonly #stop = new AbortController();
  readonly #becameReady = Promise.withResolvers<void>();
  readonly #running = new Set<Job>();
  /** When the leases end whose results are on their way. */
  readonly #settling = new Map<string, number>();
  /** How often this worker has handed a message back without counting. */
  readonly #uncounted = new Map<string, number>();
  #bell = Promise.withResolvers<void>();
  #failure: { readonly error: unknown } | undefined;
  #isFull = false;
  #isClosed = false;

  /** Begins at once. */
  constructor(requests: Requests, topic: string, options: WorkOptions, handler: WorkHandler) {
    pathOf(topic);
    const { group = "", from, leaseMs = 30_000, parallel = 1, clock = machineClock, signal } = options;
    const { minWaitMs = DEFAULT_WAITS.minWaitMs, maxWaitMs = DEFAULT_WAITS.maxWaitMs } = options;
    if (from !== undefined) assertSince(from);
    assertWithin("leaseMs", leaseMs, MIN_LEASE_MS, MAX_LEASE_MS);
    assertWithin("parallel", parallel, 1, Number.MAX_SAFE_INTEGER);
    assertWithin("maxDelayMs", options.maxDelayMs ?? 0, 0, MAX_DELAY_MS);
    this.topic = canonicalTopicName(topic);
    this.group = group;
    this.#requests = requests;
    this.#options = options;
    this.#handler = handler;
    this.#clock = clock;
    this.#leaseMs = leaseMs;
    this.#parallel = parallel;
    this.#attempts = new Attempts({
      minWaitMs,
      maxWaitMs,
      clock,
      // A lease must not end for a wait.
      longestWaitMs: () => this.#isHolding ? leaseMs / 6 : Infinity,
      onConnect: () => {
        this.#becameReady.resolve();
        this.#tell(() => options.onConnect?.());
      },
      onReconnect: (notice) => this.#tell(() => options.onReconnect?.(notice)),
    });
    this.#settler = new Settler({
      send: (path, tokens) => this.#send(path, tokens),
      attempts: this.#attempts,
      clock,
      signal: this.#stop.signal,
    });
    this.ready = this.#becameReady.promise;
    this.ready.catch(() => {});
    if (signal?.aborted) this.#beginDrain();
    else signal?.addEventListener("abort", this.#beginDrain, { once: true });
    this.ended = this.#run();
  }

  drain(): Promise<void> {
    this.#beginDrain();
    return this.ended;
  }

  close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      this.#beginDrain();
      for (const job of this.#running) {
        this.#running.delete(job);
        job.lease.release();
        job.lease.abort(new BusError("already_closed", "The worker was closed"));
        void this.#handBack(job.message, job.token);
      }
      void pause(this.#clock, CLOSE_TIMEOUT_MS, this.#stop.signal).then(() => this.#stop.abort());
      this.#ring();
    }
    return this.ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.drain();
  }

  readonly #beginDrain = () => {
    this.#draining.abort();
    this.#ring();
  };

  #ring(): void {
    this.#bell.resolve();
    this.#bell = Promise.withResolvers();
  }

  /** Runs what the user gave; what it throws ends the worker, not the process. */
  #tell(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#beginDrain();
  }

  async #run(): Promise<void> {
    // What is wrong with the first answer is told to who has this worker.
    await Promise.resolve();
    try {
      while (!this.#draining.signal.aborted) {
        const room = this.#room();
        if (room > 0) await this.#take(room);
        else await this.#bell.promise;
      }
    } catch (error) {
      this.#fail(error);
    }
    await this.#finish();
    this.#options.signal?.removeEventListener("abort", this.#beginDrain);
    const ended = new BusError("already_closed", `Cannot wait for ${this.#requests.uri}: the worker has ended`);
    this.#becameReady.reject(this.#failure === undefined ? ended : this.#failure.error);
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Waits for the handlers, and for their results to arrive while their leases last. */
  async #finish(): Promise<void> {
    while (this.#running.size > 0) await this.#bell.promise;
    while (this.#settling.size > 0 && !this.#stop.signal.aborted) {
      const leftMs = Math.max(...this.#settling.values()) - this.#clock.now();
      if (leftMs <= 0) break;
      const changed = new AbortController();
      void this.#bell.promise.then(() => changed.abort());
      await pause(this.#clock, leftMs, changed.signal);
    }
    this.#stop.abort();
    while (this.#settling.size > 0) await this.#bell.promise;
  }

  /** Whether there is a message that nobody else may have. */
  get #isHolding(): boolean {
    return [...this.#running].some(({ lease }) => !lease.signal.aborted);
  }

  /** How many messages may be leased now. */
  #room(): number {
    const running = this.#running.size;
    return Math.min(this.#parallel - running, this.#parallel + MAX_SETTLING - running - this.#settling.size);
  }

  /** Leases messages, at most `limit`, and begins with them. */
  async #take(limit: number): Promise<void> {
    const { signal } = this.#draining;
    // The first question is answered at once, so that it is known whether anybody is there.
    const waitMs = this.#attempts.isAnswered ? POLL_MS : undefined;
    const askedMs = this.#clock.now();
    const leased = await this.#attempts.make(async () => {
      await this.#deliveredOverdue();
      return await this.#lease(Math.min(limit, MAX_PULLED), waitMs);
    }, signal);
    if (leased === undefined) return;
    if ("full" in leased) return await this.#waitForRoom(leased.full, leased.waitMs);
    this.#isFull = false;
    const { messages, gap } = leased;
    if (gap !== undefined) this.#tell(() => this.#options.onGap?.(gap));
    for (const message of messages) this.#begin(message);
    if (messages.length > 0 || gap !== undefined || waitMs === undefined) return;
    if (this.#clock.now() - askedMs < HASTY_MS) await pause(this.#clock, HASTY_MS, signal);
  }

  /** A message whose result is on its way must not be leased again before that arrives. */
  async #deliveredOverdue(): Promise<void> {
    const isOverdue = () => [...this.#settling.values()].some((endMs) => endMs <= this.#clock.now());
    while (!this.#draining.signal.aborted && isOverdue()) await this.#bell.promise;
  }

  async #waitForRoom(reason: BusError, waitMs: number): Promise<void> {
    if (!this.#isFull) this.#tell(() => this.#options.onReconnect?.({ reason, waitMs }));
    this.#isFull = true;
    await pause(this.#clock, waitMs, this.#draining.signal);
  }

  async #lease(limit: number, waitMs: number | undefined): Promise<Leased> {
    const { topic, group } = this;
    const requests = this.#requests;
    const path = pullPath(topic, { group, from: this.#options.from, leaseMs: this.#leaseMs, limit, waitMs });
    const timeoutMs = (waitMs ?? 0) + ANSWER_TIMEOUT_MS;
    const deadline = { uri: requests.uri, clock: this.#clock, timeoutMs, signal: this.#draining.signal };
    return await withDeadline(deadline, async (signal, commit) => {
      const response = await requests.send("GET", path, { signal });
      // What has been leased is to be read, to be handed back if need be.
      commit();
      const { headers } = response;
      if (isMissing(response)) {
        await response.body?.cancel();
        return batchOf(headers, undefined, topic);
      }
      if (!response.ok) {
        const error = await refusalOf(response);
        if (error.code !== "too_many_leased") throw error;
        return { full: error, waitMs: error.retryAfterMs ?? 1000 };
      }
      return batchOf(headers, await requests.text(response, { signal }), topic);
    });
  }

  async #send(path: string, tokens: readonly string[]) {
    const { uri } = this.#requests;
    // A server that has vanished is to be noticed before the lease is over.
    const timeoutMs = Math.min(ANSWER_TIMEOUT_MS, this.#leaseMs / 3);
    const deadline = { uri, clock: this.#clock, timeoutMs, signal: this.#stop.signal };
    return await withDeadline(deadline, (signal) => settle(this.#requests, path, tokens, { signal }));
  }

  #begin(message: Message): void {
    const token = message.lease;
    if (token === undefined) {
      throw new BusError("unexpected_answer", `${this.#requests.uri} answers with a message without a lease`);
    }
    // It came when nobody wanted it any more.
    if (this.#draining.signal.aborted) return void this.#handBack(message, token);
    const lease = new KeptLease({
      leaseMs: this.#leaseMs,
      clock: this.#clock,
      extend: () => this.#settle(extendPath(this.#leaseMs), token),
      onLost: () => this.#tell(() => this.#options.onLost?.(message)),
    });
    const job: Job = { message, token, lease };
    this.#running.add(job);
    void this.#handle(job);
  }

  async #handle(job: Job): Promise<void> {
    const { message, token, lease } = job;
    let path: string;
    try {
      await this.#handler(message, { signal: lease.signal });
      path = ACK_PATH;
      this.#uncounted.delete(nameOf(message));
    } catch (error) {
      // Of a closed worker nobody wants to know.
      if (this.#running.has(job)) this.#tell(() => this.#options.onFailure?.(error, message));
      path = this.#pathOfFailure(error, message);
    }
    lease.release();
    if (!this.#running.delete(job)) return;
    if (!lease.isUnknown) {
      void this.#deliver(message, { path, token, endMs: lease.endMs, wasLost: lease.signal.aborted });
    }
    this.#ring();
  }

  async #handBack(message: Message, token: string): Promise<void> {
    const endMs = this.#clock.now() + this.#leaseMs;
    await this.#deliver(message, { path: nackPath({ count: false }), token, endMs, wasLost: true });
  }

  /** Delivers a result; tells if that came to nothing and nothing was told before. */
  async #deliver(
    message: Message,
    { path, token, endMs, wasLost }: { path: string; token: string; endMs: number; wasLost: boolean },
  ): Promise<void> {
    this.#settling.set(token, endMs);
    const verdict = await this.#settle(path, token);
    this.#settling.delete(token);
    const isLost = verdict === undefined || (!verdict.isDone && !verdict.isRepeated);
    if (isLost && !wasLost) this.#tell(() => this.#options.onLost?.(message));
    this.#ring();
  }

  async #settle(path: string, token: string) {
    try {
      return await this.#settler.settle(path, token);
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  #pathOfFailure(error: unknown, message: Message): string {
    const { delayMs, count } = error instanceof Retry ? error : { delayMs: undefined, count: true };
    const name = nameOf(message);
    const uncounted = this.#uncounted.get(name) ?? 0;
    this.#uncounted.delete(name);
    if (!count) {
      this.#uncounted.set(name, uncounted + 1);
      if (this.#uncounted.size > MAX_REMEMBERED) this.#uncounted.delete(this.#uncounted.keys().next().value!);
    }
    const tries = (message.attempt ?? 1) - 1 + uncounted;
    return nackPath({ delayMs: Math.ceil(delayMs ?? this.#delayMs(tries)), reason: reasonOf(error), count });
  }

  /** How long to wait after so many tries before this one. */
  #delayMs(tries: number): number {
    const { minDelayMs = 1_000, maxDelayMs = 5 * 60_000 } = this.#options;
    return Math.min(minDelayMs * 2 ** tries, maxDelayMs) * (1 - this.#clock.random() / 2);
  }
}

function assertWithin(name: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new BusError("bad_option", `Bad ${name}: ${value} is not a whole number from ${min} to ${max}`);
}

/** What tells a message from all others of its bus. */
function nameOf({ id, topic }: Message): string {
  return `${id}@${topic.epoch}`;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What an error says, as the server takes it. */
function reasonOf(error: unknown): string | undefined {
  const said = error instanceof Error ? String(error.message || error.name) : typeof error === "string" ? error : "";
  const bytes = encoder.encode(escapeControls(said));
  // What is cut through at the end is left out.
  const cut = decoder.decode(bytes.subarray(0, MAX_REASON_BYTES), { stream: bytes.length > MAX_REASON_BYTES });
  decoder.decode();
  return cut === "" ? undefined : cut;
}
