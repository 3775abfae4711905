/**
 * `GET` on a topic as a stream: server-sent events or NDJSON.
 *
 * @module
 */

import type { MessageBus } from "../bus/bus.ts";
import type { EndReason, Subscription } from "../bus/subscription.ts";
import { concat } from "../wire/concat.ts";
import type { Since } from "../wire/since.ts";
import { NDJSON } from "../wire/ndjson.ts";
import { encodeRetry, EVENT_STREAM } from "../wire/sse.ts";
import { ByteLines, encode, type Encoding, ServerSentEvents } from "./encodings.ts";
import { KeepAlive } from "./keep_alive.ts";
import type { PushOptions } from "./push_options.ts";
import { respond } from "./respond.ts";
import type { TurnBudget } from "./turn_budget.ts";

/** How messages are written into a stream. */
export type StreamFormat = "sse" | "ndjson";

/** Where a reader begins, and what it is called. */
export interface ReaderOptions {
  /** Where it begins. */
  readonly since: Since;
  /** What logs call it. */
  readonly label: string;
}

interface Format {
  readonly contentType: string;
  readonly encoding: Encoding<Uint8Array>;
  readonly keepAlive: Uint8Array;
  /** What comes before everything else. */
  greeting(): Uint8Array | undefined;
}

const encoder = new TextEncoder();

// What a slow reader may cost beside the log, together with as much that the platform keeps. Past it its cursor waits.
const MAX_BUFFERED_BYTES = 64 * 1024;
// So that the clients of a server that restarts don't come all at once.
const MIN_RETRY_MS = 1000;
const MAX_RETRY_MS = 5000;

/** What a stream breaks off with whose reader has stalled. `Deno.serve` tells its `onError` when the client notices. */
export class ReaderStalled extends Error {
  /** Always `ReaderStalled`. */
  override readonly name: string = "ReaderStalled";

  /** Makes the error. */
  constructor() {
    super("the reader took nothing for too long");
  }
}

/** Subscribes streams to topics of one bus. */
export class StreamPush {
  readonly #bus: MessageBus;
  readonly #stallMs: number;
  readonly #keepAlive: KeepAlive;
  readonly #budget: TurnBudget;
  readonly #formats: Record<StreamFormat, Format>;

  /** Makes the edge for a bus. */
  constructor(bus: MessageBus, { stallMs, clock, lines, budget }: PushOptions) {
    this.#bus = bus;
    this.#stallMs = stallMs;
    this.#keepAlive = new KeepAlive(clock);
    this.#budget = budget;
    this.#formats = {
      sse: {
        contentType: EVENT_STREAM,
        encoding: new ServerSentEvents(budget),
        keepAlive: encoder.encode(":\n\n"),
        greeting: () => encoder.encode(encodeRetry(randomBetween(MIN_RETRY_MS, MAX_RETRY_MS))),
      },
      ndjson: {
        contentType: NDJSON,
        encoding: new ByteLines(lines),
        keepAlive: encoder.encode("\n"),
        greeting: () => undefined,
      },
    };
  }

  /**
   * Subscribes to topics and answers with the stream.
   *
   * @throws {BusError} as `MessageBus.subscribe`.
   */
  subscribe(topics: string, format: StreamFormat, options: ReaderOptions): Response {
    const { contentType } = this.#formats[format];
    const reader = new StreamReader(this.#bus, topics, this.#formats[format], this.#keepAlive, {
      ...options,
      stallMs: this.#stallMs,
      budget: this.#budget,
    });
    // Proxies on nginx would otherwise collect some KiB before they pass anything on.
    return respond(200, reader.stream, contentType, { "x-accel-buffering": "no" });
  }
}

/** A subscription and the stream that is read from it. */
class StreamReader {
  readonly stream: ReadableStream<Uint8Array>;
  readonly #format: Format;
  readonly #subscription: Subscription;
  readonly #leaveKeepAlive: () => void;
  readonly #budget: TurnBudget;
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  /** Whether there may be something that the stream had no room for, or the turn no time. */
  #behind = false;
  /** Whether it waits for another turn. */
  #waits = false;

  constructor(
    bus: MessageBus,
    topics: string,
    format: Format,
    keepAlive: KeepAlive,
    { budget, ...options }: ReaderOptions & { stallMs: number; budget: TurnBudget },
  ) {
    this.#format = format;
    this.#budget = budget;
    this.#subscription = bus.subscribe(topics, {
      ...options,
      onReady: () => this.#send(),
      onEnd: (_subscription, reason) => this.#end(reason),
    });
    this.stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
        const greeting = format.greeting();
        if (greeting !== undefined) controller.enqueue(greeting);
      },
      pull: () => {
        if (this.#behind && !this.#waits) this.#send();
      },
      cancel: () => this.#subscription.close(),
    }, new ByteLengthQueuingStrategy({ highWaterMark: MAX_BUFFERED_BYTES }));
    this.#leaveKeepAlive = keepAlive.add(() => this.#beat());
  }

  /** Sends what there is in one chunk, or several if it is much, as far as the stream has room; the rest when it has. */
  #send(): void {
    const controller = this.#controller;
    while (controller.desiredSize! > 0) {
      // Who is behind gives way; who had read everything is told of what is new at once.
      if (this.#behind && this.#budget.isSpent) return this.#wait();
      const chunk = this.#nextChunk();
      if (chunk === undefined) {
        this.#behind = false;
        return;
      }
      controller.enqueue(chunk);
      this.#behind = true;
    }
    this.#behind = true;
  }

  #wait(): void {
    this.#waits = true;
    this.#budget.wait(() => {
      this.#waits = false;
      this.#send();
    });
  }

  #nextChunk(): Uint8Array | undefined {
    const subscription = this.#subscription;
    const { encoding } = this.#format;
    let only: Uint8Array | undefined;
    let all: Uint8Array[] | undefined;
    for (let bytes = 0; bytes < MAX_BUFFERED_BYTES;) {
      const delivery = subscription.read(bytes === 0 ? undefined : { maxBytes: MAX_BUFFERED_BYTES - bytes });
      if (delivery === undefined || delivery === "full") break;
      const piece = encode(encoding, delivery, subscription);
      bytes += piece.length;
      // Nearly always there is one, which all subscribers at this position share.
      if (only === undefined) only = piece;
      else (all ??= [only]).push(piece);
    }
    return all === undefined ? only : concat(all);
  }

  #beat(): void {
    if (this.#controller.desiredSize! > 0) this.#controller.enqueue(this.#format.keepAlive);
  }

  #end(reason: EndReason): void {
    this.#leaveKeepAlive();
    const controller = this.#controller;
    const { encoding } = this.#format;
    const { cursor, topic } = this.#subscription;
    switch (reason) {
      case "closed":
        return;
      case "stalled":
        // Drops what is queued here; what the platform has taken already goes when the connection does.
        return controller.error(new ReaderStalled());
      case "deleted":
        controller.enqueue(encoding.ofEvent({ event: "deleted", cursor, topic }));
        return controller.close();
      case "drained":
        controller.enqueue(encoding.ofEvent({ event: "bye", cursor }));
        return controller.close();
    }
  }
}

function randomBetween(min: number, max: number): number {
  return Math.floor(min + Math.random() * (max - min));
}
