/**
 * WebSocket frames as a client writes and reads them (RFC 6455 section 5), without looking at what is in them.
 *
 * @module
 */

/** The opcodes that are used here. */
export const OPCODE = { text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

const FINAL = 0x80;
const MASKED = 0x80;
const MASK_LENGTH = 4;
const LENGTH_IN_2 = 126;
const LENGTH_IN_8 = 127;

/** Writes one frame. The masking key is zero, which leaves the payload as it is. */
export function encodeFrame(opcode: number, payload: Uint8Array): Uint8Array {
  const long = payload.length >= LENGTH_IN_2;
  const head = new Uint8Array((long ? 4 : 2) + MASK_LENGTH);
  head[0] = FINAL | opcode;
  head[1] = MASKED | (long ? LENGTH_IN_2 : payload.length);
  if (long) new DataView(head.buffer).setUint16(2, payload.length);
  const frame = new Uint8Array(head.length + payload.length);
  frame.set(head);
  frame.set(payload, head.length);
  return frame;
}

/** What becomes of the frames of one connection. */
export interface FrameSink {
  /** Takes a part of the payload of a text or binary frame: the bytes from `from` to before `to`. */
  data(bytes: Uint8Array, from: number, to: number): void;
  /** Takes a ping. */
  ping(payload: Uint8Array): void;
}

/** Reads frames that arrive in pieces. */
export class FrameReader {
  readonly #sink: FrameSink;
  readonly #head = new Uint8Array(10);
  #headLength = 0;
  #opcode = 0;
  #left = 0;
  #control: number[] = [];

  /** Hands everything to `sink`. */
  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** Reads on: the bytes from `from` to before `to`. */
  read(bytes: Uint8Array, from: number, to: number): void {
    for (let at = from; at < to;) {
      if (this.#left === 0) {
        this.#head[this.#headLength++] = bytes[at++]!;
        if (this.#headLength === this.#headEnd()) this.#begin();
        continue;
      }
      const end = Math.min(to, at + this.#left);
      this.#left -= end - at;
      if (this.#opcode < OPCODE.close) this.#sink.data(bytes, at, end);
      else this.#readControl(bytes.subarray(at, end));
      at = end;
    }
  }

  #headEnd(): number {
    if (this.#headLength < 2) return Infinity;
    return this.#head[1] === LENGTH_IN_8 ? 10 : this.#head[1] === LENGTH_IN_2 ? 4 : 2;
  }

  #begin(): void {
    const head = this.#head;
    const view = new DataView(head.buffer);
    this.#left = head[1] === LENGTH_IN_8
      ? Number(view.getBigUint64(2))
      : head[1] === LENGTH_IN_2
      ? view.getUint16(2)
      : head[1]!;
    this.#opcode = head[0]! & 0x0f;
    this.#headLength = 0;
    if (this.#left === 0) this.#readControl(new Uint8Array());
  }

  #readControl(piece: Uint8Array): void {
    this.#control.push(...piece);
    if (this.#left > 0) return;
    const payload = new Uint8Array(this.#control);
    this.#control = [];
    if (this.#opcode === OPCODE.close) throw new Error(`The server closed a WebSocket: ${describeClose(payload)}`);
    if (this.#opcode === OPCODE.ping) this.#sink.ping(payload);
  }
}

function describeClose(payload: Uint8Array): string {
  if (payload.length < 2) return "no code";
  return `${payload[0]! << 8 | payload[1]!} ${new TextDecoder().decode(payload.subarray(2))}`;
}
