/**
 * Compares what a store has kept with what was asked of it before the power was cut.
 *
 * @module
 */

import type { Store, Stored, StoredTopic, UnackedMessage } from "../../lib/bus/store.ts";
import type { Attributes, MessageInit, TopicInfo } from "../../lib/message.ts";
import { Known, type KnownMessage, type KnownTopic, type Step } from "./workload.ts";

/** How far a program had come. */
export interface Progress {
  /** How many steps it had begun. */
  readonly called: number;
  /** How many of them, from the first one on, it was told are durable. */
  readonly acked: number;
}

/**
 * Opens a store and says what is wrong with what it has kept; nothing if that is all of the acknowledged steps and maybe
 * more of those that were begun, in their order, and nothing else.
 */
export async function damageOf(store: Store, steps: readonly Step[], progress: Progress): Promise<string | undefined> {
  const stored = await store.open({ appended() {}, removed() {} });
  const found = JSON.stringify(describeStored(stored));
  const known = new Known();
  for (const step of steps.slice(0, progress.acked)) known.take(step);
  const least = JSON.stringify(describeKnown(known));
  for (let count = progress.acked; JSON.stringify(describeKnown(known)) !== found; count++) {
    if (count === progress.called) return `kept:     ${found}\nexpected: ${least}\n(or more, to step ${count})`;
    known.take(steps[count]!);
  }
  const dropped = droppedBy(steps.slice(0, progress.called));
  const topics = [...known.topics.values()];
  for (const [index, topic] of stored.topics.entries()) {
    const damage = await damageOfTopic(store, topic, topics[index]!, dropped);
    if (damage !== undefined) return `${topic.info.name}: ${damage}`;
  }
  return undefined;
}

/** What the store may have forgotten, if it came to that; what was created last of it. */
function droppedBy(steps: readonly Step[]): Map<TopicInfo, Set<number>> {
  const dropped = new Map<TopicInfo, Set<number>>();
  for (const step of steps) {
    if (step.do !== "drop") continue;
    const ids = dropped.get(step.topic) ?? new Set();
    for (let id = 0; id < step.dropped.before; id++) ids.add(id);
    for (const id of step.dropped.ids) ids.add(id);
    dropped.set(step.topic, ids);
  }
  return dropped;
}

async function damageOfTopic(
  store: Store,
  topic: StoredTopic,
  known: KnownTopic,
  dropped: ReadonlyMap<TopicInfo, ReadonlySet<number>>,
): Promise<string | undefined> {
  const { ids, createdMs, ttlMs } = topic.index;
  const there = new Set(ids);
  const allowed = dropped.get(known.info);
  for (const [id, message] of known.messages.entries()) {
    const gone = known.taken.has(id);
    if (gone && there.has(id)) return `${id} was taken out, and is there`;
    if (gone || there.has(id)) continue;
    if (!allowed?.has(id)) return `${id} is lost`;
    if (id < (ids[0] ?? Infinity) && message.createdMs > topic.lostMs) return `${id} is gone, and nobody is told`;
  }
  const messages = await store.read(topic.info, { first: 0, last: known.messages.length });
  if (messages.length !== ids.length) return `${ids.length} messages, of which ${messages.length} can be read`;
  for (const [index, message] of messages.entries()) {
    const expected = known.messages[ids[index]!]!;
    if (message.id !== ids[index]) return `${message.id} where ${ids[index]} should be`;
    if (createdMs[index] !== expected.createdMs) return `${message.id} has another time`;
    if (ttlMs.get(message.id) !== expected.ttlMs) return `${message.id} has another ttl`;
    if (!isSame(message, expected)) return `${message.id} is not what was appended`;
  }
  return undefined;
}

function isSame(message: MessageInit, known: KnownMessage): boolean {
  return message.createdMs === known.createdMs && message.ttlMs === known.ttlMs &&
    JSON.stringify(describe(message.attributes)) === JSON.stringify(describe(known.attributes)) &&
    message.payload.length === known.payload.length && message.payload.every((byte, i) => byte === known.payload[i]);
}

function describe(attributes: Attributes | undefined): unknown {
  return attributes && [attributes.contentType, attributes.headers, attributes.key];
}

/** Everything that has to be exactly as it was. */
function describeStored({ topics, gone }: Stored): unknown {
  return {
    topics: topics.map(({ info, next, groups, delayed, answers }) => ({
      info: describeInfo(info),
      next,
      groups: groups.map(({ name, next, unacked, counts }) => describeGroup(name, next, unacked, counts)).sort(byFirst),
      delayed: delayed.map(describeDelayed),
      answers: answers.map((
        { idempotency: { key, fingerprint, untilMs }, appended, delayed },
      ) => [key, fingerprint, untilMs, appended?.firstId, appended?.count, delayed?.token, delayed?.dueMs]).sort(
        byFirst,
      ),
    })),
    gone: describeGone(gone, topics.map(({ info }) => info)),
  };
}

/** The same of what is known. */
function describeKnown({ topics, gone }: Known): unknown {
  return {
    topics: [...topics.values()].map(({ info, messages, groups, delayed, answers }) => ({
      info: describeInfo(info),
      next: messages.length,
      groups: [...groups].map(([name, { next, unacked, counts }]) => {
        const byId = [...unacked.values()].sort((a, b) => a.id - b.id);
        return describeGroup(name, next, byId, counts);
      }).sort(byFirst),
      delayed: [...delayed.values()].map(describeDelayed),
      answers: [...answers.values()].map((
        { idempotency: { key, fingerprint, untilMs }, appended, delayed },
      ) => [key, fingerprint, untilMs, appended?.firstId, appended?.count, delayed?.token, delayed?.dueMs]).sort(
        byFirst,
      ),
    })),
    gone: describeGone(gone, [...topics.keys()]),
  };
}

function byFirst(a: readonly unknown[], b: readonly unknown[]): number {
  return String(a[0]) < String(b[0]) ? -1 : 1;
}

function describeInfo({ name, ttlMs, createdMs, epoch }: TopicInfo): unknown[] {
  return [name, ttlMs, createdMs, epoch];
}

function describeGroup(
  name: string,
  next: number,
  unacked: readonly UnackedMessage[],
  { acked, dead, lost }: { readonly acked: number; readonly dead: number; readonly lost: number },
): unknown[] {
  return [
    name,
    next,
    unacked.map(({ id, attempt, notBeforeMs, key, reason }) => [id, attempt, notBeforeMs, key, reason]),
    [acked, dead, lost],
  ];
}

function describeDelayed(message: StoredTopic["delayed"][number]): unknown[] {
  const { token, dueMs, payload, ttlMs, attributes, idempotency } = message;
  return [token, dueMs, payload.toBase64(), ttlMs, describe(attributes), idempotency?.key];
}

/** Of each name that no topic has, when the newest message of the last one was created. */
function describeGone(gone: Stored["gone"], topics: readonly TopicInfo[]): unknown {
  const byName = new Map(gone.map(({ name, newestMs }) => [name, newestMs]));
  for (const { name } of topics) byName.delete(name);
  return [...byName].sort(byFirst);
}
