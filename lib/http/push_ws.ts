/**
 * `GET` on a topic with `Upgrade: websocket`: every message of the topic, one text frame each.
 *
 * @module
 */

import type { MessageBus } from "../bus/bus.ts";
import { type Clock, systemClock } from "../bus/clock.ts";
import type { EndReason, Subscription } from "../bus/subscription.ts";
import { BusError, quote } from "../errors.ts";
import { type Message, parseCursor, type Position } from "../message.ts";
import { encodeEnvelope, envelopeLength } from "../wire/json.ts";
import { checkHandshake, chooseProtocol } from "./handshake.ts";
import type { Head } from "./head.ts";
import { addStandardHeaders } from "./respond.ts";

const CLOSE = {
  closed: { code: 1000, reason: "closed" },
  deleted: { code: 4404, reason: "the topic was deleted" },
  drained: { code: 1001, reason: "the server is shutting down" },
  stalled: { code: 4408, reason: "the subscriber stood still" },
} as const satisfies Record<EndReason, { code: number; reason: string }>;

// What a slow reader may cost beside the log. Past it its cursor waits.
const MAX_BUFFERED_BYTES = 256 * 1024;
// The platform does not tell when a socket's buffer has drained.
const RETRY_MS = 20;
const IDLE_TIMEOUT_SECONDS = 30;
// The platform says nothing of a client that is gone before the handshake is written: its socket never opens.
const OPEN_DEADLINE_MS = 10_000;

/** Subscribes sockets to topics of one bus. */
export class SocketPush {
  readonly #bus: MessageBus;
  readonly #clock: Clock;
  readonly #frames: Frames;

  /** Makes the edge for a bus. */
  constructor(bus: MessageBus, clock: Clock = systemClock) {
    this.#bus = bus;
    this.#clock = clock;
    this.#frames = new Frames(clock);
  }

  /**
   * Upgrades a request and subscribes the socket to `topic`.
   *
   * @throws {BusError} `bad_request`, `upgrade_required`, `unknown_subprotocol`, `bad_cursor`, or as
   * `MessageBus.subscribe`.
   */
  subscribe(topic: string, request: Request, head: Head, label: string): Response {
    checkHandshake(head);
    const protocol = chooseProtocol(head);
    const since = positionOf(head);
    // Subscribed before the client can see the 101: what it publishes from then on must reach it.
    const reader = new SocketReader({ bus: this.#bus, clock: this.#clock, frames: this.#frames, topic, since, label });
    try {
      const { socket, response } = Deno.upgradeWebSocket(request, { idleTimeout: IDLE_TIMEOUT_SECONDS });
      reader.serve(socket);
      // Not by the platform's option, which does not find a protocol in a list without spaces.
      if (protocol !== undefined) response.headers.set("sec-websocket-protocol", protocol);
      addStandardHeaders(response.headers);
      return response;
    } catch (cause) {
      reader.leave();
      throw new BusError("bad_request", "Cannot upgrade to a WebSocket", { cause });
    }
  }
}

/** What a {@linkcode SocketReader} is made of. */
interface ReaderParts {
  readonly bus: MessageBus;
  readonly clock: Clock;
  readonly frames: Frames;
  readonly topic: string;
  readonly since: Position | undefined;
  readonly label: string;
}

/** A subscription and the socket that reads it, from before the handshake is answered to the end of either. */
class SocketReader {
  readonly #clock: Clock;
  readonly #frames: Frames;
  readonly #maxMessageBytes: number;
  readonly #subscription: Subscription;
  #socket: WebSocket | undefined;
  #ended: EndReason | undefined;
  /** Cancels what waits for a time: the deadline to open, later the next try to send. */
  #cancel: (() => void) | undefined;

  constructor({ bus, clock, frames, topic, since, label }: ReaderParts) {
    this.#clock = clock;
    this.#frames = frames;
    this.#maxMessageBytes = bus.limits.maxPayloadBytes;
    this.#subscription = bus.subscribe(topic, {
      label,
      since,
      onReady: () => this.#send(),
      onEnd: (_subscription, reason) => this.#end(reason),
    });
  }

  /** Takes the socket, which need not be open yet. */
  serve(socket: WebSocket): void {
    this.#socket = socket;
    this.#cancel = this.#clock.schedule(() => this.leave(), OPEN_DEADLINE_MS);
    socket.onopen = () => {
      this.#cancel?.();
      if (this.#ended === undefined) this.#send();
      else this.#close(this.#ended);
    };
    // A subscriber has nothing to say. Its frames are read, so that pings are answered, and forgotten.
    socket.onmessage = ({ data }) => {
      const length = typeof data === "string" ? data.length : (data as ArrayBuffer).byteLength;
      if (length > this.#maxMessageBytes) socket.close(1009, "message too large");
    };
    // Either may come alone, or both, or one of them twice.
    socket.onclose = socket.onerror = () => this.leave();
  }

  /** Ends the subscription because there is nobody to read it. */
  leave(): void {
    this.#subscription.close();
  }

  /** Sends what there is, as far as it fits into the socket's buffer; the rest a little later. */
  #send(): void {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return;
    this.#cancel?.();
    const subscription = this.#subscription;
    for (let message = subscription.peek(); message !== undefined; message = subscription.peek()) {
      const buffered = socket.bufferedAmount;
      // Asked before the frame is made: a reader that is stuck asks many times.
      if (buffered > 0 && buffered + frameLength(message) > MAX_BUFFERED_BYTES) {
        this.#cancel = this.#clock.schedule(() => this.#send(), RETRY_MS);
        return;
      }
      subscription.take();
      socket.send(this.#frames.of(message));
    }
  }

  #end(reason: EndReason): void {
    this.#ended = reason;
    this.#cancel?.();
    // A socket that is not open yet is closed when it opens.
    if (this.#socket?.readyState === WebSocket.OPEN) this.#close(reason);
  }

  #close(reason: EndReason): void {
    this.#socket?.close(CLOSE[reason].code, CLOSE[reason].reason);
  }
}

/** The frames of the messages that are being sent in this turn of the event loop, made once for all subscribers. */
class Frames {
  readonly #clock: Clock;
  readonly #frames = new Map<Message, string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  of(message: Message): string {
    let frame = this.#frames.get(message);
    if (frame === undefined) {
      frame = encodeEnvelope(message);
      if (this.#frames.size === 0) this.#clock.defer(() => this.#frames.clear());
      this.#frames.set(message, frame);
    }
    return frame;
  }
}

function frameLength({ topic, id, payload, ttlMs }: Message): number {
  return envelopeLength(topic, id, payload.length, ttlMs);
}

function positionOf(head: Head): Position | undefined {
  if (head.lastEventId === undefined) return undefined;
  const position = parseCursor(head.lastEventId);
  if (position === undefined) throw new BusError("bad_cursor", `Bad Last-Event-ID ${quote(head.lastEventId)}`);
  return position;
}
