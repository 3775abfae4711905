/**
 * How far a subscription has come, whatever becomes of its connections.
 *
 * @module
 */

import type { ControlEvent } from "../event.ts";
import { Message } from "../message.ts";
import type { Line } from "./lines.ts";
import { Position } from "./position.ts";

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
  /** Whether the topic may be another one by now, so that no gap is held. */
  isReset?: boolean;
}

/**
 * Knows from where to go on, and what of a line is new: a reader of several topics resumes at a time, and so gets a few
 * messages again.
 */
export class Progress {
  readonly #several: boolean;
  readonly #maxTopics: number;
  readonly #topics = new Map<string, Received>();
  readonly #position: Position;

  /** Begins where `since` says; without it, with the next message. */
  constructor(several: boolean, since: string | undefined, maxTopics: number = MAX_TOPICS_REMEMBERED) {
    this.#several = several;
    this.#position = new Position(several, since);
    this.#maxTopics = maxTopics;
  }

  /** Where the next connection begins: behind what was received. */
  reconnect(): string | undefined {
    this.#position.reconnect();
    return this.#position.text;
  }

  /** Takes note of a line; returns what the reader has not had yet, in order. */
  note(line: Line): (Message | ControlEvent)[] {
    this.#position.note(line);
    if (line instanceof Message) return this.#noteMessage(line);
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
    const same = received !== undefined && isOf(received, message);
    if (same && id <= received.lastId) return [];
    this.#refresh(name, { epoch, lastId: id, held: undefined });
    // The topic is a later one of the same name, so the reader missed the beginning of this one.
    return same || received?.held === undefined ? [message] : [received.held, message];
  }

  #noteGap(gap: GapEvent): ControlEvent[] {
    if (gap.reason === "reset" && !this.#several) this.#topics.delete(gap.topic);
    const received = this.#topics.get(gap.topic);
    // What was received may be of a later topic than the one that is gone: it comes again, and is known by its epoch.
    if (gap.reason === "reset" && received !== undefined) received.isReset = true;
    if (gap.to === null) return [gap];
    if (received !== undefined && gap.to <= received.lastId) {
      if (received.isReset) return [gap];
      received.held = gap;
      return [];
    }
    this.#refresh(gap.topic, { epoch: received?.epoch, lastId: gap.to, held: undefined });
    if (received === undefined || received.isReset) return [gap];
    return [{ ...gap, from: Math.max(gap.from ?? 0, received.lastId + 1) }];
  }

  /** Makes a topic the one heard of last. */
  #refresh(name: string, received: Received): void {
    if (this.#several) this.#topics.delete(name);
    this.#topics.set(name, received);
    if (this.#topics.size > this.#maxTopics) this.#topics.delete(this.#topics.keys().next().value!);
  }
}

/** Whether a message is of the topic of which that was received, and not of another one of its name. */
function isOf({ epoch, lastId }: Received, message: Message): boolean {
  return epoch === undefined ? message.id > lastId : epoch === message.topic.epoch;
}
