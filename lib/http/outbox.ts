/**
 * Frames that wait until a socket has room for them.
 *
 * @module
 */

import type { Clock } from "../bus/clock.ts";
import { Retry } from "./retry.ts";

// What the platform queues costs more than its bytes, and can't be taken back.
const MAX_BUFFERED_BYTES = 64 * 1024;

/** What an {@linkcode Outbox} works with. */
export interface OutboxOptions {
  /** Where time comes from. */
  readonly clock: Clock;
  /** How long the client may read nothing while something waits for it, in milliseconds. */
  readonly stallMs: number;
  /** Called when it has read nothing for so long. */
  readonly onStalled: () => void;
}

/** Sends frames in their order, and not more at once than the socket's buffer should hold. */
export class Outbox {
  readonly #socket: WebSocket;
  readonly #options: OutboxOptions;
  #frames: string[] = [];
  #length = 0;
  readonly #retry: Retry;
  /** When the socket last took something. */
  #movedMs = 0;

  /** Makes an empty one. */
  constructor(socket: WebSocket, options: OutboxOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#retry = new Retry(options.clock, () => this.#send());
  }

  /** How many characters wait. */
  get length(): number {
    return this.#length;
  }

  /** Sends a frame, now or when there is room. */
  push(frame: string): void {
    if (this.#frames.length === 0) this.#movedMs = this.#options.clock.now();
    this.#frames.push(frame);
    this.#length += frame.length;
    if (!this.#retry.isPending) this.#send();
  }

  /** Hands over all that waits, whether or not there is room. */
  flush(): void {
    this.stop();
    for (const frame of this.#frames.splice(0)) this.#socket.send(frame);
    this.#length = 0;
  }

  /** Sends nothing any more by itself. */
  stop(): void {
    this.#retry.cancel();
  }

  #send(): void {
    const { clock, stallMs, onStalled } = this.#options;
    let sent = 0;
    for (; sent < this.#frames.length && this.#socket.bufferedAmount < MAX_BUFFERED_BYTES; sent++) {
      this.#socket.send(this.#frames[sent]!);
      this.#length -= this.#frames[sent]!.length;
    }
    if (sent > 0) {
      this.#frames = this.#frames.slice(sent);
      this.#movedMs = clock.now();
      this.#retry.reset();
    } else if (clock.now() - this.#movedMs >= stallMs) {
      return onStalled();
    }
    if (this.#frames.length > 0) this.#retry.again();
  }
}
