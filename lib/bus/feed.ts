/**
 * What a subscription reads: its place in the logs of its topics, and what comes next.
 *
 * @module
 */

import type { ControlEvent, Gap } from "../event.ts";
import { formatCursor, type Message } from "../message.ts";
import type { Since } from "../wire/since.ts";
import { ColdWait } from "./cold_wait.ts";
import type { Clock } from "./clock.ts";
import type { GoneTopics } from "./gone_topics.ts";
import { MESSAGE_OVERHEAD_BYTES } from "./limits.ts";
import type { Pager } from "./pager.ts";
import { type Run, runFrom, type Runs } from "./run.ts";
import { cursorOfSince, missingBefore, resetBefore, startOf } from "./start.ts";
import type { Topic } from "./topic.ts";

/** What a subscription gives next: messages, or an event between them. */
export type Delivery = Run | ControlEvent;

/** How much a reader takes at once. */
export interface ReadLimits {
  /** How many bytes of envelopes, a line end each. Default: as much as a run has. */
  readonly maxBytes?: number;
  /** How many messages. Default: as many as a run has. */
  readonly maxMessages?: number;
}

/** What feeds need of the bus. */
export interface FeedHost {
  /** The runs that readers at the same position share. */
  readonly runs: Runs;
  /** The topics that are gone. */
  readonly gone: GoneTopics;
  /** What loads messages that are not in memory. */
  readonly pager: Pager;
  /** Where time comes from. */
  readonly clock: Clock;
  /** Drops what has expired in a topic, before it is read. */
  expire(topic: Topic): void;
  /** Lets all feeds hear of what is new. */
  spread(): void;
  /**
   * A time before which every message that was ever accepted is visible, and before which none to come will have been
   * created, in milliseconds since the Unix epoch.
   */
  settledMs(): number;
}

/** The reading side of a subscription. */
export interface Feed {
  /** The position after everything read. */
  readonly cursor: string;
  /** The position after the message that was read last, or one of the run that was. */
  cursorOf(message: Message): string;
  /** How many retained messages lie ahead. */
  readonly lag: number;
  /** Called when there is something to read that had to be loaded. */
  onLoaded: () => void;
  /** A topic it reads is about to get its first message. */
  introduce(topic: Topic): void;
  /** Whether there is something to read. */
  readonly readable: boolean;
  /** A topic it reads has something new from the message `from` on, which was created at `createdMs` and may be gone. */
  hear(topic: Topic, from: number, createdMs: number): void;
  /** A topic it reads was deleted. */
  forget(topic: Topic): void;
  /**
   * What comes next; `undefined` if there is nothing now, `full` if it exceeds the limits. If what comes next is to be
   * loaded first, there is nothing until {@linkcode Feed.onLoaded} is called.
   */
  read(limits: ReadLimits): Delivery | "full" | undefined;
  /** It hears of nothing new any more, and is read to the end. */
  finish(): void;
  /** Lets go of its topics. It is not read any more; its cursor stays. */
  release(): void;
}

/** The feed of one topic, which need not exist. */
export class TopicFeed implements Feed {
  readonly #host: FeedHost;
  #topic: Topic | undefined;
  #epoch: string | undefined;
  #next = 0;
  /** The end of the log when it began; `undefined` after that was reached. */
  #replayEnd: number | undefined = 0;
  /** What is missing before the first message, and the cursor until that is told. */
  #missing: { readonly gap: Gap; readonly cursor: string } | undefined;
  readonly #cold: ColdWait;
  onLoaded: () => void = () => {};

  /** Begins in a topic, or, if there is none yet of this name that has had a message, with its first one. */
  constructor(host: FeedHost, name: string, topic: Topic | undefined, since: Since) {
    this.#host = host;
    this.#cold = new ColdWait(host, () => this.onLoaded());
    let gap: Gap | undefined;
    if (topic === undefined) gap = missingBefore(name, since, host.gone);
    else {
      host.expire(topic);
      const start = startOf(topic, since, host.gone);
      gap = start.gap;
      this.#topic = topic;
      this.#epoch = topic.info.epoch;
      this.#next = start.next;
      this.#replayEnd = topic.log.next;
    }
    if (gap !== undefined) this.#missing = { gap, cursor: cursorOfSince(since, host.gone) };
  }

  get cursor(): string {
    return this.#missing?.cursor ?? formatCursor(this.#next, this.#epoch);
  }

  cursorOf(message: Message): string {
    return message.cursor;
  }

  get lag(): number {
    const topic = this.#topic;
    if (topic === undefined || topic.deleted) return 0;
    this.#host.expire(topic);
    return topic.log.countFrom(this.#next);
  }

  get readable(): boolean {
    if (this.#missing !== undefined) return true;
    if (this.#topic?.cleared || this.#cold.isWaiting) return false;
    return this.#replayEnd !== undefined || this.#next !== (this.#topic?.log.next ?? 0);
  }

  introduce(topic: Topic): void {
    const { cursor } = this;
    // It came when the store was being asked to remove the topic before this one.
    const unread = this.#topic !== undefined && this.#next !== this.#topic.log.next;
    if (unread) this.#missing = { gap: resetBefore(topic.info.name, 0), cursor };
    this.#topic = topic;
    this.#epoch = topic.info.epoch;
    this.#next = 0;
    this.#cold.end();
    if (this.#replayEnd !== undefined) this.#replayEnd = 0;
  }

  hear(): void {}

  forget(): void {}

  read(limits: ReadLimits): Delivery | "full" | undefined {
    const topic = this.#topic;
    const missing = this.#missing;
    if (missing !== undefined) {
      this.#missing = undefined;
      return { event: "gap", cursor: this.cursor, ...missing.gap };
    }
    if (topic !== undefined) {
      if (topic.cleared) return undefined;
      this.#host.expire(topic);
      const gap = topic.gapAt(this.#next);
      if (gap !== undefined) {
        if (!hasRoom(limits, topic, gap)) return "full";
        this.#next = gap.to! + 1;
        return { event: "gap", cursor: this.cursor, ...gap };
      }
    }
    if (this.#replayEnd !== undefined && this.#next >= this.#replayEnd) {
      this.#replayEnd = undefined;
      return { event: "caught-up", cursor: this.cursor };
    }
    if (topic === undefined || this.#next === topic.log.next) return undefined;
    if (topic.log.isCold(this.#next)) {
      this.#cold.begin(topic, this.#next);
      return undefined;
    }
    const run = readRun(this.#host.runs, topic, this.#next, Infinity, limits);
    if (run === undefined) return "full";
    this.#host.pager.ahead(topic, this.#next);
    this.#next = run.end;
    return run;
  }

  finish(): void {}

  release(): void {
    this.#topic = undefined;
    this.#cold.end();
  }
}

/**
 * Whether the limits allow the message of a topic that follows a gap. A reader that has no room for it is not told of the
 * gap: it would be told of another one each time the log moves on without it.
 */
export function hasRoom({ maxBytes = Infinity }: ReadLimits, { log }: Topic, gap: Gap): boolean {
  const bytes = log.bytesAt(gap.to! + 1);
  return bytes === undefined || bytes - MESSAGE_OVERHEAD_BYTES + 1 <= maxBytes;
}

/** The run of a topic from a retained message on, as far as the limits allow; `undefined` if they allow no message. */
export function readRun(
  runs: Runs,
  topic: Topic,
  first: number,
  createdMs: number,
  { maxBytes = Infinity, maxMessages = Infinity }: ReadLimits,
): Run | undefined {
  // Not shared: who takes messages one by one needs no bytes of them.
  const run = maxMessages === Infinity ? runs.from(topic, first) : runFrom(topic, first, maxMessages);
  return run.within({ maxBytes, createdMs });
}
