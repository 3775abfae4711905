/**
 * A WebSocket as a test reads it: frame by frame.
 *
 * @module
 */

import { WsClient } from "../deps_ws.ts";

const decoder = new TextDecoder();

/** How to open a {@linkcode Socket}. */
export interface SocketOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly protocols?: readonly string[];
}

/** An open WebSocket; it vanishes when it is disposed. */
export class Socket implements AsyncDisposable {
  /** How it was closed: 1006 if nobody said so. */
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  readonly #client: WsClient;
  readonly #frames: string[] = [];
  #waiting: (() => void) | undefined;
  #ended = false;

  private constructor(client: WsClient) {
    this.#client = client;
    client.on("message", (data: Uint8Array, isBinary: boolean) => {
      this.#frames.push(isBinary ? "a binary frame" : decoder.decode(data));
      this.#waiting?.();
    });
    // Closing says everything that an error does.
    client.on("error", () => {});
    this.closed = new Promise((resolve) =>
      client.on("close", (code: number, reason: Uint8Array) => {
        this.#ended = true;
        this.#waiting?.();
        resolve({ code, reason: decoder.decode(reason) });
      })
    );
  }

  /** Opens a WebSocket at a path of a server on loopback. Rejects if the server refuses. */
  static open(port: number, path: string, { headers = {}, protocols = [] }: SocketOptions = {}): Promise<Socket> {
    const client = new WsClient(`ws://127.0.0.1:${port}${path}`, [...protocols], { headers });
    // At once: a frame may come in the same packet as the handshake.
    const socket = new Socket(client);
    return new Promise((resolve, reject) => {
      client.on("open", () => resolve(socket));
      client.on("error", reject);
    });
  }

  /** The subprotocol that was agreed on; empty for none. */
  get protocol(): string {
    return this.#client.protocol;
  }

  /** The next frame; `undefined` when there will be none. */
  async next(): Promise<string | undefined> {
    while (this.#frames.length === 0 && !this.#ended) await new Promise<void>((resolve) => this.#waiting = resolve);
    return this.#frames.shift();
  }

  /** The ids of the next `count` messages. */
  async ids(count: number): Promise<number[]> {
    const ids: number[] = [];
    while (ids.length < count) {
      const frame = await this.next();
      if (frame === undefined) break;
      ids.push(JSON.parse(frame).id);
    }
    return ids;
  }

  /** Sends a frame. */
  send(data: string | Uint8Array): void {
    this.#client.send(data);
  }

  /** Stops reading from the network, as a client does that hangs. */
  pause(): void {
    this.#client.pause();
  }

  /** Reads on. */
  resume(): void {
    this.#client.resume();
  }

  /** Says goodbye. */
  async close(): Promise<void> {
    this.#client.close();
    await this.closed;
  }

  /** Cuts the connection without a word. */
  terminate(): void {
    this.#client.terminate();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.terminate();
    await this.closed;
  }
}
