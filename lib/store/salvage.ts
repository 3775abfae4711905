/**
 * What can still be read of a damaged journal, in a new file.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
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
 * beside it, under its name with `.damaged-` and the time.
 */
export function salvage(
  path: string,
  { commits, nowMs }: { readonly commits: number; readonly nowMs: number },
): void {
  const aside = `${path}.damaged-${nowMs}`;
  const keepAside = () => {
    // Linked, so that there is a file under the name at all times; a log that belongs to another file must not be.
    for (const ending of ["", "-wal"]) {
      try {
        Deno.linkSync(path + ending, aside + ending);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
        continue;
      }
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
  const { entries, lastTopic } = copyEntries(rows("entry", "seq"), insert("entry", 3));
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
    lastCreatedMs: Math.max(known.lastCreatedMs, ...topics.map(({ info }) => info.createdMs)),
  };
  insert("state", 2).run(1, STATE.encode(1, state));
}

/** Copies the entries whose heads are right; records that are not are told when they are read. */
function copyEntries(
  rows: Iterable<Row>,
  insert: ReturnType<DatabaseSync["prepare"]>,
): { entries: number; lastTopic: number } {
  /** The id behind the last one of each topic: what overlaps is not there twice. */
  const next = new Map<number, number>();
  let entries = 0;
  let lastTopic = 0;
  for (const [seq, head, body] of rows) {
    const read = intact(() => headAt(seq as number, head as Uint8Array));
    if (read === undefined || !(body instanceof Uint8Array)) continue;
    if (read.firstId < (next.get(read.topic) ?? 0)) continue;
    next.set(read.topic, read.firstId + read.items.length);
    lastTopic = Math.max(lastTopic, read.topic);
    entries += Number(insert.run(seq as number, head as Uint8Array, body).changes);
  }
  return { entries, lastTopic };
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
    return;
  } catch { /* The rest is read from the other end. */ }
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
