/**
 * The message that is published, made to be counted: one byte of it, the mark, occurs in it once and nowhere else in
 * what a server sends around it, whether the payload travels as it is or as base64.
 *
 * @module
 */

/** The bytes of every message. */
export const MESSAGE_BYTES = 128;

/** How a payload looks on its way to a subscriber, and where its time is. */
export interface Look {
  /** The byte that occurs once. */
  readonly mark: number;
  /** How far before the mark the time begins. */
  readonly timeBefore: number;
  /** The characters of the time. */
  readonly timeLength: number;
}

const TIME_DIGITS = 12;
// In base64 three bytes are four characters: those of the time end where those of "xx>" begin, which are "eHg+".
const BEFORE_MARK = "xx";

/** The two ways a payload looks. */
export const LOOKS = {
  raw: { mark: ">".charCodeAt(0), timeBefore: TIME_DIGITS + BEFORE_MARK.length, timeLength: TIME_DIGITS },
  base64: { mark: "+".charCodeAt(0), timeBefore: TIME_DIGITS / 3 * 4 + 3, timeLength: TIME_DIGITS / 3 * 4 },
} as const satisfies Record<string, Look>;

/** The name of a way. */
export type LookName = keyof typeof LOOKS;

/** The payload of a message that is published at this time of `performance.now`. */
export function payloadAt(timeMs: number): string {
  const time = String(Math.round(timeMs * 1000)).padStart(TIME_DIGITS, "0");
  return `${time}${BEFORE_MARK}>`.padEnd(MESSAGE_BYTES, "x");
}

/** The time in the payload whose mark is at `at`, in milliseconds; `NaN` if the bytes don't begin early enough. */
export function timeOf(bytes: Uint8Array, at: number, look: Look): number {
  const from = at - look.timeBefore;
  if (from < 0) return NaN;
  const text = String.fromCharCode(...bytes.subarray(from, from + look.timeLength));
  return Number(look === LOOKS.base64 ? atob(text) : text) / 1000;
}

/**
 * Finds marks in what one subscriber receives. Where the bytes that were received end there should be a mark more, so
 * that no search goes on through the rest of the buffer.
 */
export class MarkFinder {
  readonly #mark: number;
  /** The distance of the last two, which is most often that of the next two, too. */
  #stride = 0;

  /** Looks for this byte. */
  constructor(mark: number) {
    this.#mark = mark;
  }

  /** Where the next one is, or -1; `from` is where the bytes begin or right after the one before. */
  next(bytes: Uint8Array, from: number, to: number): number {
    // No message is so short that another mark could be in between.
    const guess = from + this.#stride;
    if (this.#stride > 0 && guess < to && bytes[guess] === this.#mark) return guess;
    const at = bytes.indexOf(this.#mark, from);
    if (at < 0 || at >= to) return -1;
    this.#stride = at - from;
    return at;
  }
}
