/**
 * What a history says of the server itself: what it had written when it answered, and whether it goes on.
 *
 * @module
 */

import { firstWhere, type IndexedHistory } from "./indexed.ts";
import type { Violation } from "./violation.ts";

const RECOVERY_MS = 30_000;

/** V12: between a publish and the answer that it is synced lies a whole fsync. Only if there is a trace of them. */
export function* durability(history: IndexedHistory): Generator<Violation> {
  const traced = history.lines.filter(({ op }) => op === "fsync");
  if (traced.length === 0) return;
  const syncs = traced.filter(({ outcome }) => outcome === "ok").sort((a, b) => a.t0 - b.t0);
  /** The earliest end of those that begin at or after each one. */
  const ends: number[] = [];
  for (let i = syncs.length - 1; i >= 0; i--) ends[i] = Math.min(syncs[i]!.t1!, ends[i + 1] ?? Infinity);
  for (const ack of history.lines) {
    if (ack.op !== "publish" || ack.outcome !== "ok" || ack.durability !== "synced") continue;
    const end = ends[firstWhere(syncs.length, (i) => syncs[i]!.t0 >= ack.t0)] ?? Infinity;
    if (end <= ack.t1!) continue;
    yield { verdict: "V12", lines: [ack.line], message: `${ack.topic} ${ack.id} was said to be synced, and was not` };
  }
}

/** V13: within 30 s of the end of all faults a publish succeeds, and every subscriber has what there was then. */
export function* liveness(history: IndexedHistory): Generator<Violation> {
  const calm = history.lines.findLast(({ op }) => op === "calm");
  if (calm === undefined) return;
  const deadline = calm.t0 + RECOVERY_MS;
  const acks = history.lines.filter(({ op, outcome }) =>
    op === "publish" && (outcome === "ok" || outcome === "duplicate")
  );
  if (!acks.some(({ t0, t1 }) => t0 >= calm.t0 && t1! <= deadline)) {
    yield { verdict: "V13", lines: [calm.line], message: "No publish succeeded when nothing was broken any more" };
  }
  const heads = new Map<string, { id: number; epoch: string; line: number }>();
  // What a server without a disk had is gone with it.
  const keptFrom = history.settings.durable ? -Infinity : history.outages.at(-1)?.t0 ?? -Infinity;
  for (const { topic, epoch, id, t0, t1, line } of acks) {
    if (t0 < keptFrom) continue;
    const head = heads.get(topic!);
    if (t1! <= calm.t0 && (head === undefined || !isAt(head, { epoch: epoch!, id: id! }))) {
      heads.set(topic!, { id: id!, epoch: epoch!, line });
    }
  }
  /** By client, by topic, the last message it got in time. */
  const places = new Map<string, Map<string, { id: number; epoch: string }>>();
  for (const { op, client, topic, epoch, id, t1 } of history.lines) {
    if (op === "subscribe" && !places.has(client)) places.set(client, new Map());
    if (op === "deliver" && t1! <= deadline) places.get(client)?.set(topic!, { id: id!, epoch: epoch! });
  }
  for (const [client, topics] of places) {
    for (const [topic, { id, epoch }] of topics) {
      const head = heads.get(topic);
      if (head === undefined || isAt({ epoch, id }, head)) continue;
      yield {
        verdict: "V13",
        lines: [calm.line, head.line],
        message: `${client} never got ${topic} ${head.id}; its last one was ${id}`,
      };
    }
  }
}

/** Whether a reader is at a message, or after it; later epochs are those of topics that were made again. */
function isAt(reader: { id: number; epoch: string }, head: { id: number; epoch: string }): boolean {
  if (reader.epoch === head.epoch) return reader.id >= head.id;
  return parseInt(reader.epoch, 36) > parseInt(head.epoch, 36);
}
