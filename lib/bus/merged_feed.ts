/**
 * The feed of several topics, in the order in which their messages were created.
 *
 * @module
 */

import type { ControlEvent, Gap } from "../event.ts";
import type { Message } from "../message.ts";
import type { TopicPattern } from "../topic_pattern.ts";
import { formatTimeCursor, type Since } from "../wire/since.ts";
import { ColdWait } from "./cold_wait.ts";
import { type Delivery, type Feed, type FeedHost, hasRoom, type ReadLimits, readRun } from "./feed.ts";
import { Heap, type HeapEntry } from "./heap.ts";
import { missingOf, startOf, timeOf } from "./start.ts";
import type { Topic } from "./topic.ts";

interface Source {
  readonly topic: Topic;
  next: number;
}

/** A topic that was deleted; until that is told, the cursor stays where it was. */
interface Deleted {
  readonly topic: string;
  readonly cursorMs: number;
}

/** Of how many deleted topics a reader is told one by one; of the others it is told once, by the whole pattern. */
const MAX_UNTOLD = 1000;

/**
 * Reads topics as they are heard of. It remembers a place only in those that have something it has not read, so that one
 * subscription to very many quiet topics costs next to nothing.
 *
 * Its cursor is a time: everything created before it has been read. Because the oldest message of all topics always comes
 * next, that time is the creation of the message read last.
 */
export class MergedFeed implements Feed {
  readonly #host: FeedHost;
  readonly #pattern: string;
  readonly #sources = new Map<Topic, HeapEntry<Source>>();
  /** Its sources, by a time when, or before which, the next message was created, which may have been dropped. */
  #heap = new Heap<Source>();
  /** What was missing when it began and has not been told, the first at the end. */
  readonly #missing: Gap[];
  /** Its cursor until that is told. */
  readonly #sinceMs: number;
  /** The topics that were deleted, of which that has not been told. */
  readonly #deleted: Deleted[] = [];
  /** When the newest message was created that was retained when it began; `undefined` after all of those were read. */
  #replayUntilMs: number | undefined = -Infinity;
  /** Its cursor when nothing is left to read. */
  #readUntilMs: number;
  /** When it stopped hearing of what is new. */
  #finishedMs = Infinity;
  readonly #cold: ColdWait;
  onLoaded: () => void = () => {};

  /** Begins in topics; `pattern` is how they were asked for. */
  constructor(host: FeedHost, pattern: TopicPattern, topics: readonly Topic[], since: Since) {
    this.#host = host;
    this.#pattern = pattern.text;
    this.#cold = new ColdWait(host, () => this.onLoaded());
    this.#readUntilMs = host.settledMs();
    this.#sinceMs = timeOf(since, host.gone);
    this.#missing = missingOf(pattern, since, host.gone);
    for (const topic of topics) {
      host.expire(topic);
      const { next, gap } = startOf(topic, since);
      if (gap !== undefined) this.#missing.push(gap);
      if (next === topic.log.next) continue;
      this.hear(topic, next, topic.log.createdAt(next)!);
      this.#replayUntilMs = Math.max(this.#replayUntilMs!, topic.log.newestMs!);
    }
    this.#missing.reverse();
  }

  get cursor(): string {
    return formatTimeCursor(this.#cursorMs);
  }

  /** Everything created before this time has been read or told to be missing. */
  get #cursorMs(): number {
    // What is on its way now may have been created before a time that people write.
    if (this.#missing.length > 0) return Math.min(this.#sinceMs, this.#settledMs());
    this.#host.spread();
    return Math.min(this.#nextMs, this.#deleted[0]?.cursorMs ?? Infinity);
  }

  /** Everything created before this time has been read, or was deleted. */
  get #nextMs(): number {
    return Math.min(this.#heap.peek()?.key ?? this.#readUntilMs, this.#settledMs());
  }

  /** A time before which it has heard of every message. */
  #settledMs(): number {
    return Math.min(this.#host.settledMs(), this.#finishedMs);
  }

  cursorOf(message: Message): string {
    return formatTimeCursor(Math.min(message.createdMs, this.#cursorMs));
  }

  get lag(): number {
    this.#host.spread();
    let lag = 0;
    for (const { value: { topic, next } } of this.#sources.values()) {
      if (topic.deleted) continue;
      this.#host.expire(topic);
      lag += topic.log.countFrom(next);
    }
    return lag;
  }

  get readable(): boolean {
    if (this.#missing.length + this.#deleted.length > 0) return true;
    return !this.#cold.isWaiting && (this.#heap.size > 0 || this.#replayUntilMs !== undefined);
  }

  introduce(): void {}

  hear(topic: Topic, from: number, createdMs: number): void {
    if (this.#sources.has(topic)) return;
    this.#sources.set(topic, this.#heap.add({ topic, next: from }, createdMs));
  }

  forget(topic: Topic): void {
    // What it has not heard of yet it will not hear of any more.
    const cursorMs = Math.min(this.#nextMs, topic.audience.unheardMs);
    const last = this.#deleted.at(-1);
    // A reader that reads nothing must not cost more the more topics come and go.
    if (this.#deleted.length <= MAX_UNTOLD) this.#deleted.push({ topic: topic.info.name, cursorMs });
    else this.#deleted[MAX_UNTOLD] = { topic: this.#pattern, cursorMs: last!.cursorMs };
    this.#drop(topic);
  }

  read(limits: ReadLimits): Delivery | "full" | undefined {
    // What has been read of a topic can't be told from what has not, once it has no place here: no news may be left over.
    this.#host.spread();
    const missing = this.#missing.pop();
    if (missing !== undefined) return { event: "gap", cursor: this.cursor, ...missing };
    const deleted = this.#deleted.shift();
    if (deleted !== undefined) return { event: "deleted", cursor: this.cursor, topic: deleted.topic };
    for (let entry = this.#heap.peek(); entry !== undefined; entry = this.#heap.peek()) {
      const source = entry.value;
      const { topic } = source;
      if (topic.cleared) {
        // After the bus drained.
        this.forget(topic);
        return this.read(limits);
      }
      this.#host.expire(topic);
      const gap = topic.gapAt(source.next);
      if (gap !== undefined) {
        if (!hasRoom(limits, topic, gap)) return "full";
        this.#moveTo(entry, gap.to! + 1, entry.key);
        return { event: "gap", cursor: this.cursor, ...gap };
      }
      if (this.#replayUntilMs !== undefined && entry.key > this.#replayUntilMs) return this.#caughtUp();
      if (topic.log.isCold(source.next)) {
        this.#cold.begin(topic, source.next);
        return undefined;
      }
      const run = readRun(this.#host.runs, topic, source.next, this.#heap.secondKey, limits);
      if (run === undefined) return "full";
      this.#host.pager.ahead(topic, source.next);
      const { createdMs } = run.messages.at(-1)!;
      this.#moveTo(entry, run.end, createdMs);
      this.#readUntilMs = Math.max(this.#readUntilMs, createdMs);
      return run;
    }
    this.#readUntilMs = this.#settledMs();
    return this.#replayUntilMs === undefined ? undefined : this.#caughtUp();
  }

  finish(): void {
    this.#finishedMs = this.#host.settledMs();
  }

  release(): void {
    this.#readUntilMs = this.#cursorMs;
    this.#missing.length = 0;
    this.#deleted.length = 0;
    this.#sources.clear();
    this.#heap = new Heap();
    this.#cold.end();
  }

  #caughtUp(): ControlEvent {
    this.#replayUntilMs = undefined;
    return { event: "caught-up", cursor: this.cursor };
  }

  /** Moves behind what was created at `readMs`. */
  #moveTo(entry: HeapEntry<Source>, next: number, readMs: number): void {
    const { topic } = entry.value;
    entry.value.next = next;
    if (next === topic.log.next) this.#drop(topic);
    // What is gone already was created no earlier than what is before it.
    else this.#heap.move(entry, topic.log.createdAt(next) ?? readMs);
  }

  #drop(topic: Topic): void {
    const entry = this.#sources.get(topic);
    if (entry === undefined) return;
    this.#heap.remove(entry);
    this.#sources.delete(topic);
  }
}
