/**
 * A subscription over the network: a WebSocket, and another one when it is lost.
 *
 * @module
 */

import { BusError } from "../errors.ts";
import type { ControlEvent } from "../event.ts";
import { Message } from "../message.ts";
import type { Pattern } from "./address.ts";
import { Backoff, type ClientClock, DEFAULT_WAITS, machineClock, pause } from "./backoff.ts";
import { connect, type Ending } from "./connection.ts";
import { closedBy, unreachable } from "./failure.ts";
import { Inbox } from "./inbox.ts";
import { decodeLine, linesOf } from "./lines.ts";
import { Position } from "./position.ts";
import { Progress } from "./progress.ts";
import type { ClientSubscribeOptions, ClientSubscription } from "./subscription.ts";

/** What a {@linkcode SocketSubscription} needs of its client. */
export interface SubscriptionHost {
  /** The base URI of the bus. */
  readonly uri: string;
  /** Finds out why a connection could not be made, and whether trying again makes sense. */
  diagnose(signal: AbortSignal): Promise<Failure>;
}

/** Why a subscription has no connection. */
export interface Failure {
  /** What happened. */
  readonly error: BusError;
  /** Whether it may pass. */
  readonly transient: boolean;
  /** Whether the server would serve the topic, and only the WebSocket is missing. */
  readonly noSocket?: boolean;
}

const OVER_LIMIT = 1013;
const DELETED = 4404;
const STALLED = 4408;
// The second for servers that know only the first format, one envelope a frame.
const PROTOCOLS = ["msgbus.ndjson", "msgbus"];

/** The {@linkcode ClientSubscription} that `Client.subscribe` makes. */
export class SocketSubscription implements ClientSubscription {
  readonly topic: string;
  readonly ready: Promise<void>;
  readonly closed: Promise<void>;

  readonly #host: SubscriptionHost;
  readonly #pattern: Pattern;
  readonly #options: ClientSubscribeOptions;
  readonly #clock: ClientClock;
  /** Of what was received. */
  readonly #progress: Progress;
  /** Of what was handed out. */
  readonly #position: Position;
  readonly #inbox = new Inbox<Message | ControlEvent>();
  readonly #stop = new AbortController();
  readonly #becameReady = Promise.withResolvers<void>();
  #bell = Promise.withResolvers<void>();
  #onDrained: (() => void) | undefined;
  /** Iterations that wait for something to take. */
  #waiting = 0;
  #ended: { readonly error?: unknown } | undefined;
  /** Whether the connection has brought a message. */
  #worked = false;
  #deleted = false;

  /** Connects at once. */
  constructor(host: SubscriptionHost, pattern: Pattern, options: ClientSubscribeOptions) {
    this.#host = host;
    this.#pattern = pattern;
    this.topic = pattern.text;
    this.#options = options;
    this.#clock = options.clock ?? machineClock;
    this.#progress = new Progress(pattern.several, options.since);
    this.#position = new Position(pattern.several);
    this.ready = this.#becameReady.promise;
    this.ready.catch(() => {});
    const { signal } = options;
    if (signal?.aborted) this.close();
    else signal?.addEventListener("abort", this.#onAbort, { once: true });
    this.closed = this.#run();
  }

  get cursor(): string | undefined {
    return this.#position.text;
  }

  close(): void {
    this.#inbox.clear();
    this.#end({});
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Message, void, void> {
    try {
      for (;;) {
        const next = this.#inbox.shift();
        if (next !== undefined) {
          this.#position.note(next);
          if (next instanceof Message) yield next;
          else this.#options.onEvent?.(next);
        } else if (this.#ended !== undefined) {
          if ("error" in this.#ended) throw this.#ended.error;
          return;
        } else {
          this.#waiting++;
          this.#onDrained?.();
          await this.#bell.promise;
          this.#waiting--;
        }
      }
    } finally {
      this.close();
    }
  }

  readonly #onAbort = () => this.close();

  #ring(): void {
    this.#bell.resolve();
    this.#bell = Promise.withResolvers();
  }

  #end(how: { readonly error?: unknown }): void {
    if (this.#ended !== undefined) return;
    this.#ended = how;
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    this.#becameReady.reject(
      how.error ?? new BusError("already_closed", `Cannot wait for ${this.#host.uri}: the subscription is closed`),
    );
    this.#stop.abort();
    this.#onDrained?.();
    this.#ring();
  }

  /** Holds a connection until the end. */
  async #run(): Promise<void> {
    const { minWaitMs = DEFAULT_WAITS.minWaitMs, maxWaitMs = DEFAULT_WAITS.maxWaitMs } = this.#options;
    const { reconnect = true, onReconnect } = this.#options;
    const backoff = new Backoff({ minWaitMs, maxWaitMs, random: () => this.#clock.random() });
    let protocols = PROTOCOLS;
    try {
      while (this.#ended === undefined) {
        const ending = await this.#connection(protocols);
        if (this.#ended !== undefined) return;
        if (this.#deleted || (ending.kind === "closed" && ending.code === DELETED)) return this.#end({});
        const { error, transient, noSocket } = await this.#judge(ending);
        if (this.#ended !== undefined) return;
        // Browsers hang up on a server that chooses no subprotocol, as the original.
        const tryPlain = noSocket === true && protocols.length > 0;
        protocols = tryPlain ? [] : PROTOCOLS;
        if (tryPlain) continue;
        if (!transient || !reconnect) return this.#end({ error });
        if (ending.kind === "refused") {
          onReconnect?.({ reason: error, waitMs: 0 });
          await this.#drained();
        } else {
          if (this.#hasWorked(ending, minWaitMs)) backoff.reset();
          const waitMs = backoff.next();
          onReconnect?.({ reason: error, waitMs });
          await pause(this.#clock, waitMs, this.#stop.signal);
        }
      }
    } catch (error) {
      this.#end({ error });
    }
  }

  /** Makes a connection and resolves when it is over. */
  #connection(protocols: readonly string[]): Promise<Ending> {
    this.#worked = false;
    const since = this.#progress.reconnect();
    const query = since === undefined || since === "latest" ? "" : `?since=${encodeURIComponent(since)}`;
    return connect({
      url: this.#host.uri.replace(/^http/, "ws") + this.#pattern.path + query,
      protocols,
      signal: this.#stop.signal,
      clock: this.#clock,
      onOpen: () => {
        this.#becameReady.resolve();
        this.#attempt(this.#options.onConnect);
      },
      onFrame: (data) => this.#receive(data),
    });
  }

  /** Takes a frame; returns whether there is room for another. */
  #receive(data: unknown): boolean {
    const { maxBufferedBytes = 16 * 1024 ** 2 } = this.#options;
    try {
      if (typeof data !== "string") throw new BusError("unexpected_answer", `${this.#host.uri} sent a binary frame`);
      // At once, not when it is handed out: what the reader has already must not count as waiting.
      for (const text of linesOf(data)) {
        const line = decodeLine(text);
        if (line instanceof Message) this.#worked = true;
        else if (line.event === "deleted" && !this.#pattern.several) this.#deleted = true;
        for (const item of this.#progress.note(line)) this.#inbox.push(item, text.length);
      }
    } catch (error) {
      this.#end({ error });
      return true;
    }
    this.#ring();
    return this.#inbox.size <= maxBufferedBytes;
  }

  #hasWorked(ending: Ending, minWaitMs: number): boolean {
    if (ending.kind !== "closed" || ending.code === OVER_LIMIT) return false;
    return this.#worked || ending.lastedMs >= minWaitMs;
  }

  /** Runs what the user gave; what it throws ends the iteration, not the process. */
  #attempt(callback: (() => void) | undefined): void {
    try {
      callback?.();
    } catch (error) {
      this.#end({ error });
    }
  }

  async #judge(ending: Ending): Promise<Failure> {
    const { uri } = this.#host;
    switch (ending.kind) {
      case "failed":
        return await this.#host.diagnose(this.#stop.signal);
      case "refused": {
        const said = `Too slow for ${uri}: ${this.#inbox.size} bytes wait to be read`;
        return { error: new BusError("overloaded", said), transient: true };
      }
      case "closed": {
        const { code, reason } = ending;
        if (code >= 4400 && code < 4500 && code !== STALLED) {
          return { error: closedBy(uri, code, reason), transient: false };
        }
        const why = reason || (code === 1001 ? "the server went away" : "the connection was lost");
        return { error: unreachable(uri, new Error(why)), transient: true };
      }
    }
  }

  /** Resolves when the reader has taken everything and asks for more, and at the end. */
  async #drained(): Promise<void> {
    if (this.#waiting > 0 && this.#inbox.size === 0) return;
    await new Promise<void>((resolve) => this.#onDrained = resolve);
    this.#onDrained = undefined;
  }
}
