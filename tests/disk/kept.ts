/**
 * Compares what a store has kept with what was asked of it before the power was cut.
 *
 * @module
 */

import { type Attributes, MAX_ID, type MessageInit, type TopicInfo } from "../../lib/message.ts";
import { pathsIn } from "../../lib/store/directory.ts";
import { Journal, type OpenedJournal } from "../../lib/store/journal.ts";
import type { ContentTopic, JournalContent } from "../../lib/store/loading.ts";
import { decodeMessages } from "../../lib/store/read_back.ts";
import { Known, type KnownMessage, type KnownTopic, type Step } from "./workload.ts";

/** How far a program had come. */
export interface Progress {
  /** How many steps it had begun. */
  readonly called: number;
  /** How many of them, from the first one on, it was told are durable. */
  readonly acked: number;
}

/**
 * Opens the journal in a directory and says what is wrong with what it has kept; nothing if that is all of the
 * acknowledged steps and maybe more of those that were begun, in their order, and nothing else.
 */
export function damageOf(directory: string, steps: readonly Step[], progress: Progress): string | undefined {
  const { database: path, head: headPath } = pathsIn(directory);
  let opened: OpenedJournal;
  try {
    opened = Journal.open({ path, headPath, acceptLoss: false, nowMs: Date.now() });
  } catch (error) {
    return `it can't be opened: ${error instanceof Error ? error.message : error}`;
  }
  try {
    return damageOfContent(opened, steps, progress);
  } finally {
    opened.journal.close();
  }
}

function damageOfContent(
  { journal, content }: OpenedJournal,
  steps: readonly Step[],
  progress: Progress,
): string | undefined {
  const found = describeContent(content);
  const known = new Known();
  for (const step of steps.slice(0, progress.acked)) known.take(step);
  const least = describeKnown(known);
  for (let count = progress.acked; !isEqual(describeKnown(known), found); count++) {
    if (count === progress.called) return differenceOf(found, least);
    known.take(steps[count]!);
  }
  const dropped = droppedBy(steps.slice(0, progress.called));
  const topics = [...known.topics.values()];
  for (const [index, { number, info, before, lostMs, start, length, ttlMs }] of content.topics.entries()) {
    const [ids, createdMs] = [content.ids, content.createdMs].map((column) => column.subarray(start, start + length));
    const { buffer, damaged } = journal.read(number, { first: 0, last: MAX_ID });
    const topic = { ids: ids!, createdMs: createdMs!, ttlMs, before, lostMs, messages: decodeMessages(buffer) };
    const known = topics[index]!;
    const damage = damaged.length > 0 ? `${damaged} are damaged` : damageOfTopic(topic, known, dropped.get(known.info));
    if (damage !== undefined) return `${info.name}: ${damage}`;
  }
  return undefined;
}

/** What a journal has of a topic. */
interface KeptTopic {
  readonly ids: Float64Array;
  readonly createdMs: Float64Array;
  readonly ttlMs: ReadonlyMap<number, number>;
  readonly before: number;
  readonly lostMs: number;
  readonly messages: readonly MessageInit[];
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

function damageOfTopic(
  { ids, createdMs, ttlMs, before, lostMs, messages }: KeptTopic,
  known: KnownTopic,
  dropped: ReadonlySet<number> | undefined,
): string | undefined {
  const there = new Set(ids);
  for (const [id, message] of known.messages.entries()) {
    const gone = known.taken.has(id);
    if (gone && there.has(id)) return `${id} was taken out, and is there`;
    if (gone || there.has(id)) continue;
    if (!dropped?.has(id)) return `${id} is lost`;
    if (id < before && message.createdMs > lostMs) return `${id} is gone, and nobody is told`;
  }
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
    isSameBytes(message.payload, known.payload);
}

function isSameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function describe(attributes: Attributes | undefined): unknown {
  return attributes && [attributes.contentType, attributes.headers, attributes.key];
}

/** Everything that has to be exactly as it was, in lines: first the topics in their order. */
function describeContent({ topics, gone }: JournalContent): string[] {
  const names = topics.map(({ info }) => info);
  return [
    ...names.map(({ name }) => `topic ${name}`),
    ...topics.flatMap(({ info, next, groups, delayed, answers }) =>
      describeTopic(info, { next, groups, delayed, answers })
    ),
    ...describeGone(gone, names),
  ];
}

/** The same of what is known. */
function describeKnown({ topics, gone }: Known): string[] {
  const names = [...topics.keys()];
  return [
    ...names.map(({ name }) => `topic ${name}`),
    ...[...topics.values()].flatMap(({ info, messages, groups, delayed, answers }) =>
      describeTopic(info, {
        next: messages.length,
        groups: [...groups].map(([name, { next, unacked, counts }]) => {
          return { name, next, unacked: [...unacked.values()].sort((a, b) => a.id - b.id), counts };
        }),
        delayed: [...delayed.values()],
        answers: [...answers.values()],
      })
    ),
    ...describeGone(gone, names),
  ];
}

/** What is described of a topic. */
type Described = Pick<ContentTopic, "next" | "groups" | "delayed" | "answers">;

function describeTopic(info: TopicInfo, { next, groups, delayed, answers }: Described): string[] {
  const parts = [
    [info.ttlMs, info.createdMs, info.epoch, next],
    ...groups.map(({ name, next, unacked, counts: { acked, dead, lost } }) => {
      const rows = unacked.map(({ id, attempt, notBeforeMs, key, reason }) => [id, attempt, notBeforeMs, key, reason]);
      return ["group", name, next, acked, dead, lost, ...rows];
    }).sort(bySecond),
    ...delayed.map(({ token, dueMs, payload, ttlMs, attributes, idempotency }) => {
      return ["delayed", token, dueMs, ttlMs, describe(attributes), idempotency?.key, payload.toBase64()];
    }),
    ...answers.map(({ idempotency: { key, fingerprint, untilMs }, appended, delayed }) => {
      return ["answer", key, fingerprint, untilMs, appended?.firstId, appended?.count, delayed?.token, delayed?.dueMs];
    }).sort(bySecond),
  ];
  return parts.map((part) => `${info.name}: ${JSON.stringify(part)}`);
}

function bySecond(a: readonly unknown[], b: readonly unknown[]): number {
  return String(a[1]) < String(b[1]) ? -1 : 1;
}

/** Of each name that no topic has, when the newest message of the last one was created. */
function describeGone(gone: JournalContent["gone"], topics: readonly TopicInfo[]): string[] {
  const byName = new Map(gone.map(({ name, newestMs }) => [name, newestMs]));
  for (const { name } of topics) byName.delete(name);
  return [...byName].map(([name, newestMs]) => `gone ${name}: ${newestMs}`).sort();
}

function isEqual(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((line, i) => line === b[i]);
}

/** What differs, cut to what people can read. */
function differenceOf(found: readonly string[], least: readonly string[]): string {
  const only = (these: readonly string[], those: readonly string[], word: string) =>
    these.filter((line) => !those.includes(line)).map((line) => `${word} ${line.slice(0, 300)}`);
  return [...only(least, found, "asked:"), ...only(found, least, "kept: ")].join("\n") || "another order";
}
