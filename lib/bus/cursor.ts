/**
 * The cursor: a reader's position in a log.
 *
 * @module
 */

import type { Message } from "../message.ts";
import type { Log } from "./log.ts";

/** The position of one reader, or of many that share the work. It only ever moves forward. */
export class Cursor {
  #next: number;

  /** Makes a cursor whose next message is the one with id `next`. */
  constructor(next: number) {
    this.#next = next;
  }

  /** The id of the next message wanted; what it points at may have been dropped meanwhile. */
  get next(): number {
    return this.#next;
  }

  /** How many retained messages lie ahead. */
  lag(log: Log): number {
    return log.countFrom(this.#next);
  }

  /** The next retained message, without moving. */
  peek(log: Log): Message | undefined {
    return log.from(this.#next);
  }

  /** Moves on to a later position. */
  skipTo(next: number): void {
    this.#next = next;
  }

  /** Moves behind a message it was given by {@linkcode Cursor.peek}. */
  passOver(message: Message): void {
    this.#next = message.seq;
  }
}
