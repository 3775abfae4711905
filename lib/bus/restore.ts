/**
 * How a bus begins with what its store has kept.
 *
 * @module
 */

import type { Receipt, ScheduleReceipt } from "./answers.ts";
import { receiptOf } from "./intake.ts";
import type { BusParts } from "./parts.ts";
import type { Stored, StoredAnswer, StoredTopic } from "./store.ts";
import type { Topic } from "./topic.ts";

/** When the newest message of all was created that a store has known, in ms since the Unix epoch; `-Infinity` if none was. */
export function newestMsOf({ topics, gone }: Stored): number {
  let newestMs = -Infinity;
  for (const { lostMs, index: { createdMs } } of topics) {
    newestMs = Math.max(newestMs, lostMs, createdMs.at(-1) ?? -Infinity);
  }
  for (const topic of gone) newestMs = Math.max(newestMs, topic.newestMs);
  return newestMs;
}

/**
 * Gives a bus that has nothing yet the topics that its store has kept, with everything they have, and goes on where the
 * last one has ended: what became due meanwhile is published, leases have ended, and what has expired goes.
 */
export function restore(parts: BusParts, { topics }: Stored): void {
  const nowMs = parts.clock.now();
  for (const stored of topics) restoreTopic(parts, parts.topics.restore(stored), stored, nowMs);
  parts.delayed.begin();
}

function restoreTopic(
  { retention, delayed, dedupe, store }: BusParts,
  topic: Topic,
  stored: StoredTopic,
  nowMs: number,
): void {
  delayed.restore(topic, stored.delayed);
  for (const answer of stored.answers) dedupe.learn(topic, answer.idempotency, answerOf(topic, answer, store));
  retention.expire(topic, nowMs);
  retention.noteMoved(topic);
  // The limits may be lower than they were.
  retention.fit(topic, nowMs);
}

/** What a publish was answered. How many subscribers its topic had is not kept. */
function answerOf(
  { info }: Topic,
  { appended, delayed }: StoredAnswer,
  { durability }: BusParts["store"],
): Receipt | ScheduleReceipt {
  if (delayed !== undefined) return { topic: info.name, ...delayed, durability };
  const { firstId: id, count } = appended!;
  return receiptOf(info, { id, count, durability, subscribers: 0 });
}
