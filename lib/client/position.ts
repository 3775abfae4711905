/**
 * Where a subscription is.
 *
 * @module
 */

import { Message } from "../message.ts";
import { formatTimeCursor, parseResume } from "../wire/since.ts";
import type { Line } from "./lines.ts";

// A server whose store answers late may show a message after others that were created later, as long as the store takes.
const SETTLED_AFTER_MS = 10_000;

/**
 * The position after the lines seen. Of several topics it is a time before which everything was created that was sent;
 * messages come in the order of their creation, so that it is the creation of the last one, or, of what is new, a little
 * before that.
 */
export class Position {
  readonly #several: boolean;
  /** The last message, of which the position is made only when it is wanted. */
  #last: Message | string | undefined;
  /** The time until which everything was replayed, or the cursor of a later event; `undefined` during the replay. */
  #replayedMs: number | undefined;

  /** Begins at `since`. */
  constructor(several: boolean, since?: string) {
    this.#several = several;
    this.#last = since;
  }

  /** As text; `undefined` at the live end. */
  get text(): string | undefined {
    const last = this.#last;
    if (!(last instanceof Message)) return last;
    if (!this.#several) return last.cursor;
    const replayedMs = this.#replayedMs ?? last.createdMs;
    return formatTimeCursor(Math.min(Math.max(replayedMs, last.createdMs - SETTLED_AFTER_MS), last.createdMs));
  }

  /** Goes on behind a line. */
  note(line: Line): void {
    if (line instanceof Message) {
      this.#last = line;
    } else {
      const { event, cursor } = line;
      this.#last = cursor ?? this.text;
      // A topic that was deleted before a later event, and said to be, is not to be told of again.
      const isLive = event === "caught-up" || this.#replayedMs !== undefined;
      if (isLive && cursor !== undefined) this.#replayedMs = timeOf(cursor);
    }
  }

  /** A new connection replays first. */
  reconnect(): void {
    this.#last = this.text;
    this.#replayedMs = undefined;
  }
}

function timeOf(cursor: string): number | undefined {
  const position = parseResume(cursor);
  return position !== undefined && "createdMs" in position ? position.createdMs : undefined;
}
