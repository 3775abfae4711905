/**
 * A subscription over the network: a WebSocket, and another one when it is lost.
 *
 * @module
 */

import { BusError } from "../errors.ts";
import type { Message } from "../message.ts";
import { decodeEnvelope } from "../wire/json.ts";
import { Backoff, type ClientClock, machineClock } from "./backoff.ts";
import { closedBy, unreachable } from "./failure.ts";
import { FrameQueue } from "./frames.ts";

/** Why a subscription has no connection, and when it tries again; see {@linkcode ClientSubscribeOptions.onReconnect}. */
export interface ReconnectNotice {
  /** What happened. Its code is `unreachable` for a connection that was lost or could not be made. */
  readonly reason: BusError;
  /** How long it waits before it tries again, in milliseconds. */
  readonly waitMs: number;
}

/** How a {@linkcode ClientSubscription} behaves; everything has a default. */
export interface ClientSubscribeOptions {
  /** Closes the subscription when it aborts. */
  readonly signal?: AbortSignal;
  /**
   * Whether it connects again when there is no connection, for as long as it takes. If not, the iteration throws
   * `unreachable`. Default `true`.
   */
  readonly reconnect?: boolean;
  /**
   * The first wait before connecting again, in milliseconds; the next ones double, and each is cut by up to a half by
   * chance, so that the clients of a server that restarts don't come all at once. Default 2 s.
   */
  readonly minWaitMs?: number;
  /** The longest wait, in milliseconds. Default 64 s. */
  readonly maxWaitMs?: number;
  /**
   * How much may wait for the reader, in bytes (nearly: characters of the envelopes). A WebSocket can't be told to pause:
   * what arrives beyond this makes the subscription drop its connection, hand out what it has, and connect again, as
   * {@linkcode ClientSubscribeOptions.onReconnect} tells. Default 16 MiB.
   */
  readonly maxBufferedBytes?: number;
  /** Called when there is no connection, before the wait. */
  readonly onReconnect?: (notice: ReconnectNotice) => void;
  /** Called when there is a connection: the first one, and each one after. */
  readonly onConnect?: () => void;
  /** Where time and chance come from. Default: the machine. */
  readonly clock?: ClientClock;
}

/** What a {@linkcode SocketSubscription} needs of its client. */
export interface SubscriptionHost {
  /** The base URI of the bus, for messages. */
  readonly uri: string;
  /** The address to connect to. */
  readonly url: string;
  /** Finds out why a connection could not be made, and whether trying again makes sense. */
  diagnose(signal: AbortSignal): Promise<Failure>;
}

/** Why a subscription has no connection. */
export interface Failure {
  /** What happened. */
  readonly error: BusError;
  /** Whether it may pass. */
  readonly transient: boolean;
}

type Ending =
  | { readonly kind: "failed" }
  | { readonly kind: "closed"; readonly code: number; readonly reason: string; readonly worked: boolean }
  | { readonly kind: "flooded" };

const DELETED = 4404;
const STALLED = 4408;
const CONNECT_TIMEOUT_MS = 30_000;
const CLOSE_TIMEOUT_MS = 5_000;
// A socket of which the other end has vanished without a word tells so only when something is sent.
const PROBE_MS = 30_000;

/**
 * The messages of one topic as they are published, in the order of their ids.
 *
 * Iterate it with `for await`, which closes it at the end. The iteration ends when the topic is deleted or the
 * subscription is closed, and throws what can't be mended by connecting again. Two iterations of one subscription share
 * its messages. While there is no connection, messages are missed; the gap shows in their ids.
 */
export interface ClientSubscription extends AsyncIterable<Message, void, void>, Disposable {
  /** The canonical name of the topic. */
  readonly topic: string;
  /** The position after the message handed out last, `<n>@<epoch>`; `undefined` before the first. */
  readonly cursor: string | undefined;
  /**
   * Resolves at the first connection: what is published from then on arrives. Rejects if the subscription ends before;
   * need not be handled.
   */
  readonly ready: Promise<void>;
  /** Resolves when the subscription has ended and its connection is closed; never rejects. */
  readonly closed: Promise<void>;
  /** Ends the subscription; messages not handed out yet are dropped. A second call does nothing. */
  close(): void;
}

/** The {@linkcode ClientSubscription} that `Client.subscribe` makes. */
export class SocketSubscription implements ClientSubscription {
  readonly topic: string;
  readonly ready: Promise<void>;
  readonly closed: Promise<void>;

  readonly #host: SubscriptionHost;
  readonly #options: ClientSubscribeOptions;
  readonly #clock: ClientClock;
  readonly #frames = new FrameQueue();
  readonly #stop = new AbortController();
  readonly #becameReady = Promise.withResolvers<void>();
  #bell = Promise.withResolvers<void>();
  #onDrained: (() => void) | undefined;
  #ended: { readonly error?: unknown } | undefined;
  #cursor: string | undefined;

  /** Connects at once. */
  constructor(host: SubscriptionHost, topic: string, options: ClientSubscribeOptions) {
    this.#host = host;
    this.topic = topic;
    this.#options = options;
    this.#clock = options.clock ?? machineClock;
    this.ready = this.#becameReady.promise;
    this.ready.catch(() => {});
    const { signal } = options;
    if (signal?.aborted) this.close();
    else signal?.addEventListener("abort", this.#onAbort, { once: true });
    this.closed = this.#run();
  }

  get cursor(): string | undefined {
    return this.#cursor;
  }

  close(): void {
    this.#frames.clear();
    this.#end({});
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Message, void, void> {
    try {
      for (;;) {
        const frame = this.#frames.shift();
        if (frame !== undefined) {
          const message = decodeEnvelope(frame);
          this.#cursor = message.cursor;
          yield message;
        } else if (this.#ended !== undefined) {
          if ("error" in this.#ended) throw this.#ended.error;
          return;
        } else {
          this.#onDrained?.();
          await this.#bell.promise;
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
    const { minWaitMs = 2_000, maxWaitMs = 64_000, reconnect = true, onReconnect } = this.#options;
    const backoff = new Backoff({ minWaitMs, maxWaitMs, random: () => this.#clock.random() });
    try {
      while (this.#ended === undefined) {
        const ending = await this.#connection(minWaitMs);
        if (this.#ended !== undefined) return;
        if (ending.kind === "closed" && ending.code === DELETED) return this.#end({});
        const { error, transient } = await this.#judge(ending);
        if (this.#ended !== undefined) return;
        if (!transient || !reconnect) return this.#end({ error });
        if (ending.kind === "flooded") {
          onReconnect?.({ reason: error, waitMs: 0 });
          await this.#drained();
        } else {
          if (ending.kind === "closed" && ending.worked) backoff.reset();
          const waitMs = backoff.next();
          onReconnect?.({ reason: error, waitMs });
          await this.#sleep(waitMs);
        }
      }
    } catch (error) {
      this.#end({ error });
    }
  }

  /** Makes a connection and resolves when it is over. */
  #connection(minWaitMs: number): Promise<Ending> {
    const { promise, resolve } = Promise.withResolvers<Ending>();
    const { maxBufferedBytes = 16 * 1024 ** 2, onConnect } = this.#options;
    const socket = new WebSocket(this.#host.url);
    let openedMs: number | undefined;
    let worked = false;
    let cancelLeaving = () => {};
    const leave = () => {
      socket.onmessage = null;
      socket.close();
      // A server that has vanished never answers.
      const gone = { kind: "closed", code: 1006, reason: "", worked } as const;
      cancelLeaving = this.#clock.schedule(() => resolve(gone), CLOSE_TIMEOUT_MS);
    };
    const cancelTimeout = this.#clock.schedule(leave, CONNECT_TIMEOUT_MS);
    let cancelProbe = () => {};
    const probe = () => {
      if (socket.readyState === WebSocket.OPEN) socket.send("");
      cancelProbe = this.#clock.schedule(probe, PROBE_MS);
    };
    socket.onopen = () => {
      cancelTimeout();
      openedMs = this.#clock.now();
      cancelProbe = this.#clock.schedule(probe, PROBE_MS);
      this.#becameReady.resolve();
      this.#attempt(onConnect);
    };
    socket.onmessage = ({ data }) => {
      worked = true;
      if (typeof data !== "string") {
        return this.#end({ error: new BusError("unexpected_answer", `${this.#host.uri} sent a binary frame`) });
      }
      this.#frames.push(data);
      this.#ring();
      if (this.#frames.size <= maxBufferedBytes) return;
      leave();
      cancelProbe();
      resolve({ kind: "flooded" });
    };
    // Deno reports some lost connections only as an error, some as both.
    socket.onclose = socket.onerror = (event) => {
      if (event.type === "error" && socket.readyState !== WebSocket.CLOSED) return;
      cancelTimeout();
      cancelProbe();
      cancelLeaving();
      this.#stop.signal.removeEventListener("abort", leave);
      if (openedMs === undefined) return resolve({ kind: "failed" });
      worked ||= this.#clock.now() - openedMs >= minWaitMs;
      const { code = 1006, reason = "" } = event as CloseEvent;
      resolve({ kind: "closed", code, reason, worked });
    };
    if (this.#stop.signal.aborted) leave();
    else this.#stop.signal.addEventListener("abort", leave);
    return promise;
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
      case "flooded":
        return {
          error: new BusError(
            "overloaded",
            `Too slow for ${this.#host.uri}: ${this.#frames.size} bytes wait to be read`,
          ),
          transient: true,
        };
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
    await new Promise<void>((resolve) => this.#onDrained = resolve);
    this.#onDrained = undefined;
  }

  #sleep(waitMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { signal } = this.#stop;
    const wake = () => {
      cancel();
      signal.removeEventListener("abort", wake);
      resolve();
    };
    const cancel = this.#clock.schedule(wake, waitMs);
    signal.addEventListener("abort", wake);
    return promise;
  }
}
