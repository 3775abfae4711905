/**
 * Requests: messages whose publisher waits for an answer.
 *
 * @module
 */

import { assertContentType, withServerHeaders } from "../attributes.ts";
import { BusError, quote } from "../errors.ts";
import type { BusRequestOptions, Reply, ReplyOptions, RequestOutcome } from "./answers.ts";
import { type Clock, MAX_SLEEP_MS } from "./clock.ts";
import { assertPayload, bytesOf, type Intake, wantedOf } from "./intake.ts";
import { Tokens } from "./tokens.ts";

/** The header of a message that says how to answer it. */
const REPLY_TO = "msgbus-reply-to";
/** How long a request waits that doesn't say, in milliseconds. */
const DEFAULT_TIMEOUT_MS = 30_000;

/** How long a request waits. */
interface AwaitOptions {
  /** In milliseconds. */
  readonly timeoutMs: number;
  /** Ends the wait when it aborts. */
  readonly signal?: AbortSignal | undefined;
}

/** What {@linkcode Requests} work with. */
export interface RequestsParts {
  readonly clock: Clock;
  readonly intake: Intake;
  /** How much an answer may have, in bytes. */
  readonly maxPayloadBytes: number;
}

/** One request that may be answered. */
class OpenRequest {
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
  close(): void {
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

  /** See `MessageBus.request`; `assertOpen` throws if it may not be used any more. */
  async ask(
    topic: string,
    payload: string | Uint8Array,
    options: BusRequestOptions,
    assertOpen: () => void,
  ): Promise<RequestOutcome> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, signal, ...others } = options;
    if (!Number.isInteger(timeoutMs) || timeoutMs < 0 || timeoutMs > MAX_SLEEP_MS) {
      throw new BusError("bad_option", `Cannot wait for an answer: bad timeoutMs ${timeoutMs}`);
    }
    signal?.throwIfAborted();
    const { ttlMs, ifMatch, attributes: said } = wantedOf(others);
    // Before it is published: whoever sees the message may answer in the same turn.
    const request = this.#openRequest();
    try {
      const attributes = withServerHeaders(said, { [REPLY_TO]: request.token });
      const wanted = { ttlMs, ifMatch, attributes, idempotencyKey: undefined };
      const receipt = await this.#parts.intake.publish(topic, [payload], wanted, assertOpen);
      return { receipt, reply: await request.answered({ timeoutMs, signal }) };
    } finally {
      request.close();
    }
  }

  #openRequest(): OpenRequest {
    if (this.#draining) throw drained();
    const token = this.#tokens.next();
    const request = new OpenRequest(this.#parts.clock, token, () => this.#open.delete(token));
    this.#open.set(token, request);
    return request;
  }

  /** See `MessageBus.reply`. */
  reply(token: string, payload: string | Uint8Array, { contentType }: ReplyOptions): void {
    if (contentType !== undefined) assertContentType(contentType);
    assertPayload(payload);
    const bytes = bytesOf(payload);
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
