/**
 * What can still be read of a damaged journal, in a new file.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { IdRanges } from "./id_ranges.ts";
import { JournalFile, rowsIn } from "./journal_file.ts";
import { headAt } from "./loading.ts";
import {
  ANSWER,
  GONE,
  GROUP,
  HOLE,
  type RowCodec,
  SCHEDULED,
  STATE,
  type StateRow,
  TOPIC,
  type TopicRow,
  UNACKED,
} from "./rows.ts";

type Row = readonly unknown[];

/**
 * Replaces a damaged journal by one with every row that can be read and whose checksum is right. The damaged file stays
 * beside it, under its name with `.damaged-` and the time; returns that name, if there was such a file.
 */
export function salvage(
  path: string,
  { commits, nowMs }: { readonly commits: number; readonly nowMs: number },
): string | undefined {
  const aside = `${path}.damaged-${nowMs}`;
  let kept: string | undefined;
  const keepAside = () => {
    // Linked, so that there is a file under the name at all times; a log that belongs to another file must not be.
    for (const ending of ["", "-wal"]) {
      try {
        Deno.linkSync(path + ending, aside + ending);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
        continue;
      }
      kept ??= aside + ending;
      // It has all messages, too.
      if (Deno.build.os !== "windows") Deno.chmodSync(aside + ending, 0o600);
      if (ending !== "") Deno.removeSync(path + ending);
    }
  };
  JournalFile.create(path, (to) => {
    const from = openDamaged(path);
    try {
      copy(from, to, { commits, nowMs });
    } finally {
      try {
        from?.close();
      } catch { /* What it could not put in its place is not worth more than the rest. */ }
    }
  }, keepAside);
  return kept;
}

function openDamaged(path: string): DatabaseSync | undefined {
  try {
    const database = new DatabaseSync(path);
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA wal_autocheckpoint = 0; PRAGMA cell_size_check = ON");
    return database;
  } catch {
    return undefined;
  }
}

function copy(
  from: DatabaseSync | undefined,
  to: DatabaseSync,
  { commits, nowMs }: { readonly commits: number; readonly nowMs: number },
): void {
  const rows = (table: string, key: string): Iterable<Row> => from === undefined ? [] : readable(from, table, key);
  const insert = (table: string, columns: number) =>
    to.prepare(`INSERT OR IGNORE INTO ${table} VALUES (${Array(columns).fill("?").join(", ")})`);
  const copyTable = <T>(codec: RowCodec<T>): T[] => {
    const statement = insert(codec.table, 2);
    const copied: T[] = [];
    for (const [number, data] of rows(codec.table, "number")) {
      const row = intact(() => codec.decode(number as number, data as Uint8Array));
      if (row === undefined) continue;
      statement.run(number as number, data as Uint8Array);
      copied.push(row);
    }
    return copied;
  };
  const topics: TopicRow[] = copyTable(TOPIC);
  for (const codec of [GROUP, HOLE, SCHEDULED, ANSWER, GONE]) copyTable(codec as RowCodec<unknown>);
  const putUnacked = insert("unacked", 3);
  for (const [group, id, data] of rows("unacked", "grp, id")) {
    const row = intact(() => UNACKED.decode(id as number, data as Uint8Array));
    if (row?.group === group) putUnacked.run(group as number, id as number, data as Uint8Array);
  }
  const { entries, lastTopic, ranges } = copyEntries(rows("entry", "seq"), insert("entry", 3));
  noteMissing(to, ranges);
  const [[, data] = []] = [...rows("state", "number")];
  const known: StateRow = intact(() => STATE.decode(1, data as Uint8Array)) ??
    {
      commits: 0,
      entries,
      topics: 0,
      nextTopic: 1,
      startedMs: nowMs,
      lastCreatedMs: 0,
      goneFromMs: nowMs,
      isBackup: false,
    };
  const numbers = to.prepare("SELECT coalesce(max(number), 0) AS last FROM topic").get() as { last: number };
  const state: StateRow = {
    ...known,
    commits: Math.max(known.commits, commits),
    entries,
    topics: topics.length,
    nextTopic: Math.max(known.nextTopic, numbers.last + 1, lastTopic + 1),
    lastCreatedMs: topics.reduce((lastMs, { info }) => Math.max(lastMs, info.createdMs), known.lastCreatedMs),
  };
  insert("state", 2).run(1, STATE.encode(1, state));
}

/** Copies the entries whose heads are right; records that are not are told when they are read. */
function copyEntries(
  rows: Iterable<Row>,
  insert: ReturnType<DatabaseSync["prepare"]>,
): { entries: number; lastTopic: number; ranges: Map<number, IdRanges> } {
  /** What is there of each topic. */
  const ranges = new Map<number, IdRanges>();
  const ends = new Map<number, number>();
  let entries = 0;
  let lastTopic = 0;
  for (const [seq, head, body] of rows) {
    const read = intact(() => headAt(seq as number, head as Uint8Array));
    if (read === undefined || !(body instanceof Uint8Array)) continue;
    let ofTopic = ranges.get(read.topic);
    if (ofTopic === undefined) ranges.set(read.topic, ofTopic = new IdRanges());
    const end = read.firstId + read.items.length;
    // What overlaps is not there twice, and the entries of a topic are in order.
    if (read.firstId < (ends.get(read.topic) ?? 0)) continue;
    if (Number(insert.run(seq as number, head as Uint8Array, body).changes) === 0) continue;
    entries++;
    ends.set(read.topic, end);
    ofTopic.add([[read.firstId, end]]);
    lastTopic = Math.max(lastTopic, read.topic);
  }
  return { entries, lastTopic, ranges };
}

/** Notes what is missing in the middle of topics as dropped: it is not coming back. */
function noteMissing(to: DatabaseSync, ranges: Map<number, IdRanges>): void {
  const put = to.prepare("INSERT INTO hole VALUES (?, ?)");
  const numbers = to.prepare("SELECT coalesce(max(number), 0) AS last FROM hole").get() as { last: number };
  let number = numbers.last;
  for (const [topic, data] of [...rowsIn(to, "SELECT number, data FROM topic")]) {
    const { first, next } = TOPIC.decode(topic as number, data as Uint8Array);
    const there = ranges.get(topic as number) ?? new IdRanges();
    const [, end = 0] = [...there].at(-1) ?? [];
    const missing = there.missingIn(first, Math.max(next, end));
    if (missing.length === 0) continue;
    number++;
    put.run(number, HOLE.encode(number, { topic: topic as number, ranges: missing }));
  }
}

/** What a function reads; `undefined` if that is damaged. */
function intact<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** The rows of a table from both ends, as far as they can be read. */
function* readable(from: DatabaseSync, table: string, key: string): Iterable<Row> {
  const keys = key.split(", ");
  const keyOf = (row: Row): string => row.slice(0, keys.length).join(" ");
  let last: string | undefined;
  try {
    for (const row of rowsIn(from, `SELECT * FROM ${table} ORDER BY ${key}`)) {
      last = keyOf(row);
      yield row;
    }
  } catch { /* Told or not, there may be more: it is read from the other end. */ }
  const behind: Row[] = [];
  try {
    const order = keys.map((each) => `${each} DESC`).join(", ");
    for (const row of rowsIn(from, `SELECT * FROM ${table} ORDER BY ${order}`)) {
      if (keyOf(row) === last) break;
      behind.push(row);
    }
  } catch { /* What is in the middle is lost. */ }
  while (behind.length > 0) yield behind.pop()!;
}
