/**
 * `GET` on a topic with `Upgrade: websocket` and `mode=publish`: each frame is published, and answered with its receipt.
 *
 * @module
 */

import type { MessageBus } from "../bus/bus.ts";
import { type Clock, wallOf } from "../bus/clock.ts";
import { BusError } from "../errors.ts";
import type { FrameFormat } from "./handshake.ts";
import { Outbox } from "./outbox.ts";
import { encodeReceipt, encodeScheduleReceipt } from "./publish.ts";
import { PLAIN_PUBLISH } from "./publish_options.ts";
import { type Line, linesOf } from "./publish_lines.ts";

// Receipts that a client hasn't read are kept for it; beyond this it has to go.
const MAX_UNREAD_LENGTH = 16 * 1024 ** 2;
// What waits for the store; the platform can't be told to stop reading.
const MAX_WAITING_BYTES = 64 * 1024 ** 2;

const encoder = new TextEncoder();

/** What a {@linkcode SocketPublisher} works with. */
export interface SocketPublisherOptions {
  /** What frames are: a payload each, or lines of JSON with one each. */
  readonly frames: FrameFormat;
  /** Closes the socket when it aborts. */
  readonly draining: AbortSignal | undefined;
  /** Told of every message that is refused. */
  readonly onRefusal: (error: BusError) => void;
  /** Told of what is not an expected condition. */
  readonly onBug: (error: unknown) => void;
  /** How long the client may read no receipt while there are some for it, in milliseconds. */
  readonly stallMs: number;
  /** Where time comes from. */
  readonly clock: Clock;
}

/** Publishes what a socket sends to one topic, and answers in the same order. */
export class SocketPublisher {
  readonly #bus: MessageBus;
  readonly #topic: string;
  readonly #socket: WebSocket;
  readonly #options: SocketPublisherOptions;
  readonly #receipts: Outbox;
  /** What has been received and not been answered, in bytes. */
  #waitingBytes = 0;
  /** Settles when everything received so far has been answered. */
  #last: Promise<void> = Promise.resolve();

  /** Takes a socket, which need not be open yet. */
  constructor(bus: MessageBus, topic: string, socket: WebSocket, options: SocketPublisherOptions) {
    this.#bus = bus;
    this.#topic = topic;
    this.#socket = socket;
    this.#options = options;
    const { clock, stallMs } = options;
    const onStalled = () => this.#close(1013, "receipts are not read");
    this.#receipts = new Outbox(socket, { clock, stallMs, onStalled });
    socket.onmessage = ({ data }) => this.#receive(data);
    const { draining } = options;
    // Not before: a client that is gone before its handshake is answered is never heard of again.
    socket.onopen = () => {
      if (draining?.aborted) this.#onDraining();
      else draining?.addEventListener("abort", this.#onDraining);
    };
    socket.onclose = socket.onerror = () => {
      draining?.removeEventListener("abort", this.#onDraining);
      this.#receipts.stop();
    };
  }

  readonly #onDraining = () => {
    // What was received before is answered first.
    this.#last = this.#last.then(() => this.#close(1001, "the server is shutting down"));
  };

  #receive(data: string | ArrayBuffer): void {
    const bytes = typeof data === "string" ? encoder.encode(data) : new Uint8Array(data);
    const { maxPayloadBytes } = this.#bus.limits;
    // A line of JSON with a payload in base64 is longer than the payload.
    const maxBytes = this.#options.frames === "plain" ? maxPayloadBytes : 2 * maxPayloadBytes + 4096;
    if (bytes.length > maxBytes) return this.#close(1009, "message too large");
    this.#waitingBytes += bytes.length;
    if (this.#waitingBytes > MAX_WAITING_BYTES) return this.#close(1013, "too much is waiting to be published");
    const { frames, clock } = this.#options;
    const lines = frames === "plain" ? [() => ({ ...PLAIN_PUBLISH, payload: bytes })] : linesOf(bytes, wallOf(clock));
    const answers = lines.map((line) => this.#publish(line));
    this.#last = this.#last.then(async () => {
      let receipts = "";
      for (const answer of answers) receipts += `${await answer}${this.#options.frames === "plain" ? "" : "\n"}`;
      this.#waitingBytes -= bytes.length;
      this.#send(receipts);
    });
  }

  /** Publishes at once, so that the order is the one in which frames came; resolves to the receipt or the error. */
  async #publish(line: () => Line): Promise<string> {
    try {
      const { payload, delayMs, atMs, options } = line();
      if (delayMs === undefined && atMs === undefined) {
        return encodeReceipt(await this.#bus.publish(this.#topic, payload, options), false);
      }
      return encodeScheduleReceipt(await this.#bus.schedule(this.#topic, payload, { ...options, delayMs, atMs }));
    } catch (error) {
      if (error instanceof BusError) {
        this.#options.onRefusal(error);
        return JSON.stringify({ error: error.code, message: error.message });
      }
      this.#options.onBug(error);
      return JSON.stringify({ error: "internal", message: "Internal error" });
    }
  }

  #send(text: string): void {
    if (text === "" || this.#socket.readyState !== WebSocket.OPEN) return;
    this.#receipts.push(text);
    if (this.#receipts.length > MAX_UNREAD_LENGTH) this.#close(1013, "receipts are not read");
  }

  #close(code: number, reason: string): void {
    this.#socket.onmessage = null;
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    // What was published must not be in doubt for a client that reads on.
    this.#receipts.flush();
    this.#socket.close(code, reason);
  }
}
