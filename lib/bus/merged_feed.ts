/**
 * The feed of several topics, in the order in which their messages were created.
 *
 * @module
 */

import type { ControlEvent, Gap } from "../event.ts";
import type { Message } from "../message.ts";
import { formatTimeCursor, type Since } from "../wire/since.ts";
import { type Delivery, type Feed, type FeedHost, type ReadLimits, readRun } from "./feed.ts";
import { Heap, type HeapEntry } from "./heap.ts";
import { missingBefore, startOf } from "./start.ts";
import type { Topic } from "./topic.ts";

interface Source {
  readonly topic: Topic;
  next: number;
}

/**
 * Reads topics as they are heard of. It remembers a place only in those that have something it has not read, so that one
 * subscription to very many quiet topics costs next to nothing.
 *
 * Its cursor is a time: everything created before it has been read. Because the oldest message of all topics always comes
 * next, that time is the creation of the message read last.
 */
export class MergedFeed implements Feed {
  readonly #host: FeedHost;
  readonly #sources = new Map<Topic, HeapEntry<Source>>();
  /** Its sources, by when their next messages were created. */
  readonly #heap = new Heap<Source>();
  readonly #events: ControlEvent[] = [];
  /** When it began; `undefined` after everything created until then was read. */
  #replayUntilMs: number | undefined;
  /** Its cursor when nothing is left to read. */
  #readUntilMs: number;

  /** Begins in topics; `pattern` is how they were asked for. */
  constructor(host: FeedHost, pattern: string, topics: readonly Topic[], since: Since) {
    this.#host = host;
    this.#replayUntilMs = this.#readUntilMs = host.settledMs();
    const gaps: Gap[] = [];
    // One for all: a time from before the bus began says nothing of single topics.
    const before = missingBefore(pattern, since, host.startedMs);
    if (before !== undefined) gaps.push(before);
    for (const topic of topics) {
      host.expire(topic);
      const { next, gap } = startOf(topic, since, before === undefined ? host.startedMs : -Infinity);
      if (gap !== undefined) gaps.push(gap);
      if (next < topic.log.next) this.hear(topic, next);
    }
    for (const gap of gaps) this.#events.push({ event: "gap", cursor: this.cursor, ...gap });
  }

  get cursor(): string {
    return formatTimeCursor(Math.min(this.#heap.peek()?.key ?? this.#readUntilMs, this.#host.settledMs()));
  }

  cursorOf(message: Message): string {
    return formatTimeCursor(Math.min(message.createdMs, this.#host.settledMs()));
  }

  get lag(): number {
    let lag = 0;
    for (const { value: { topic, next } } of this.#sources.values()) {
      this.#host.expire(topic);
      lag += topic.log.next - Math.max(next, topic.log.first);
    }
    return lag;
  }

  introduce(): void {}

  hear(topic: Topic, from: number): void {
    if (this.#sources.has(topic)) return;
    this.#sources.set(topic, this.#heap.add({ topic, next: from }, createdMsAt(topic, from)));
  }

  forget(topic: Topic): void {
    this.#drop(topic);
    this.#events.push({ event: "deleted", cursor: this.cursor, topic: topic.info.name });
  }

  read(limits: ReadLimits): Delivery | "full" | undefined {
    const event = this.#events.shift();
    if (event !== undefined) return event;
    for (let entry = this.#heap.peek(); entry !== undefined; entry = this.#heap.peek()) {
      const source = entry.value;
      const { topic } = source;
      this.#host.expire(topic);
      const gap = topic.gapAt(source.next);
      if (gap !== undefined) {
        this.#moveTo(entry, topic.log.first);
        return { event: "gap", cursor: this.cursor, ...gap };
      }
      if (this.#replayUntilMs !== undefined && entry.key > this.#replayUntilMs) return this.#caughtUp();
      const run = readRun(this.#host.runs, topic, source.next, this.#heap.secondKey, limits);
      if (run === undefined) return "full";
      this.#moveTo(entry, run.end);
      return run;
    }
    this.#readUntilMs = this.#host.settledMs();
    return this.#replayUntilMs === undefined ? undefined : this.#caughtUp();
  }

  #caughtUp(): ControlEvent {
    this.#replayUntilMs = undefined;
    return { event: "caught-up", cursor: this.cursor };
  }

  #moveTo(entry: HeapEntry<Source>, next: number): void {
    const { topic } = entry.value;
    entry.value.next = next;
    if (next === topic.log.next) this.#drop(topic);
    else this.#heap.move(entry, createdMsAt(topic, next));
  }

  #drop(topic: Topic): void {
    const entry = this.#sources.get(topic);
    if (entry === undefined) return;
    this.#heap.remove(entry);
    this.#sources.delete(topic);
  }
}

/** When the message was created that a reader at `next` gets; before everything else if it is gone. */
function createdMsAt({ log }: Topic, next: number): number {
  return log.get(next)?.createdMs ?? -Infinity;
}
