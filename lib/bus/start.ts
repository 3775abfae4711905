/**
 * Where a reader begins in the log of a topic, given what it asked for.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import type { Gap } from "../event.ts";
import { formatCursor } from "../message.ts";
import { formatTimeCursor, type Since } from "../wire/since.ts";
import type { Topic } from "./topic.ts";

/** A place in a topic's log. */
export interface Start {
  /** The id of the first message wanted; it may have left the log already. */
  readonly next: number;
  /** What is known to be missing before that. */
  readonly gap?: Gap | undefined;
}

/** Where a reader begins that wants a topic `since`, on a bus that knows nothing from before `startedMs`. */
export function startOf(topic: Topic, since: Since, startedMs: number): Start {
  const { log, info } = topic;
  if (since === "latest") return { next: log.next };
  if (since === "earliest") return { next: log.first };
  if ("last" in since) return { next: Math.max(log.first, log.next - since.last) };
  if ("createdMs" in since) {
    const { createdMs } = since;
    const gap = createdMs < startedMs ? resetBefore(info.name, log.first) : topic.gapSince(createdMs);
    return { next: log.firstSince(createdMs), gap };
  }
  const { next, epoch = info.epoch } = since;
  if (epoch === info.epoch && next <= log.next) return { next };
  return { next: log.first, gap: resetBefore(info.name, log.first) };
}

/** What a reader misses at once that wants topics `since`, none of which exists. */
export function missingBefore(name: string, since: Since, startedMs: number): Gap | undefined {
  if (typeof since === "string" || "last" in since) return undefined;
  if ("createdMs" in since) return since.createdMs < startedMs ? resetBefore(name, 0) : undefined;
  return since.epoch === undefined && since.next === 0 ? undefined : resetBefore(name, 0);
}

/** The cursor that a reader has before it is told what it missed at once; there is nothing to miss for who has none. */
export function cursorOfSince(since: Since): string {
  if (typeof since === "string" || "last" in since) return "";
  return "next" in since ? formatCursor(since.next, since.epoch) : formatTimeCursor(since.createdMs);
}

/**
 * Refuses what can't be where a reader begins; from JavaScript anything may come.
 *
 * @throws {BusError} `bad_cursor`.
 */
export function assertSince(since: unknown): void {
  if (since === "latest" || since === "earliest") return;
  const { next = 0, last = 0, createdMs = 0, epoch = "" } = Object(since);
  const known = ["next", "last", "createdMs"].filter((name) => name in Object(since));
  const counts = [next, last].every((count) => Number.isSafeInteger(count) && count >= 0);
  if (known.length === 1 && counts && Number.isFinite(createdMs) && typeof epoch === "string") return;
  throw new BusError("bad_cursor", `Cannot read from ${quote(String(since))}: not a position`);
}

/** The gap of a reader whose position belonged to another log than that which begins with the id `first`. */
export function resetBefore(topic: string, first: number): Gap {
  return { topic, from: null, to: first === 0 ? null : first - 1, reason: "reset" };
}
