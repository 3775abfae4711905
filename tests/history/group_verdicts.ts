/**
 * What a history says of groups: who had which message, how often, and when. A lease is given between the call and the
 * answer of its pull, and what isn't certain counts for the server.
 *
 * @module
 */

import type { Line } from "./history.ts";
import { firstWhere, type Group, type Handouts, type IndexedHistory, valueOf } from "./indexed.ts";
import type { Verdict, Violation } from "./violation.ts";

/** V8: what a plain pull has given, nobody else gets. */
export function* atMostOnce(history: IndexedHistory): Generator<Violation> {
  for (const handouts of allHandouts(history)) {
    const { lines } = handouts;
    const pull = lines.find(({ op }) => op === "pull");
    if (pull === undefined) continue;
    const again = lines.find((line) => line !== pull && (line.op === "pull" || line.t0 > pull.t1!));
    if (again !== undefined) yield violation("V8", [pull, again], handouts, "was pulled, and handed out again");
  }
}

/** V9: a message has one lease at a time in a group, and so has a key. */
export function* leases(history: IndexedHistory): Generator<Violation> {
  for (const handouts of allHandouts(history)) {
    const leased = handouts.lines.filter(({ op }) => op === "lease");
    for (const [i, after] of leased.entries()) {
      const before = leased[i - 1];
      if (before === undefined || after.t1! + history.settings.clockErrorMs >= leaseEnd(history, before)) continue;
      yield violation("V9", [before, after], handouts, "was leased while it was leased");
    }
  }
  for (const group of history.groups) yield* keys(history, group);
}

/** The earliest time at which a lease can have ended. */
function leaseEnd(history: IndexedHistory, lease: Line): number {
  let end = lease.t0 + lease.leaseMs!;
  let settled = Infinity;
  for (const { op, outcome, t0, leaseMs } of history.settles.get(lease.lease!) ?? []) {
    if (op !== "extend") settled = Math.min(settled, t0);
    else end = outcome === "ok" ? t0 + leaseMs! : Math.min(end, t0 + leaseMs!);
  }
  return Math.min(end, settled, history.goneAfter(lease.t0), goneWithTopic(history, lease));
}

/** The earliest time at which a topic of that name can have been deleted, at or after a call. */
function goneWithTopic(history: IndexedHistory, { topic, t0 }: Line): number {
  return Math.min(Infinity, ...(history.deletes.get(topic!) ?? []).filter(({ t1 }) => t1! >= t0).map(({ t0 }) => t0));
}

/** A key belongs to one message from its first lease until that is done. */
function* keys(history: IndexedHistory, { messages, topic }: Group): Generator<Violation> {
  const byKey = new Map<string, Line[]>();
  const freed = new Map<Line, number>();
  for (const handouts of messages.values()) {
    if (handouts.key === undefined) continue;
    const free = earliestDone(history, handouts);
    for (const line of handouts.lines) {
      freed.set(line, free);
      valueOf(byKey, `${handouts.epoch}#${handouts.key}`, () => []).push(line);
    }
  }
  for (const lines of byKey.values()) {
    let holder: Line | undefined;
    for (const line of lines.sort((a, b) => a.t1! - b.t1!)) {
      if (holder !== undefined && holder.id !== line.id && line.t0 > holder.t1! && line.t1! < freed.get(holder)!) {
        yield {
          verdict: "V9",
          lines: [holder.line, line.line],
          message: `${topic} ${line.id} was handed out while ${holder.id} had its key`,
        };
      }
      if (holder === undefined || freed.get(line)! > freed.get(holder)!) holder = line;
    }
  }
}

/** The earliest time at which a group can have been done with a message. */
function earliestDone(history: IndexedHistory, { topic, epoch, id, lines }: Handouts): number {
  const { maxAttempts, ttlMs } = history.settings;
  let done = Infinity;
  for (const line of lines) {
    const settles = history.settles.get(line.lease!) ?? [];
    done = Math.min(
      done,
      line.op === "pull" ? line.t0 : Infinity,
      maxAttempts > 0 && line.attempt! >= maxAttempts ? line.t0 : Infinity,
      ...settles.filter(({ op }) => op === "ack").map(({ t0 }) => t0),
      goneWithTopic(history, line),
    );
  }
  // What isn't there at the end may have gone at any time.
  const drained = history.logs.get(topic)?.get(epoch)?.drained;
  const mayGo = ttlMs > 0 || history.settings.maxMessages > 0;
  return mayGo && !drained?.has(id) ? -Infinity : done;
}

/** V10: what is not acknowledged is handed out again in time, and each time counts. */
export function* redelivery(history: IndexedHistory): Generator<Violation> {
  for (const group of history.groups) {
    const unknown = new Unknown(history, group.unknown);
    for (const handouts of group.messages.values()) yield* attempts(history, handouts, unknown);
    const empty = group.empty.filter(({ t1 }) => !unknown.mayHold(t1!)).sort((a, b) => a.t0 - b.t0);
    for (const handouts of group.messages.values()) yield* forgotten(history, handouts, empty);
    if (group.drained !== undefined) yield* neverHandedOut(history, group, group.drained);
  }
}

/** Pulls of a group that nobody answered. */
class Unknown {
  readonly #calls: readonly number[];
  readonly #ends: readonly number[];
  readonly #holds: readonly { readonly t0: number; readonly until: number }[];

  constructor(history: IndexedHistory, lines: readonly Line[]) {
    this.#calls = lines.map(({ t0 }) => t0).sort((a, b) => a - b);
    // A call ends with the server that it was made to.
    const ends = lines.map((line) => Math.min(line.t1!, history.goneBy(line.t0)));
    this.#ends = ends.toSorted((a, b) => a - b);
    let latest = -Infinity;
    this.#holds = lines.toSorted((a, b) => a.t0 - b.t0).map(({ t0, t1, leaseMs = 0 }) => {
      const until = Math.min(t1! + leaseMs + 1000, history.goneBy(t0)); // a lease ends with the server
      return { t0, until: latest = Math.max(latest, until) };
    });
  }

  /** How many may have been served between two times. */
  between(t0: number, t1: number): number {
    return firstWhere(this.#calls.length, (i) => this.#calls[i]! > t1) -
      firstWhere(this.#ends.length, (i) => this.#ends[i]! >= t0);
  }

  /** Whether one of them may have a lease. */
  mayHold(t: number): boolean {
    const count = firstWhere(this.#holds.length, (i) => this.#holds[i]!.t0 > t);
    return count > 0 && this.#holds[count - 1]!.until >= t;
  }
}

function* attempts(history: IndexedHistory, handouts: Handouts, unknown: Unknown): Generator<Violation> {
  let before: Line | undefined;
  for (const line of handouts.lines.filter(({ op }) => op === "lease")) {
    const least = before === undefined ? 1 : before.attempt! + (mayNotCount(history, before) ? 0 : 1);
    const most = (before?.attempt ?? 0) + 1 + unknown.between(before?.t0 ?? -Infinity, line.t1!);
    if (line.attempt! < least || line.attempt! > most) {
      const lines = before === undefined ? [line] : [before, line];
      yield violation("V10", lines, handouts, `has attempt ${line.attempt} after ${before?.attempt ?? "none"}`);
    }
    before = line;
  }
}

function mayNotCount(history: IndexedHistory, lease: Line): boolean {
  return (history.settles.get(lease.lease!) ?? []).some(({ op, counted }) => op === "nack" && counted === false);
}

/** A pull came back empty though a lease had ended a second before. */
function* forgotten(history: IndexedHistory, handouts: Handouts, empty: readonly Line[]): Generator<Violation> {
  const { maxAttempts, clockErrorMs } = history.settings;
  const drained = history.logs.get(handouts.topic)?.get(handouts.epoch)?.drained;
  if (!drained?.has(handouts.id)) return; // it may have gone
  for (const [i, line] of handouts.lines.entries()) {
    if (line.op === "pull" || (maxAttempts > 0 && line.attempt! >= maxAttempts)) return;
    const due = latestDue(history, line);
    if (due === undefined) return;
    const next = handouts.lines[i + 1];
    const pull = empty[firstWhere(empty.length, (i) => empty[i]!.t0 > due + 1000 + clockErrorMs)];
    if (pull === undefined || (next !== undefined && pull.t1! >= next.t0)) continue;
    yield violation("V10", [line, pull], handouts, "was not handed out again");
  }
}

/** The latest time from when on the message of a lease is to be handed out again; `undefined` if it may be done. */
function latestDue(history: IndexedHistory, lease: Line): number | undefined {
  let due = Math.min(lease.t1! + lease.leaseMs!, history.backAfter(lease.t1!));
  for (const { op, outcome, t1, leaseMs = 0, delayMs = 0 } of history.settles.get(lease.lease!) ?? []) {
    if (op === "ack") return undefined;
    if (op === "nack") due = outcome === "ok" ? t1! + delayMs : Math.max(due, t1! + delayMs);
    else due = outcome === "ok" ? t1! + leaseMs : Math.max(due, t1! + leaseMs);
  }
  return due;
}

/** Everything that is retained was handed out to somebody, or to pulls that nobody answered. */
function* neverHandedOut(history: IndexedHistory, group: Group, end: Line): Generator<Violation> {
  for (const log of history.logs.get(group.topic)?.values() ?? []) {
    const missing = [...log.drained.values()].filter(({ id }) => !group.messages.has(`${log.epoch}#${id}`));
    // A lease that nobody answered ends, and its message comes again; what a plain pull took is gone.
    const taken = group.unknown.filter(({ op }) => op === "pull").reduce((sum, { limit = 1 }) => sum + limit, 0);
    if (missing.length <= taken) continue;
    yield {
      verdict: "V10",
      lines: [end.line, ...missing.slice(0, 3).map(({ line }) => line)],
      message: `${missing.length} messages of ${log.topic} were never handed out in "${group.group}", ` +
        `and ${taken} may have been taken unseen`,
    };
  }
}

/** V11: an acknowledged message is not handed out again, and one that was can't be acknowledged by its old lease. */
export function* acked(history: IndexedHistory): Generator<Violation> {
  for (const handouts of allHandouts(history)) {
    for (const lease of handouts.lines) {
      const ack = (history.settles.get(lease.lease!) ?? []).find(({ op, outcome }) => op === "ack" && outcome === "ok");
      if (ack === undefined) continue;
      const again = handouts.lines.find((other) =>
        other !== lease && (other.t0 > ack.t1! || (other.attempt ?? 0) > lease.attempt!)
      );
      if (again === undefined) continue;
      yield violation("V11", [lease, ack, again], handouts, "was acknowledged, and handed out again");
      break;
    }
  }
}

function* allHandouts({ groups }: IndexedHistory): Generator<Handouts> {
  for (const { messages } of groups) yield* messages.values();
}

function violation(verdict: Verdict, lines: readonly Line[], { topic, epoch, id }: Handouts, what: string): Violation {
  return { verdict, lines: lines.map(({ line }) => line), message: `${topic} ${epoch} ${id} ${what}` };
}
