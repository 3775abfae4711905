/**
 * A program that writes to a database and says what is committed, as plainly as can be: to see that what is read from a
 * trace is right, and that a database that is not synced is caught.
 *
 * `deno run wal_program.ts <directory> <synchronous> <commits>`
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";

/** The name of the database. */
export const WAL_DATABASE = "plain.sqlite";

/** How large a payload is. */
export function walPayload(id: number): Uint8Array {
  return new Uint8Array(20 + id * 37 % 900).fill(id);
}

function main(directory: string, synchronous: string, commits: number): void {
  using database = new DatabaseSync(`${directory}/${WAL_DATABASE}`);
  database.exec(`
    PRAGMA auto_vacuum = INCREMENTAL;
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = ${synchronous};
    PRAGMA wal_autocheckpoint = 50;
    CREATE TABLE message (id INTEGER PRIMARY KEY, payload BLOB) STRICT;
  `);
  const insert = database.prepare("INSERT INTO message VALUES (?, ?)");
  const say = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
  let next = 0;
  for (let commit = 0; commit < commits; commit++) {
    database.exec("BEGIN IMMEDIATE");
    for (let i = 0; i <= commit % 3; i++) insert.run(next, walPayload(next++));
    database.exec("COMMIT");
    say(`acked ${next}`);
    if (commit % 40 !== 39) continue;
    say(`dropping ${next - 30}`);
    database.exec(`DELETE FROM message WHERE id < ${next - 30}`);
    database.exec("PRAGMA incremental_vacuum");
  }
}

if (import.meta.main) main(Deno.args[0]!, Deno.args[1]!, Number(Deno.args[2]));
