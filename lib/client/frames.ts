/**
 * The frames a client has received and its reader has not taken yet.
 *
 * @module
 */

/** A queue of texts that knows its size. */
export class FrameQueue {
  #frames: string[] = [];
  #first = 0;
  #length = 0;

  /** How many characters wait; base64 and JSON are nearly all ASCII, so this is close to the bytes they take. */
  get size(): number {
    return this.#length;
  }

  /** Appends a frame. */
  push(frame: string): void {
    this.#frames.push(frame);
    this.#length += frame.length;
  }

  /** Takes the first frame, or `undefined` if there is none. */
  shift(): string | undefined {
    const frame = this.#frames[this.#first];
    if (frame === undefined) return undefined;
    this.#frames[this.#first++] = "";
    this.#length -= frame.length;
    if (this.#first === this.#frames.length) this.clear();
    else if (this.#first >= 1024 && this.#first * 2 > this.#frames.length) {
      this.#frames = this.#frames.slice(this.#first);
      this.#first = 0;
    }
    return frame;
  }

  /** Forgets everything. */
  clear(): void {
    this.#frames = [];
    this.#first = 0;
    this.#length = 0;
  }
}
