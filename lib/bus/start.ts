/**
 * Where a reader begins in the log of a topic, given what it asked for.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import type { Gap } from "../event.ts";
import { formatCursor } from "../message.ts";
import type { TopicPattern } from "../topic_pattern.ts";
import { formatTimeCursor, type Since } from "../wire/since.ts";
import type { GoneTopics } from "./gone_topics.ts";
import type { Topic } from "./topic.ts";

/** A place in a topic's log. */
export interface Start {
  /** The id of the first message wanted; it may have left the log already. */
  readonly next: number;
  /** What is known to be missing before that. */
  readonly gap?: Gap | undefined;
}

/** Where a reader begins that wants a topic `since`; those of its name that are `gone` count if they are given. */
export function startOf(topic: Topic, since: Since, gone?: GoneTopics): Start {
  const { log, info } = topic;
  if (since === "latest") return { next: log.next };
  if (since === "earliest") return { next: log.first };
  if ("last" in since) return { next: log.firstOfLast(since.last) };
  if ("fromMs" in since) return { next: log.firstSince(since.fromMs), gap: topic.gapSince(since.fromMs) };
  if ("createdMs" in since) {
    const { createdMs } = since;
    const next = log.firstSince(createdMs);
    const lost = topic.gapSince(createdMs);
    if (!gone?.hasLost(info.name, createdMs)) return { next, gap: lost };
    return { next, gap: { topic: info.name, from: null, to: lost?.to ?? null, reason: "reset" } };
  }
  const { next, epoch = info.epoch } = since;
  if (epoch === info.epoch && next <= log.next) return { next };
  return { next: log.first, gap: resetBefore(info.name, log.first) };
}

/** What a reader misses at once that wants a topic `since` which doesn't exist. */
export function missingBefore(name: string, since: Since, gone: GoneTopics): Gap | undefined {
  if (typeof since === "string" || "last" in since || "fromMs" in since) return undefined;
  const isNew = "createdMs" in since
    ? !gone.hasLost(name, since.createdMs)
    : since.epoch === undefined && since.next === 0;
  return isNew ? undefined : resetBefore(name, 0);
}

/** What a reader of several topics misses at once that wants them `since`, beside what those that exist have lost. */
export function missingOf(pattern: TopicPattern, since: Since, gone: GoneTopics): Gap[] {
  if (typeof since === "string" || !("createdMs" in since)) return [];
  return gone.lostSince(pattern, since.createdMs).map((topic) => resetBefore(topic, 0));
}

/** The time of which a reader that begins `since` a time has a cursor, until it is told what it missed at once. */
export function timeOf(since: Since, { startedMs }: GoneTopics): number {
  if (typeof since === "string") return -Infinity;
  // That there was no bus before that is nothing to be told of, later neither.
  if ("fromMs" in since) return Math.max(since.fromMs, startedMs);
  return "createdMs" in since ? since.createdMs : -Infinity;
}

/** The cursor that a reader of one topic has before it is told what it missed at once. */
export function cursorOfSince(since: Since, gone: GoneTopics): string {
  if (typeof since === "object" && "next" in since) return formatCursor(since.next, since.epoch);
  return formatTimeCursor(timeOf(since, gone));
}

/**
 * Refuses what can't be where a reader begins; from JavaScript anything may come.
 *
 * @throws {BusError} `bad_cursor`.
 */
export function assertSince(since: unknown): void {
  if (since === "latest" || since === "earliest") return;
  const { next = 0, last = 0, fromMs = 0, createdMs = 0, epoch = "" } = Object(since);
  const known = ["next", "last", "fromMs", "createdMs"].filter((name) => name in Object(since));
  const counts = [next, last].every((count) => Number.isSafeInteger(count) && count >= 0);
  const times = [fromMs, createdMs].every(Number.isFinite);
  if (known.length === 1 && counts && times && typeof epoch === "string") return;
  throw new BusError("bad_cursor", `Cannot read from ${quote(String(since))}: not a position`);
}

/** The gap of a reader whose position belonged to another log than that which begins with the id `first`. */
export function resetBefore(topic: string, first: number): Gap {
  return { topic, from: null, to: first === 0 ? null : first - 1, reason: "reset" };
}
