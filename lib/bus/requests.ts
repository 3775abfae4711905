/**
 * Requests: messages whose publisher waits for an answer.
 *
 * @module
 */

import { assertContentType } from "../attributes.ts";
import { BusError, quote } from "../errors.ts";
import type { Reply, ReplyOptions } from "./answers.ts";
import { type Clock, MAX_SLEEP_MS } from "./clock.ts";
import { Tokens } from "./tokens.ts";

/** The header of a message that says how to answer it. */
export const REPLY_TO = "msgbus-reply-to";
/** How long a request waits that doesn't say, in milliseconds. */
export const DEFAULT_TIMEOUT_MS = 30_000;

/** How long a request waits. */
export interface AwaitOptions {
  /** In milliseconds. */
  readonly timeoutMs: number;
  /** Ends the wait when it aborts. */
  readonly signal?: AbortSignal | undefined;
}

/** What {@linkcode Requests} work with. */
export interface RequestsParts {
  readonly clock: Clock;
  /** How much an answer may have, in bytes. */
  readonly maxPayloadBytes: number;
}

const encoder = new TextEncoder();

/**
 * Checks how long a request is to wait: whole milliseconds, up to 24 days.
 *
 * @throws {BusError} `bad_option`.
 */
export function assertTimeout(timeoutMs: number): void {
  if (Number.isInteger(timeoutMs) && timeoutMs >= 0 && timeoutMs <= MAX_SLEEP_MS) return;
  throw new BusError("bad_option", `Cannot wait for an answer: bad timeoutMs ${timeoutMs}`);
}

/** One request that may be answered. */
export class OpenRequest implements Disposable {
  /** What answers it. */
  readonly token: string;
  readonly #clock: Clock;
  readonly #onClose: () => void;
  readonly #answered = Promise.withResolvers<Reply | undefined>();

  /** Opens a request; `onClose` is called when it can't be answered any more. */
  constructor(clock: Clock, token: string, onClose: () => void) {
    this.#clock = clock;
    this.token = token;
    this.#onClose = onClose;
    // Nobody may be waiting yet.
    this.#answered.promise.catch(() => {});
  }

  /** Answers it. */
  answer(reply: Reply): void {
    this.#onClose();
    this.#answered.resolve(reply);
  }

  /** Ends the wait for an answer with an error. */
  giveUp(reason: unknown): void {
    this.#onClose();
    this.#answered.reject(reason);
  }

  /**
   * The answer; `undefined` if time is up. Rejects with the signal's reason if it aborts.
   *
   * @throws {BusError} `draining`.
   */
  async answered({ timeoutMs, signal }: AwaitOptions): Promise<Reply | undefined> {
    const onAbort = () => this.giveUp(signal!.reason);
    const cancel = this.#clock.schedule(() => {
      this.#onClose();
      this.#answered.resolve(undefined);
    }, timeoutMs);
    if (signal?.aborted) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
    try {
      return await this.#answered.promise;
    } finally {
      cancel();
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** It can't be answered any more. */
  [Symbol.dispose](): void {
    this.#onClose();
  }
}

/** Keeps the requests that wait for an answer. */
export class Requests {
  readonly #parts: RequestsParts;
  readonly #tokens = new Tokens();
  readonly #open = new Map<string, OpenRequest>();
  #draining = false;

  /** Makes one that keeps none. */
  constructor(parts: RequestsParts) {
    this.#parts = parts;
  }

  /** How many wait. */
  get size(): number {
    return this.#open.size;
  }

  /**
   * Opens a request. Dispose it.
   *
   * @throws {BusError} `draining`.
   */
  open(): OpenRequest {
    if (this.#draining) throw drained();
    const token = this.#tokens.next();
    const request = new OpenRequest(this.#parts.clock, token, () => this.#open.delete(token));
    this.#open.set(token, request);
    return request;
  }

  /** See `MessageBus.reply`. */
  reply(token: string, payload: string | Uint8Array, { contentType }: ReplyOptions): void {
    if (contentType !== undefined) assertContentType(contentType);
    const bytes = typeof payload === "string" ? encoder.encode(payload) : payload;
    const { maxPayloadBytes } = this.#parts;
    if (bytes.length > maxPayloadBytes) {
      throw new BusError("too_large", `payload exceeds max-payload-size: ${bytes.length} > ${maxPayloadBytes}`);
    }
    const request = this.#open.get(token);
    if (request === undefined) {
      throw new BusError("reply_gone", `Cannot answer ${quote(token)}: nobody waits for it, or it was answered`);
    }
    request.answer({ payload: bytes, contentType });
  }

  /** Ends all waiting, and refuses further requests with `draining`. */
  drain(): void {
    this.#draining = true;
    for (const request of [...this.#open.values()]) request.giveUp(drained());
  }
}

function drained(): BusError {
  return new BusError("draining", "Cannot wait for an answer: the bus is shutting down");
}
