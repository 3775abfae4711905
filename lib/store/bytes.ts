/**
 * Numbers, texts and bytes one after the other in one buffer, as everything in the journal is written.
 *
 * @module
 */

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const MIN_CAPACITY = 1024;

/** Writes into a buffer that grows. Whole numbers take as few bytes as they need, seven bits each. */
export class ByteWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #length = 0;

  /** Makes an empty one with room for `capacity` bytes. */
  constructor(capacity: number = MIN_CAPACITY) {
    this.#bytes = new Uint8Array(Math.max(capacity, MIN_CAPACITY));
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** How many bytes were written. */
  get length(): number {
    return this.#length;
  }

  /** A byte. */
  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  /** A number of 32 bits without a sign. */
  uint32(value: number): void {
    this.#reserve(4);
    this.#view.setUint32(this.#length, value);
    this.#length += 4;
  }

  /** A whole number from 0 to 2^53 - 1. */
  whole(value: number): void {
    this.#reserve(8);
    const bytes = this.#bytes;
    let at = this.#length;
    let rest = value;
    // Beyond 31 bits only division is exact.
    while (rest > 0x7fff_ffff) {
      bytes[at++] = rest % 128 | 128;
      rest = Math.floor(rest / 128);
    }
    while (rest > 127) {
      bytes[at++] = rest & 127 | 128;
      rest >>>= 7;
    }
    bytes[at++] = rest;
    this.#length = at;
  }

  /** Any number. */
  double(value: number): void {
    this.#reserve(8);
    this.#view.setFloat64(this.#length, value);
    this.#length += 8;
  }

  /** A text and its length. */
  text(value: string): void {
    this.bytes(encoder.encode(value));
  }

  /** Bytes and their number. */
  bytes(value: Uint8Array): void {
    this.whole(value.length);
    this.raw(value);
  }

  /** Bytes without their number. */
  raw(value: Uint8Array): void {
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
  }

  /** Puts a number of 32 bits where one was written before. */
  patchUint32(at: number, value: number): void {
    this.#view.setUint32(at, value);
  }

  /** What was written from a place on, not copied: it changes with what is written next. */
  from(start: number): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(start, this.#length);
  }

  /** Everything that was written, as a buffer of its own. Ends this writer. */
  finish(): ArrayBuffer {
    return this.#bytes.buffer.transfer(this.#length);
  }

  /** Takes back what was written behind a place; everything, to begin anew in the same buffer. */
  cut(length: number = 0): void {
    this.#length = length;
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const bytes = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    bytes.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }
}

/**
 * Reads what a {@linkcode ByteWriter} has written. Throws a `RangeError` at the end of the buffer, and for a number that
 * is none.
 */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  /** Reads from the beginning of `bytes`. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Where it is. */
  get at(): number {
    return this.#at;
  }

  /** Whether everything was read. */
  get done(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** See {@linkcode ByteWriter.byte}. */
  byte(): number {
    const value = this.#bytes[this.#at];
    if (value === undefined) throw new RangeError("Cannot read a byte: at the end");
    this.#at++;
    return value;
  }

  /** See {@linkcode ByteWriter.uint32}. */
  uint32(): number {
    const value = this.#view.getUint32(this.#at);
    this.#at += 4;
    return value;
  }

  /** See {@linkcode ByteWriter.whole}. */
  whole(): number {
    let value = this.byte();
    if (value < 128) return value;
    value -= 128;
    for (let scale = 128;; scale *= 128) {
      const byte = this.byte();
      value += (byte & 127) * scale;
      if (byte < 128) break;
      if (scale > Number.MAX_SAFE_INTEGER) throw new RangeError("Cannot read a number: too long");
    }
    if (value > Number.MAX_SAFE_INTEGER) throw new RangeError(`Cannot read a number: ${value} is too large`);
    return value;
  }

  /** See {@linkcode ByteWriter.double}. */
  double(): number {
    const value = this.#view.getFloat64(this.#at);
    this.#at += 8;
    return value;
  }

  /** See {@linkcode ByteWriter.text}. */
  text(): string {
    return decoder.decode(this.bytes());
  }

  /** See {@linkcode ByteWriter.bytes}; not copied. */
  bytes(): Uint8Array {
    return this.raw(this.whole());
  }

  /** See {@linkcode ByteWriter.raw}; not copied. */
  raw(length: number): Uint8Array {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new RangeError(`Cannot read ${length} bytes: too near to the end`);
    const value = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return value;
  }
}
