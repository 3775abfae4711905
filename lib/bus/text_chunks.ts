/**
 * Encoding texts without a buffer of its own for each: making and collecting those costs more than the encoding.
 *
 * @module
 */

const encoder = new TextEncoder();

// A payload keeps its chunk alive, so a topic that holds little must not hold large chunks.
const FIRST_CHUNK_BYTES = 1024;
const MAX_CHUNK_BYTES = 64 * 1024;
// UTF-8 needs at most three bytes for a UTF-16 code unit.
const MAX_BYTES_PER_UNIT = 3;

/** Encodes the texts of one topic into chunks that they share; a chunk lives as long as one of its texts does. */
export class TextChunks {
  #chunk = new Uint8Array(0);
  #used = 0;

  /** The UTF-8 bytes of a text; lone surrogates become U+FFFD. */
  encode(text: string): Uint8Array {
    const needed = text.length * MAX_BYTES_PER_UNIT;
    if (needed > MAX_CHUNK_BYTES / 4) return encoder.encode(text);
    if (this.#chunk.length - this.#used < needed) {
      const length = Math.min(Math.max(2 * this.#chunk.length, 4 * needed, FIRST_CHUNK_BYTES), MAX_CHUNK_BYTES);
      this.#chunk = new Uint8Array(length);
      this.#used = 0;
    }
    const start = this.#used;
    const { written } = encoder.encodeInto(text, this.#chunk.subarray(start));
    this.#used += written;
    return this.#chunk.subarray(start, this.#used);
  }
}
