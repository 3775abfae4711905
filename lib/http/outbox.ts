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
  /** How long the client may read nothing while something or somebody waits for that, in milliseconds. */
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
  /** When the client last read something, as far as that shows, and what was in the socket's buffer then. */
  #movedMs = 0;
  #bufferedBytes = 0;
  #onRoom: (() => void) | undefined;

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

  /** Whether nothing waits, and a frame would be sent at once. */
  get hasRoom(): boolean {
    return this.#frames.length === 0 && this.#socket.bufferedAmount < MAX_BUFFERED_BYTES;
  }

  /** Resolves when there is room; never if the client doesn't read. To be asked by one at a time. */
  room(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#begin();
    this.#onRoom = resolve;
    if (!this.#retry.isPending) this.#send();
    return promise;
  }

  /** Sends a frame, now or when there is room. */
  push(frame: string): void {
    this.#begin();
    this.#frames.push(frame);
    this.#length += frame.length;
    if (!this.#retry.isPending) this.#send();
  }

  /** Looks at once whether there is room, because the client seems to read. */
  look(): void {
    if (this.#retry.isPending && this.#socket.bufferedAmount < MAX_BUFFERED_BYTES) this.#send();
  }

  /** Hands over all that waits, whether or not there is room. */
  flush(): void {
    const frames = this.#frames;
    this.stop();
    for (const frame of frames) this.#socket.send(frame);
  }

  /** Forgets all that waits, because nobody reads it: the connection may stay for long. */
  stop(): void {
    this.#retry.cancel();
    this.#frames = [];
    this.#length = 0;
  }

  /** Nothing has waited so far: what the client does counts from now on. */
  #begin(): void {
    if (this.#frames.length > 0 || this.#onRoom !== undefined) return;
    this.#movedMs = this.#options.clock.now();
    this.#bufferedBytes = this.#socket.bufferedAmount;
  }

  #send(): void {
    const { clock, stallMs, onStalled } = this.#options;
    this.#retry.cancel();
    let sent = 0;
    for (; sent < this.#frames.length && this.#socket.bufferedAmount < MAX_BUFFERED_BYTES; sent++) {
      this.#socket.send(this.#frames[sent]!);
      this.#length -= this.#frames[sent]!.length;
    }
    const { bufferedAmount } = this.#socket;
    // A frame that is on its way may be larger than what must be free for the next one.
    if (sent > 0 || bufferedAmount < this.#bufferedBytes) {
      this.#frames = this.#frames.slice(sent);
      this.#movedMs = clock.now();
      this.#retry.reset();
    }
    this.#bufferedBytes = bufferedAmount;
    if (this.hasRoom) {
      this.#onRoom?.();
      this.#onRoom = undefined;
    }
    if (this.#frames.length === 0 && this.#onRoom === undefined) return;
    if (clock.now() - this.#movedMs >= stallMs) return onStalled();
    this.#retry.again();
  }
}
