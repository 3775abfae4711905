/**
 * A worker over a WebSocket: acknowledges what it is sent, all that has come together in one frame. Not the platform's
 * own client, which sends frames over 1 KiB in two pieces and leaves Nagle's algorithm on: that waits 40 ms between them.
 *
 * @module
 */

import { encodeFrame, FrameReader, OPCODE } from "./peers/frame.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const HEAD_END = "\r\n\r\n";
const BUFFER_BYTES = 256 * 1024;

/** A connection that works for a group. */
export class WorkerSocket implements Disposable {
  readonly #connection: Deno.TcpConn;
  readonly #onAcked: (count: number) => boolean;
  readonly #reader: FrameReader;
  /** What has come of a line that isn't whole yet. */
  #text = "";

  private constructor(connection: Deno.TcpConn, onAcked: (count: number) => boolean) {
    this.#connection = connection;
    this.#onAcked = onAcked;
    this.#reader = new FrameReader({
      data: (bytes, from, to) => this.#text += decoder.decode(bytes.subarray(from, to)),
      ping: (payload) => void this.#send(OPCODE.pong, payload),
    });
  }

  /** Connects; `onAcked` is told how many messages each ack is for, and says whether to go on. */
  static async connect(port: number, target: string, onAcked: (count: number) => boolean): Promise<WorkerSocket> {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    connection.setNoDelay(true);
    const socket = new WorkerSocket(connection, onAcked);
    await socket.#write(encoder.encode(
      `GET ${target} HTTP/1.1\r\nHost: localhost:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n` +
        `Sec-WebSocket-Protocol: msgbus.ndjson\r\n\r\n`,
    ));
    return socket;
  }

  /** Works until it is to stop. */
  async work(): Promise<void> {
    const buffer = new Uint8Array(BUFFER_BYTES);
    let head: string | undefined = "";
    for (;;) {
      const count = await this.#connection.read(buffer);
      if (count === null) throw new Error("The server closed the connection");
      let at = 0;
      if (head !== undefined) {
        const before: number = head.length;
        // One character a byte: it is ASCII, but the first frame may follow.
        head += String.fromCharCode(...buffer.subarray(0, count));
        const end = head.indexOf(HEAD_END);
        if (end < 0) continue;
        if (!head.startsWith("HTTP/1.1 101")) throw new Error(head);
        at = end + HEAD_END.length - before;
        head = undefined;
      }
      this.#reader.read(buffer, at, count);
      const end = this.#text.lastIndexOf("\n") + 1;
      const tokens = Array.from(this.#text.slice(0, end).matchAll(/"lease":"([^"]*)"/g), ([, token]) => token!);
      this.#text = this.#text.slice(end);
      if (tokens.length === 0) continue;
      await this.#send(OPCODE.text, encoder.encode(`{"ack":["${tokens.join('","')}"]}`));
      if (!this.#onAcked(tokens.length)) return;
    }
  }

  async #send(opcode: number, payload: Uint8Array): Promise<void> {
    await this.#write(encodeFrame(opcode, payload));
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length;) sent += await this.#connection.write(bytes.subarray(sent));
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}
