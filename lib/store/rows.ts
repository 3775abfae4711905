/**
 * The small rows of the journal: everything but entries. Each has a checksum of what is in it and of its key, because
 * SQLite doesn't notice a flipped bit in a page.
 *
 * @module
 */

import { crc32 } from "node:zlib";
import type { DelayedMessage, Dropped, GroupCounts, StoredAnswer, UnackedMessage } from "../bus/store.ts";
import type { TopicInfo } from "../message.ts";
import { ByteReader, ByteWriter } from "./bytes.ts";
import {
  readDelayed,
  readIdempotency,
  readInfo,
  readLimit,
  readUnacked,
  writeDelayed,
  writeIdempotency,
  writeInfo,
  writeLimit,
  writeUnacked,
} from "./changes.ts";

/** What the journal knows of itself. */
export interface StateRow {
  /** How many transactions there were. */
  commits: number;
  /** How many entries there are. */
  entries: number;
  /** How many topics there are. */
  topics: number;
  /** The number of the next topic. */
  nextTopic: number;
  /** See `Stored`. */
  startedMs: number;
  /** See `Stored`. */
  lastCreatedMs: number;
  /** See `Stored`. */
  goneFromMs: number;
  /** Whether this is a copy that was made as a backup and has not been used yet. */
  isBackup: boolean;
}

/** What the journal knows of a topic beside its entries. */
export interface TopicRow {
  readonly info: TopicInfo;
  /** Every message before this one is gone. */
  readonly first: number;
  /** The id of the next message when this was written; no entry from before then is needed to know it. */
  readonly next: number;
  readonly lostMs: number;
  readonly limit: Dropped["limit"];
}

/** What the journal knows of a group beside its unacknowledged messages. */
export interface GroupRow {
  /** The number of its topic. */
  readonly topic: number;
  readonly name: string;
  readonly next: number;
  readonly counts: GroupCounts;
}

/** A message that is to be appended later. */
export interface ScheduledRow {
  /** The number of its topic. */
  readonly topic: number;
  readonly message: Omit<DelayedMessage, "topic">;
}

/** A publish that is remembered. */
export interface AnswerRow {
  /** The number of its topic. */
  readonly topic: number;
  readonly answer: StoredAnswer;
}

/** A topic that is gone. */
export interface GoneRow {
  readonly name: string;
  readonly newestMs: number;
}

/** Messages that left their log before older ones. */
export interface HoleRow {
  /** The number of their topic. */
  readonly topic: number;
  /** In rising order: the first of each range, and the id behind its last one. */
  readonly ranges: readonly (readonly [number, number])[];
}

/** How the rows of a table are written and read; reading throws a `RangeError` if one is damaged. */
export interface RowCodec<T> {
  /** The table. */
  readonly table: string;
  /** The bytes are valid until the next row of the table is encoded. */
  encode(key: number, row: T): Uint8Array<ArrayBuffer>;
  decode(key: number, bytes: Uint8Array): T;
}

const CHECKSUM_BYTES = 4;

function codec<T>(
  table: string,
  write: (to: ByteWriter, row: T) => void,
  read: (from: ByteReader, key: number) => T,
): RowCodec<T> {
  const salt = crc32(table);
  const checksumOf = (bytes: Uint8Array, key: number) => crc32(bytes, (salt ^ Math.floor(key / 2 ** 32) ^ key) >>> 0);
  const to = new ByteWriter();
  return {
    table,
    encode(key, row) {
      to.cut();
      to.uint32(0);
      write(to, row);
      to.patchUint32(0, checksumOf(to.from(CHECKSUM_BYTES), key));
      return to.from(0);
    },
    decode(key, bytes) {
      const from = new ByteReader(bytes);
      if (from.uint32() !== checksumOf(bytes.subarray(CHECKSUM_BYTES), key)) {
        throw new RangeError(`Bad row ${key} of ${table}: its checksum differs`);
      }
      return read(from, key);
    },
  };
}

/** The one row of `state`. */
export const STATE: RowCodec<StateRow> = codec("state", (to, row) => {
  for (const count of [row.commits, row.entries, row.topics, row.nextTopic]) to.whole(count);
  for (const timeMs of [row.startedMs, row.lastCreatedMs, row.goneFromMs]) to.double(timeMs);
  to.byte(row.isBackup ? 1 : 0);
}, (from) => ({
  commits: from.whole(),
  entries: from.whole(),
  topics: from.whole(),
  nextTopic: from.whole(),
  startedMs: from.double(),
  lastCreatedMs: from.double(),
  goneFromMs: from.double(),
  isBackup: from.byte() === 1,
}));

/** The topics, by number. */
export const TOPIC: RowCodec<TopicRow> = codec("topic", (to, { info, first, next, lostMs, limit }) => {
  writeInfo(to, info);
  to.whole(first);
  to.whole(next);
  to.double(lostMs);
  writeLimit(to, limit);
}, (from) => ({
  info: readInfo(from),
  first: from.whole(),
  next: from.whole(),
  lostMs: from.double(),
  limit: readLimit(from),
}));

/** The groups, by number. */
export const GROUP: RowCodec<GroupRow> = codec("grp", (to, { topic, name, next, counts }) => {
  to.whole(topic);
  to.text(name);
  to.whole(next);
  for (const count of [counts.acked, counts.dead, counts.lost]) to.whole(count);
}, (from) => ({
  topic: from.whole(),
  name: from.text(),
  next: from.whole(),
  counts: { acked: from.whole(), dead: from.whole(), lost: from.whole() },
}));

/** What groups are not done with, by group and id. */
export const UNACKED: RowCodec<UnackedMessage & { readonly group: number }> = codec("unacked", (to, row) => {
  to.whole(row.group);
  writeUnacked(to, row);
}, (from, id) => {
  const group = from.whole();
  return { group, ...readUnacked(from, id) };
});

/** What is to be appended later, in the order in which it was accepted. */
export const SCHEDULED: RowCodec<ScheduledRow> = codec("scheduled", (to, { topic, message }) => {
  to.whole(topic);
  writeDelayed(to, message);
}, (from) => ({ topic: from.whole(), message: readDelayed(from) }));

/** Publishes that are remembered, in their order. */
export const ANSWER: RowCodec<AnswerRow> = codec("answer", (to, { topic, answer }) => {
  const { idempotency, appended, delayed } = answer;
  to.whole(topic);
  writeIdempotency(to, idempotency);
  to.byte(appended === undefined ? 0 : 1);
  if (appended !== undefined) {
    to.whole(appended.firstId);
    to.whole(appended.count);
  }
  to.byte(delayed === undefined ? 0 : 1);
  if (delayed !== undefined) {
    to.text(delayed.token);
    to.double(delayed.dueMs);
  }
}, (from) => ({
  topic: from.whole(),
  answer: {
    idempotency: readIdempotency(from),
    appended: from.byte() === 1 ? { firstId: from.whole(), count: from.whole() } : undefined,
    delayed: from.byte() === 1 ? { token: from.text(), dueMs: from.double() } : undefined,
  },
}));

/** The topics that are gone, in the order in which they went. */
export const GONE: RowCodec<GoneRow> = codec("gone", (to, { name, newestMs }) => {
  to.text(name);
  to.double(newestMs);
}, (from) => ({ name: from.text(), newestMs: from.double() }));

/** What left its log before older messages. */
export const HOLE: RowCodec<HoleRow> = codec("hole", (to, { topic, ranges }) => {
  to.whole(topic);
  to.whole(ranges.length);
  let last = 0;
  for (const [start, end] of ranges) {
    to.whole(start - last);
    to.whole(end - start);
    last = end;
  }
}, (from) => {
  const topic = from.whole();
  let last = 0;
  const ranges = Array.from({ length: from.whole() }, (): [number, number] => {
    const start = last + from.whole();
    last = start + from.whole();
    return [start, last];
  });
  return { topic, ranges };
});
