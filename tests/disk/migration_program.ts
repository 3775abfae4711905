/**
 * A program that makes a journal, and one of a later version that opens it.
 *
 * `deno run migration_program.ts <directory> make|migrate`
 *
 * @module
 */

import { Journal } from "../../lib/store/journal.ts";
import { JournalFile } from "../../lib/store/journal_file.ts";
import { ByteWriter } from "../../lib/store/bytes.ts";
import { writeAppend, writeTopic } from "../../lib/store/changes.ts";
import { pathsIn } from "../../lib/store/directory.ts";
import { MIGRATIONS } from "../../lib/store/schema.ts";
import { epochOf } from "../../lib/message.ts";

/** What a later version may be like: it has other columns and tables, and writes rows that depend on those before. */
export const LATER_MIGRATIONS: readonly (readonly string[])[] = [
  ...MIGRATIONS,
  [
    "ALTER TABLE topic ADD COLUMN note TEXT NOT NULL DEFAULT 'none'",
    "CREATE TABLE size (seq INTEGER PRIMARY KEY, bytes INTEGER NOT NULL) STRICT",
    "INSERT INTO size SELECT seq, length(body) FROM entry",
  ],
  ["UPDATE size SET bytes = bytes + 1", "CREATE INDEX size_by_bytes ON size (bytes)"],
];

/** How many commits there were before it. */
const COMMITS = 60;
const PAYLOAD_BYTES = 3000;

function make(directory: string): void {
  const { database: path, head: headPath } = pathsIn(directory);
  const nowMs = Date.now();
  const { journal } = Journal.open({ path, headPath, acceptLoss: false, nowMs });
  const topic = { name: "t", ttlMs: 0, createdMs: nowMs, epoch: epochOf(nowMs) };
  for (let id = -1; id < COMMITS; id++) {
    const to = new ByteWriter();
    const append = { topic, expectedId: id, payloads: [new Uint8Array(PAYLOAD_BYTES).fill(id)], createdMs: nowMs };
    if (id < 0) writeTopic(to, 1, topic);
    else writeAppend(to, 1, id, append, () => 0);
    journal.apply(new Uint8Array(to.finish()), nowMs);
    // Some of it is in its place, and some in the log.
    if (id === COMMITS / 2) { while (journal.tidy()); }
  }
}

if (import.meta.main) {
  const [directory, what] = Deno.args as [string, string];
  if (what === "make") make(directory);
  else JournalFile.open(pathsIn(directory).database, undefined, LATER_MIGRATIONS);
  // Nothing is closed: that would move everything to its place.
  Deno.exit(0);
}
