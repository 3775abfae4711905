/**
 * How far a subscription has come, whatever becomes of its connections.
 *
 * @module
 */

import type { ControlEvent } from "../event.ts";
import { Message } from "../message.ts";
import { formatTimeCursor } from "../wire/since.ts";
import type { Line } from "./lines.ts";

/** The topics of which is remembered what was received; of more, those silent longest are forgotten. */
export const MAX_TOPICS_REMEMBERED = 65_536;

type GapEvent = ControlEvent & { readonly event: "gap" };

/** What was received of a topic. */
interface Received {
  /** Not known as long as only a gap was. */
  readonly epoch: string | undefined;
  lastId: number;
  /** A gap before `lastId` that was not told: it was one only if the topic turns out to be another one. */
  held: GapEvent | undefined;
}

/**
 * Knows from where to go on, and what of a line is new: a reader of several topics resumes at a time, and so gets a few
 * messages again.
 */
export class Progress {
  readonly #several: boolean;
  readonly #maxTopics: number;
  readonly #topics = new Map<string, Received>();
  /** Or the last message, of which the position is made only when it is wanted. */
  #position: string | Message | undefined;

  /** Begins where `since` says; without it, with the next message. */
  constructor(several: boolean, since: string | undefined, maxTopics: number = MAX_TOPICS_REMEMBERED) {
    this.#several = several;
    this.#position = since;
    this.#maxTopics = maxTopics;
  }

  /** Where the next connection begins. */
  get since(): string | undefined {
    return positionAfter(this.#position, this.#several);
  }

  /** Takes note of a line; returns what the reader has not had yet, in order. */
  note(line: Line): (Message | ControlEvent)[] {
    if (line instanceof Message) {
      this.#position = line;
      return this.#noteMessage(line);
    }
    this.#position = line.cursor ?? this.#position;
    switch (line.event) {
      case "gap":
        return this.#noteGap(line);
      case "deleted":
        this.#topics.delete(line.topic);
        return [line];
      case "other":
        return [];
      default:
        return [line];
    }
  }

  #noteMessage(message: Message): (Message | ControlEvent)[] {
    const { id, topic: { name, epoch } } = message;
    const received = this.#topics.get(name);
    if (received?.epoch === epoch && id <= received.lastId) return [];
    // The topic is a later one of the same name, so the reader missed the beginning of this one.
    const held = received?.epoch === epoch ? undefined : received?.held;
    this.#refresh(name, { epoch, lastId: id, held: undefined });
    return held === undefined ? [message] : [held, message];
  }

  #noteGap(gap: GapEvent): ControlEvent[] {
    if (gap.reason === "reset") this.#topics.delete(gap.topic);
    if (gap.to === null) return [gap];
    const received = this.#topics.get(gap.topic);
    if (received !== undefined && gap.to <= received.lastId) {
      received.held = gap;
      return [];
    }
    this.#refresh(gap.topic, { epoch: received?.epoch, lastId: gap.to, held: undefined });
    return [received === undefined ? gap : { ...gap, from: Math.max(gap.from ?? 0, received.lastId + 1) }];
  }

  /** Makes a topic the one heard of last. */
  #refresh(name: string, received: Received): void {
    if (this.#several) this.#topics.delete(name);
    this.#topics.set(name, received);
    if (this.#topics.size > this.#maxTopics) this.#topics.delete(this.#topics.keys().next().value!);
  }
}

/**
 * The position after a message, or the one that an event told: on several topics a time, because messages come in the
 * order of their `created`.
 */
export function positionAfter(last: string | Message | undefined, several: boolean): string | undefined {
  if (!(last instanceof Message)) return last;
  return several ? formatTimeCursor(last.createdMs) : last.cursor;
}
