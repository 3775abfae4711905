/**
 * What a history says of logs: whether what was acknowledged is there, under its id, in its order, for every reader.
 *
 * @module
 */

import type { Line } from "./history.ts";
import { type Drain, firstWhere, type IndexedHistory, type Log, type Publish, valueOf } from "./indexed.ts";
import type { Violation } from "./violation.ts";

/** V1: what was acknowledged and must be retained is found by the last browse. */
export function* lost(history: IndexedHistory): Generator<Violation> {
  for (const publish of history.allPublishes()) {
    const drain = history.drains.get(publish.topic);
    if (drain?.end === undefined) continue; // nobody looked
    for (const ack of publish.acks) {
      const log = history.logs.get(publish.topic)!.get(ack.epoch!)!;
      if (log.drained.get(ack.id!)?.sha === publish.sha || mayBeGone(history, publish, ack, log, drain)) continue;
      yield {
        verdict: "V1",
        lines: [publish.calls[0]!.line, ack.line, drain.end.line],
        message: `${publish.topic} ${ack.epoch} ${ack.id} was acknowledged and is lost (${classOf(log, ack.id!)})`,
      };
      break;
    }
  }
}

function mayBeGone(history: IndexedHistory, publish: Publish, ack: Line, log: Log, drain: Drain): boolean {
  const { durable, ttlMs, maxMessages, clockErrorMs } = history.settings;
  const { t0 } = publish.calls[0]!;
  return (ttlMs > 0 && drain.end!.t1! >= t0 + ttlMs - clockErrorMs) ||
    (maxMessages > 0 && log.last - ack.id! >= maxMessages) ||
    (!durable && history.goneAfter(t0) < drain.end!.t1!) ||
    (history.deletes.get(publish.topic) ?? []).some((line) => line.t1! >= t0);
}

/** The classes of losses that Jepsen tells apart. */
function classOf(log: Log, id: number): "prefix" | "middle" | "postfix" | "all" {
  if (log.drained.size === 0) return "all";
  let first = Infinity;
  let last = -1;
  for (const id of log.drained.keys()) {
    first = Math.min(first, id);
    last = Math.max(last, id);
  }
  return id < first ? "prefix" : id > last ? "postfix" : "middle";
}

/** V2: what was read had been sent, to this topic. */
export function* phantom(history: IndexedHistory): Generator<Violation> {
  for (const read of history.reads) {
    const publish = history.publishes.get(originOf(read.topic!))?.get(read.sha!) ??
      history.publishes.get(read.topic!)?.get(read.sha!);
    if (publish !== undefined && publish.calls[0]!.t0 <= read.t1!) continue;
    yield {
      verdict: "V2",
      lines: [read.line],
      message: `${read.client} read ${read.topic} ${read.id} with a payload that nobody had sent`,
    };
  }
}

function originOf(topic: string): string {
  return topic.endsWith("/-dead") ? topic.slice(0, -"/-dead".length) : topic;
}

/** V3: an id has one payload, and the ids of a log have no holes. */
export function* ids(history: IndexedHistory): Generator<Violation> {
  for (const log of history.allLogs()) {
    for (const [id, said] of log.messages) {
      if (said.length === 1) continue;
      yield {
        verdict: "V3",
        lines: said.map(({ line }) => line),
        message: `${log.topic} ${log.epoch} ${id} has ${said.length} payloads`,
      };
    }
    yield* drainedHoles(history, log);
    yield* unknownHoles(history, log);
  }
}

/** What the last browse passed over without saying so. */
function* drainedHoles(history: IndexedHistory, log: Log): Generator<Violation> {
  const gaps = (history.drains.get(log.topic)?.gaps ?? []).filter(({ epoch }) => epoch === log.epoch);
  let before: Line | undefined;
  for (const line of sorted(log.drained)) {
    const from = (before?.id ?? line.id! - 1) + 1;
    if (from < line.id! && !gaps.some((gap) => gap.from! <= from && gap.to! >= line.id! - 1)) {
      yield {
        verdict: "V3",
        lines: [before!.line, line.line],
        message: `${log.topic} ${log.epoch} has a hole from ${from} to ${line.id! - 1}`,
      };
    }
    before = line;
  }
}

function sorted(messages: ReadonlyMap<number, Line>): Line[] {
  return [...messages.values()].sort((a, b) => a.id! - b.id!);
}

/** Ids that nobody has seen must belong to publishes that nobody answered. */
function* unknownHoles(history: IndexedHistory, log: Log): Generator<Violation> {
  const publishes = history.publishes.get(log.topic);
  if (publishes === undefined) return; // dead letters come from elsewhere
  const unseen = log.last + 1 - log.messages.size;
  if (unseen === 0) return;
  let unknown = 0;
  for (const { sha, calls, acks, refusals } of publishes.values()) {
    if (!log.ids.has(sha) && calls.length > acks.length + refusals.length) unknown++;
  }
  if (unseen <= unknown) return;
  yield {
    verdict: "V3",
    lines: [log.messages.get(log.last)![0]!.line],
    message: `${log.topic} ${log.epoch} has ${unseen} ids that nobody has seen, and ${unknown} unknown publishes`,
  };
}

/** A publish that was acknowledged: it happened between `t0` and `t1`. */
interface Interval {
  readonly t0: number;
  readonly t1: number;
  readonly ack: Line;
}

/** V4: a publish that was acknowledged before another one was called has the smaller id. */
export function* realTime(history: IndexedHistory): Generator<Violation> {
  for (const [topic, publishes] of history.publishes) {
    const intervals: Interval[] = [];
    for (const { calls, acks: [ack] } of publishes.values()) {
      if (ack !== undefined) intervals.push({ t0: calls[0]!.t0, t1: ack.t1!, ack });
    }
    const byAnswer = intervals.toSorted((a, b) => a.t1 - b.t1);
    let answered = 0;
    let highest: Line | undefined;
    for (const { t0, ack } of intervals.sort((a, b) => a.t0 - b.t0)) {
      for (; answered < byAnswer.length && byAnswer[answered]!.t1 < t0; answered++) {
        const before = byAnswer[answered]!.ack;
        if (highest === undefined || isAfter(before, highest)) highest = before;
      }
      if (highest === undefined || !isAfter(highest, ack)) continue;
      yield {
        verdict: "V4",
        lines: [highest.line, ack.line],
        message: `${topic} ${ack.id} was sent after ${highest.id} was acknowledged`,
      };
    }
  }
}

/** Epochs are times, in base 36. */
function isAfter(a: Line, b: Line): boolean {
  return a.epoch === b.epoch ? a.id! > b.id! : parseInt(a.epoch!, 36) > parseInt(b.epoch!, 36);
}

/** V5: what one client published one after the other is in this order in the log, as readers see it. */
export function* producerOrder(history: IndexedHistory): Generator<Violation> {
  for (const log of history.allLogs()) {
    const publishes = history.publishes.get(log.topic);
    if (publishes === undefined) continue;
    /** By client, the one that was called last of those before in the log. */
    const latest = new Map<string, { readonly publish: Publish; readonly read: Line }>();
    for (const id of [...log.messages.keys()].sort((a, b) => a - b)) {
      const read = log.messages.get(id)!.at(-1)!;
      const publish = publishes.get(read.sha!);
      const call = publish?.calls[0];
      if (publish === undefined || call === undefined) continue;
      const before = latest.get(call.client);
      const ack = publish.acks[0];
      if (before !== undefined && ack !== undefined && ack.t1! < before.publish.calls[0]!.t0) {
        yield {
          verdict: "V5",
          lines: [ack.line, before.read.line, read.line],
          message: `${call.client} published ${log.topic} ${id} before ${before.read.id}`,
        };
      }
      if (before === undefined || before.publish.calls[0]!.t0 < call.t0) latest.set(call.client, { publish, read });
    }
  }
}

/** Where a reader is in a topic. */
interface Place {
  /** `undefined` if it may go on in any, or anywhere in this one. */
  epoch: string | undefined;
  next: number | undefined;
  /** Whether it may be given again what it had: it came back with a time. */
  repeats: boolean;
  /** What brought it there. */
  line: number;
}

/** V6: a reader gets rising ids, and all of them, or is told what is missing, and that is gone. */
export function* readerOrder(history: IndexedHistory): Generator<Violation> {
  const readers = new Map<string, Reader>();
  for (const line of history.lines) {
    if (!["subscribe", "deliver", "gap", "browse", "drain"].includes(line.op)) continue;
    yield* valueOf(readers, line.client, () => new Reader(history)).judge(line);
  }
  yield* pullOrder(history);
}

class Reader {
  readonly #history: IndexedHistory;
  readonly #places = new Map<string, Place>();

  constructor(history: IndexedHistory) {
    this.#history = history;
  }

  *judge(line: Line): Generator<Violation> {
    if (line.outcome === "called") this.#begin(line);
    else if (line.op === "gap") yield* this.#gap(line);
    else if (line.id !== undefined) yield* this.#message(line);
    else if (line.outcome === "end" && line.cursor !== undefined) yield* this.#end(line);
  }

  #begin({ topic, cursor, line }: Line): void {
    const position = /^([0-9]+)(?:@(.+))?$/.exec(cursor ?? "");
    if (position !== null) {
      this.#places.set(topic!, { epoch: position[2], next: Number(position[1]), repeats: false, line });
    } else if (cursor?.startsWith("T")) {
      for (const place of this.#places.values()) place.repeats = true;
    } else this.#places.clear();
  }

  *#gap({ topic, epoch, from, to, reason, line }: Line): Generator<Violation> {
    if (/[*,]/.test(topic!)) return this.#places.clear(); // of all that it reads
    if (reason === "reset" || reason === "deleted" || to === undefined) {
      this.#places.set(topic!, { epoch: undefined, next: undefined, repeats: false, line });
      return;
    }
    const place = this.#places.get(topic!);
    if (place !== undefined && place.next !== undefined && from !== undefined && from > place.next) {
      yield violation([place.line, line], `${topic} goes on with a gap from ${from} where ${place.next} was next`);
    }
    // A reader of several topics is at a time, which doesn't say in which epoch.
    epoch ??= place?.epoch;
    const drained = this.#history.logs.get(topic!)?.get(epoch!)?.drained;
    if (drained !== undefined && drained.size > 0 && reason !== "damaged") {
      for (let id = from ?? to; id <= to; id++) {
        const there = drained.get(id);
        if (there === undefined) continue;
        yield violation([line, there.line], `${topic} ${id} was said to be gone, and is there`);
        break;
      }
    }
    this.#places.set(topic!, { epoch, next: to + 1, repeats: place?.repeats ?? false, line });
  }

  *#message({ topic, epoch, id, line }: Line): Generator<Violation> {
    const place = this.#places.get(topic!);
    if (place?.epoch !== undefined && place.epoch !== epoch) {
      yield violation([place.line, line], `${topic} went on in another epoch, and nobody said so`);
    } else if (place?.next !== undefined && id! > place.next) {
      yield violation([place.line, line], `${topic} skipped ${place.next} to ${id! - 1}`);
    } else if (place?.next !== undefined && id! < place.next && !place.repeats) {
      yield violation([place.line, line], `${topic} ${id} came where ${place.next} was next`);
    }
    this.#places.set(topic!, { epoch, next: id! + 1, repeats: false, line });
  }

  /** The next page begins where this one ends. */
  *#end({ topic, cursor, line }: Line): Generator<Violation> {
    const place = this.#places.get(topic!);
    const next = Number(/^[0-9]+/.exec(cursor!)?.[0]);
    if (place?.next === undefined || place.next === next || cursor!.split("@")[1] !== place.epoch) return;
    yield violation([place.line, line], `A page of ${topic} ends at ${next} where ${place.next} was next`);
  }
}

function violation(lines: readonly number[], message: string): Violation {
  return { verdict: "V6", lines, message };
}

/** Where nothing is leased or unknown, what is pulled later is newer. */
function* pullOrder(history: IndexedHistory): Generator<Violation> {
  for (const { topic, messages, unknown } of history.groups) {
    const pulls = [...messages.values()].flatMap(({ lines }) => lines);
    if (unknown.length > 0 || pulls.some(({ op }) => op === "lease")) continue;
    const byAnswer = pulls.toSorted((a, b) => a.t1! - b.t1!);
    let newest: Line | undefined;
    for (const pull of pulls.sort((a, b) => a.t0 - b.t0)) {
      const count = firstWhere(byAnswer.length, (i) => byAnswer[i]!.t1! >= pull.t0);
      const before = byAnswer[count - 1];
      if (before !== undefined && (newest === undefined || isAfter(before, newest))) newest = before;
      if (newest === undefined || newest.epoch !== pull.epoch || newest.id! <= pull.id!) continue;
      yield violation([newest.line, pull.line], `${topic} ${pull.id} was pulled after ${newest.id}`);
    }
  }
}

/** V7: retries with one key are one message, and only they are taken for retries. */
export function* duplicates(history: IndexedHistory): Generator<Violation> {
  for (const publish of history.allPublishes()) {
    const { topic, sha, calls, acks, refusals } = publish;
    const first = calls[0]!;
    if (calls.some(({ idempotencyKey }) => idempotencyKey === undefined)) continue;
    if (acks[0]?.outcome === "duplicate" && calls.length === 1) {
      yield of([first, acks[0]], `The first publish of a message to ${topic} was taken for a repeat`);
    }
    const conflict = refusals.find(({ code }) => code === "idempotency_conflict");
    if (conflict !== undefined) yield of([first, conflict], `A key for ${topic} was taken for another one`);
    if (calls.at(-1)!.t0 - first.t0 > history.settings.dedupeWindowMs) continue;
    for (const log of history.logs.get(topic)?.values() ?? []) {
      const lines = log.ids.get(sha);
      if (lines === undefined || lines.size < 2) continue;
      yield of([first, ...lines.values()], `A message is ${[...lines.keys()].join(" and ")} of ${topic}`);
    }
  }
  function of(lines: readonly Line[], message: string): Violation {
    return { verdict: "V7", lines: lines.map(({ line }) => line), message };
  }
}
