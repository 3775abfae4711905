/**
 * What the bus asks of the journal, as bytes: all changes of a batch in one buffer that is handed to the worker.
 *
 * @module
 */

import type { Append, DelayedMessage, Dropped, GroupChange, Idempotency, UnackedMessage } from "../bus/store.ts";
import type { Attributes, TopicInfo } from "../message.ts";
import type { ByteReader, ByteWriter } from "./bytes.ts";

/** What kind of change follows. Each begins with that, and the number of its topic. */
export const CHANGE = {
  topic: 1,
  append: 2,
  note: 3,
  forget: 4,
  delay: 5,
  cancel: 6,
  drop: 7,
  remove: 8,
} as const;

const HAS_TTL = 1;
const HAS_ATTRIBUTES = 2;
const HAS_IDEMPOTENCY = 4;
const HAS_DROPS = 8;
const HAS_SETTLES = 16;
const HAS_SCHEDULED = 32;

/** What an append is to the journal. */
export interface AppendChange {
  /** The id of its first message. */
  readonly firstId: number;
  /** See `Append`. */
  readonly createdMs: number;
  /** See `Append`. */
  readonly ttlMs: number | undefined;
  /** See `Append`; in the form of {@linkcode encodeAttributes}, empty if there are none. */
  readonly attributes: Uint8Array;
  /** See `Append`. */
  readonly idempotency: Idempotency | undefined;
  /** See `Append`; with the number of the topic. */
  readonly drops: { readonly topic: number; readonly id: number } | undefined;
  /** See `Append`; with the number of the topic. */
  readonly settles: { readonly topic: number; readonly change: GroupChange } | undefined;
  /** See `Append`. */
  readonly scheduled: string | undefined;
  /** See `Append`. */
  readonly payloads: readonly Uint8Array[];
}

const NOTHING = new Uint8Array();
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What a publisher says of a payload, as bytes; none if it says nothing. */
export function encodeAttributes(attributes: Attributes | undefined): Uint8Array {
  if (attributes === undefined) return NOTHING;
  const { contentType, headers, key } = attributes;
  return encoder.encode(JSON.stringify([contentType ?? null, headers ?? null, key ?? null]));
}

/** Undoes {@linkcode encodeAttributes}. */
export function decodeAttributes(bytes: Uint8Array): Attributes | undefined {
  if (bytes.length === 0) return undefined;
  const [contentType, headers, key] = JSON.parse(decoder.decode(bytes));
  return {
    contentType: contentType ?? undefined,
    // Without a prototype, so that no name is special.
    headers: headers === null ? undefined : Object.assign(Object.create(null), headers),
    key: key ?? undefined,
  };
}

/** Writes that there is a topic. */
export function writeTopic(to: ByteWriter, number: number, info: TopicInfo): void {
  to.byte(CHANGE.topic);
  to.whole(number);
  writeInfo(to, info);
}

/** Writes what a topic is. */
export function writeInfo(to: ByteWriter, { name, ttlMs, createdMs, epoch }: TopicInfo): void {
  to.text(name);
  to.double(ttlMs);
  to.double(createdMs);
  to.text(epoch);
}

/** Undoes {@linkcode writeInfo}. */
export function readInfo(from: ByteReader): TopicInfo {
  return { name: from.text(), ttlMs: from.double(), createdMs: from.double(), epoch: from.text() };
}

/** Writes an append to the topic of a number. `numberOf` tells those of others. */
export function writeAppend(
  to: ByteWriter,
  number: number,
  firstId: number,
  append: Append,
  numberOf: (topic: TopicInfo) => number,
): void {
  const { payloads, createdMs, ttlMs, attributes, idempotency, drops, settles, scheduled } = append;
  to.byte(CHANGE.append);
  to.whole(number);
  to.whole(firstId);
  to.double(createdMs);
  to.byte(
    (ttlMs === undefined ? 0 : HAS_TTL) | (attributes === undefined ? 0 : HAS_ATTRIBUTES) |
      (idempotency === undefined ? 0 : HAS_IDEMPOTENCY) | (drops === undefined ? 0 : HAS_DROPS) |
      (settles === undefined ? 0 : HAS_SETTLES) | (scheduled === undefined ? 0 : HAS_SCHEDULED),
  );
  if (ttlMs !== undefined) to.double(ttlMs);
  if (attributes !== undefined) to.bytes(encodeAttributes(attributes));
  if (idempotency !== undefined) writeIdempotency(to, idempotency);
  if (drops !== undefined) {
    to.whole(numberOf(drops.topic));
    to.whole(drops.id);
  }
  if (settles !== undefined) {
    to.whole(numberOf(settles.topic));
    writeGroupChange(to, settles.change);
  }
  if (scheduled !== undefined) to.text(scheduled);
  to.whole(payloads.length);
  for (const payload of payloads) to.bytes(payload);
}

/** Undoes {@linkcode writeAppend}, after the number of its topic. */
export function readAppend(from: ByteReader): AppendChange {
  const firstId = from.whole();
  const createdMs = from.double();
  const has = from.byte();
  const ttlMs = has & HAS_TTL ? from.double() : undefined;
  const attributes = has & HAS_ATTRIBUTES ? from.bytes() : NOTHING;
  const idempotency = has & HAS_IDEMPOTENCY ? readIdempotency(from) : undefined;
  const drops = has & HAS_DROPS ? { topic: from.whole(), id: from.whole() } : undefined;
  const settles = has & HAS_SETTLES ? { topic: from.whole(), change: readGroupChange(from) } : undefined;
  const scheduled = has & HAS_SCHEDULED ? from.text() : undefined;
  const count = from.whole();
  const payloads: Uint8Array[] = [];
  for (let n = 0; n < count; n++) payloads.push(from.bytes());
  return { firstId, createdMs, ttlMs, attributes, idempotency, drops, settles, scheduled, payloads };
}

/** Writes what tells a publish from others. */
export function writeIdempotency(to: ByteWriter, { key, fingerprint, untilMs }: Idempotency): void {
  to.text(key);
  to.text(fingerprint);
  to.double(untilMs);
}

/** Undoes {@linkcode writeIdempotency}. */
export function readIdempotency(from: ByteReader): Idempotency {
  return { key: from.text(), fingerprint: from.text(), untilMs: from.double() };
}

/** Writes that a group of a topic has changed. */
export function writeNote(to: ByteWriter, number: number, change: GroupChange): void {
  to.byte(CHANGE.note);
  to.whole(number);
  writeGroupChange(to, change);
}

/** Writes what has changed of a group. */
export function writeGroupChange(to: ByteWriter, { group, next, unacked, done, counts }: GroupChange): void {
  to.text(group);
  to.whole(next);
  to.whole(counts.acked);
  to.whole(counts.dead);
  to.whole(counts.lost);
  to.whole(unacked.length);
  for (const each of unacked) {
    to.whole(each.id);
    writeUnacked(to, each);
  }
  to.whole(done.length);
  for (const id of done) to.whole(id);
}

/** Undoes {@linkcode writeGroupChange}. */
export function readGroupChange(from: ByteReader): GroupChange {
  const group = from.text();
  const next = from.whole();
  const counts = { acked: from.whole(), dead: from.whole(), lost: from.whole() };
  const unacked = Array.from({ length: from.whole() }, () => readUnacked(from, from.whole()));
  const done = Array.from({ length: from.whole() }, () => from.whole());
  return { group, next, unacked, done, counts };
}

const HAS_NOT_BEFORE = 1;
const HAS_KEY = 2;
const HAS_REASON = 4;

/** Writes what is not done, without its id. */
export function writeUnacked(to: ByteWriter, { attempt, notBeforeMs, key, reason }: UnackedMessage): void {
  to.whole(attempt);
  to.byte(
    (notBeforeMs === undefined ? 0 : HAS_NOT_BEFORE) | (key === undefined ? 0 : HAS_KEY) |
      (reason === undefined ? 0 : HAS_REASON),
  );
  if (notBeforeMs !== undefined) to.double(notBeforeMs);
  if (key !== undefined) to.text(key);
  if (reason !== undefined) to.text(reason);
}

/** Undoes {@linkcode writeUnacked}. */
export function readUnacked(from: ByteReader, id: number): UnackedMessage {
  const attempt = from.whole();
  const has = from.byte();
  const notBeforeMs = has & HAS_NOT_BEFORE ? from.double() : undefined;
  const key = has & HAS_KEY ? from.text() : undefined;
  const reason = has & HAS_REASON ? from.text() : undefined;
  return { id, attempt, notBeforeMs, key, reason };
}

/** Several changes of one group as one: what is said later counts. */
export function combineChanges(changes: readonly GroupChange[]): GroupChange {
  const last = changes[changes.length - 1]!;
  if (changes.length === 1) return last;
  const unacked = new Map<number, UnackedMessage>();
  const done = new Set<number>();
  for (const change of changes) {
    for (const each of change.unacked) {
      unacked.set(each.id, each);
      done.delete(each.id);
    }
    for (const id of change.done) {
      unacked.delete(id);
      done.add(id);
    }
  }
  return { ...last, unacked: [...unacked.values()], done: [...done] };
}

/** Writes that a group is to be forgotten. */
export function writeForget(to: ByteWriter, number: number, group: string): void {
  to.byte(CHANGE.forget);
  to.whole(number);
  to.text(group);
}

/** Writes that a message is to be appended later. */
export function writeDelay(to: ByteWriter, number: number, message: DelayedMessage): void {
  to.byte(CHANGE.delay);
  to.whole(number);
  writeDelayed(to, message);
}

/** Writes a message that is to be appended later, without its topic. */
export function writeDelayed(to: ByteWriter, message: Omit<DelayedMessage, "topic">): void {
  const { token, dueMs, payload, ttlMs, attributes, idempotency } = message;
  to.text(token);
  to.double(dueMs);
  to.byte(
    (ttlMs === undefined ? 0 : HAS_TTL) | (attributes === undefined ? 0 : HAS_ATTRIBUTES) |
      (idempotency === undefined ? 0 : HAS_IDEMPOTENCY),
  );
  if (ttlMs !== undefined) to.double(ttlMs);
  if (attributes !== undefined) to.bytes(encodeAttributes(attributes));
  if (idempotency !== undefined) writeIdempotency(to, idempotency);
  to.bytes(payload);
}

/** Undoes {@linkcode writeDelayed}. */
export function readDelayed(from: ByteReader): Omit<DelayedMessage, "topic"> {
  const token = from.text();
  const dueMs = from.double();
  const has = from.byte();
  const ttlMs = has & HAS_TTL ? from.double() : undefined;
  const attributes = has & HAS_ATTRIBUTES ? decodeAttributes(from.bytes()) : undefined;
  const idempotency = has & HAS_IDEMPOTENCY ? readIdempotency(from) : undefined;
  return { token, dueMs, payload: from.bytes(), ttlMs, attributes, idempotency };
}

/** Writes that a message is not to be appended later. */
export function writeCancel(to: ByteWriter, number: number, token: string): void {
  to.byte(CHANGE.cancel);
  to.whole(number);
  to.text(token);
}

/** Writes what has left the log of a topic. */
export function writeDrop(to: ByteWriter, number: number, { before, ids, lostMs, limit }: Dropped): void {
  to.byte(CHANGE.drop);
  to.whole(number);
  to.whole(before);
  to.double(lostMs);
  writeLimit(to, limit);
  to.whole(ids.length);
  for (const id of ids) to.whole(id);
}

/** Undoes {@linkcode writeDrop}, after the number of its topic. */
export function readDrop(from: ByteReader): Dropped {
  const before = from.whole();
  const lostMs = from.double();
  const limit = readLimit(from);
  const ids = Array.from({ length: from.whole() }, () => from.whole());
  return { before, ids, lostMs, limit };
}

/** Several drops of one topic as one. */
export function combineDrops(earlier: Dropped, later: Dropped): Dropped {
  const before = Math.max(earlier.before, later.before);
  const ids = [...new Set([...earlier.ids, ...later.ids])].filter((id) => id >= before).sort((a, b) => a - b);
  const limit = (earlier.limit?.id ?? -1) > (later.limit?.id ?? -1) ? earlier.limit : later.limit;
  return { before, ids, lostMs: Math.max(earlier.lostMs, later.lostMs), limit };
}

/** Writes which message a limit dropped last. */
export function writeLimit(to: ByteWriter, limit: Dropped["limit"]): void {
  to.byte(limit === undefined ? 0 : 1);
  if (limit === undefined) return;
  to.whole(limit.id);
  to.double(limit.createdMs);
}

/** Undoes {@linkcode writeLimit}. */
export function readLimit(from: ByteReader): Dropped["limit"] {
  return from.byte() === 0 ? undefined : { id: from.whole(), createdMs: from.double() };
}

/** Writes that a topic is to be forgotten with everything. */
export function writeRemove(to: ByteWriter, number: number, newestMs: number): void {
  to.byte(CHANGE.remove);
  to.whole(number);
  to.double(newestMs);
}
