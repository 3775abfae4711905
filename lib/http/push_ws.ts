/**
 * `GET` on a topic with `Upgrade: websocket`: its messages in text frames, one each, or lines of NDJSON.
 *
 * @module
 */

import type { MessageBus } from "../bus/bus.ts";
import type { Clock } from "../bus/clock.ts";
import type { EndReason, Subscription } from "../bus/subscription.ts";
import type { Since } from "../wire/since.ts";
import { encode, PlainFrames, type TextLines } from "./encodings.ts";
import type { FrameFormat } from "./handshake.ts";
import type { PushOptions } from "./push_options.ts";
import { Retry } from "./retry.ts";
import type { TurnBudget } from "./turn_budget.ts";

const CLOSE = {
  closed: { code: 1000, reason: "closed" },
  deleted: { code: 4404, reason: "the topic was deleted" },
  drained: { code: 1001, reason: "the server is shutting down" },
  stalled: { code: 4408, reason: "nothing was read for too long" },
} as const satisfies Record<EndReason, { code: number; reason: string }>;

// What a slow reader may cost beside the log: past it its cursor waits, until half of it is free.
const MAX_BUFFERED_BYTES = 128 * 1024;
// What is sent at once, if there is so much.
const BURST_BYTES = 64 * 1024;
const EVENTS = ["open", "message", "close", "error"] as const;
// The platform says nothing of a client that is gone before the handshake is written: its socket never opens.
const OPEN_DEADLINE_MS = 10_000;

/** Where a reader begins, what it is called and what it reads. */
export interface SocketReaderOptions {
  /** Where it begins. */
  readonly since: Since;
  /** What logs call it. */
  readonly label: string;
  /** What its frames are. */
  readonly frames: FrameFormat;
}

/** Subscribes sockets to topics of one bus. */
export class SocketPush {
  readonly #bus: MessageBus;
  readonly #clock: Clock;
  readonly #stallMs: number;
  readonly #budget: TurnBudget;
  readonly #senders: Record<FrameFormat, Sender>;

  /** Makes the edge for a bus. */
  constructor(bus: MessageBus, { stallMs, clock, lines, budget }: PushOptions) {
    this.#bus = bus;
    this.#clock = clock;
    this.#stallMs = stallMs;
    this.#budget = budget;
    this.#senders = { plain: new PlainSender(budget), ndjson: new LineSender(lines) };
  }

  /**
   * Subscribes to topics, before the socket is there: what its client publishes as soon as it has the answer to its
   * handshake must reach it.
   *
   * @throws {BusError} as `MessageBus.subscribe`.
   */
  subscribe(topics: string, { since, label, frames }: SocketReaderOptions): SocketReader {
    const sender = this.#senders[frames];
    return new SocketReader(this.#bus, topics, {
      since,
      label,
      stallMs: this.#stallMs,
      sender,
      clock: this.#clock,
      budget: this.#budget,
    });
  }
}

/** Sends what a subscription reads. */
interface Sender {
  /** Reads some and sends it. Returns whether there is more, or `full` if that exceeds `maxBytes`. */
  send(socket: WebSocket, subscription: Subscription, maxBytes: number): boolean | "full";
  /** Says that the subscription ends. */
  end(socket: WebSocket, subscription: Subscription, reason: EndReason): void;
}

/** One frame a message. */
class PlainSender implements Sender {
  readonly #frames: PlainFrames;

  constructor(budget: TurnBudget) {
    this.#frames = new PlainFrames(budget);
  }

  send(socket: WebSocket, subscription: Subscription, maxBytes: number): boolean | "full" {
    const delivery = subscription.read({ maxBytes });
    if (delivery === undefined) return false;
    if (delivery === "full") return delivery;
    for (const frame of encode(this.#frames, delivery, subscription)) socket.send(frame);
    return true;
  }

  end(): void {}
}

/** One frame for what there is, events included. */
class LineSender implements Sender {
  readonly #lines: TextLines;

  constructor(lines: TextLines) {
    this.#lines = lines;
  }

  send(socket: WebSocket, subscription: Subscription, maxBytes: number): boolean | "full" {
    let frame = "";
    for (let bytes = 0; bytes < BURST_BYTES;) {
      const delivery = subscription.read({ maxBytes: bytes === 0 ? maxBytes : BURST_BYTES - bytes });
      if (delivery === undefined || delivery === "full") {
        if (frame === "") return delivery === "full" ? "full" : false;
        break;
      }
      const lines = encode(this.#lines, delivery, subscription);
      bytes += delivery.event === "messages" ? delivery.bytes : lines.length;
      frame = frame === "" ? lines : frame + lines;
    }
    socket.send(frame);
    return true;
  }

  end(socket: WebSocket, { cursor, topic }: Subscription, reason: EndReason): void {
    if (reason === "deleted") socket.send(this.#lines.ofEvent({ event: "deleted", cursor, topic }));
    if (reason === "drained") socket.send(this.#lines.ofEvent({ event: "bye", cursor }));
  }
}

interface ReaderParts {
  readonly since: Since;
  readonly label: string;
  readonly stallMs: number;
  readonly sender: Sender;
  readonly clock: Clock;
  readonly budget: TurnBudget;
}

/** A subscription and the socket that reads it, from before the handshake is answered to the end of either. */
export class SocketReader {
  readonly #clock: Clock;
  readonly #sender: Sender;
  readonly #budget: TurnBudget;
  readonly #maxMessageBytes: number;
  readonly #subscription: Subscription;
  #socket: WebSocket | undefined;
  #ended: EndReason | undefined;
  /** Cancels the deadline to open. */
  #cancelDeadline: (() => void) | undefined;
  /** Made when it is needed: most sockets never are so full. */
  #retry: Retry | undefined;
  /** Whether there may be something that it has not read. */
  #behind = false;

  /** Subscribes. */
  constructor(bus: MessageBus, topics: string, { clock, sender, budget, ...options }: ReaderParts) {
    this.#clock = clock;
    this.#budget = budget;
    this.#sender = sender;
    this.#maxMessageBytes = bus.limits.maxPayloadBytes;
    this.#subscription = bus.subscribe(topics, {
      ...options,
      onReady: () => this.#send(),
      onEnd: (_subscription, reason) => this.#end(reason),
    });
  }

  /** Takes the socket, which need not be open yet. */
  serve(socket: WebSocket): void {
    this.#socket = socket;
    this.#cancelDeadline = this.#clock.schedule(() => this.leave(), OPEN_DEADLINE_MS);
    // Itself, not functions of their own: ten thousand idle sockets would have forty thousand of them.
    for (const type of EVENTS) socket.addEventListener(type, this);
  }

  /** What happens to the socket. */
  handleEvent(event: Event): void {
    switch (event.type) {
      case "open":
        this.#forgetDeadline();
        return this.#ended === undefined ? this.#send() : this.#close(this.#ended);
      // A subscriber has nothing to say. Its frames are read, so that pings are answered, and forgotten.
      case "message": {
        const { data } = event as MessageEvent<string | ArrayBuffer>;
        const length = typeof data === "string" ? data.length : data.byteLength;
        if (length > this.#maxMessageBytes) this.#socket!.close(1009, "message too large");
        return;
      }
      // Closed, or an error: either may come alone, or both, or one of them twice.
      default:
        this.leave();
    }
  }

  /** Ends the subscription because there is nobody to read it. */
  leave(): void {
    this.#subscription.close();
  }

  /** Sends what there is, as far as it fits into the socket's buffer; the rest a little later. */
  #send(): void {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return;
    for (;; this.#behind = true) {
      // Who is behind gives way; who had read everything is told of what is new at once.
      if (this.#behind && this.#budget.isSpent) return this.#budget.wait(() => this.#send());
      const buffered = socket.bufferedAmount;
      // Not read on for less: it would be told of a gap each time the log moves on.
      if (buffered > MAX_BUFFERED_BYTES - BURST_BYTES) return this.#sendLater();
      // A message larger than the buffer may have it for itself.
      const maxBytes = buffered === 0 ? Infinity : MAX_BUFFERED_BYTES - buffered;
      const more = this.#sender.send(socket, this.#subscription, maxBytes);
      if (more === false) {
        this.#behind = false;
        return;
      }
      if (more === "full") return this.#sendLater();
      this.#retry?.reset();
    }
  }

  #sendLater(): void {
    this.#behind = true;
    this.#retry ??= new Retry(this.#clock, () => this.#send());
    this.#retry.again();
  }

  #forgetDeadline(): void {
    this.#cancelDeadline?.();
    this.#cancelDeadline = undefined;
  }

  #end(reason: EndReason): void {
    this.#ended = reason;
    this.#forgetDeadline();
    this.#retry?.cancel();
    // A socket that is not open yet is closed when it opens.
    if (this.#socket?.readyState === WebSocket.OPEN) this.#close(reason);
  }

  #close(reason: EndReason): void {
    this.#sender.end(this.#socket!, this.#subscription, reason);
    this.#socket!.close(CLOSE[reason].code, CLOSE[reason].reason);
  }
}
