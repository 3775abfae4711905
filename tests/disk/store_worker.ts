/**
 * The journal's worker, with a database that is other than it should be: `?synchronous=NORMAL` syncs less; with `eager` it
 * moves its log, and gives back room, after a few pages rather than thousands.
 *
 * @module
 */

import { DatabaseSync, type StatementSync } from "node:sqlite";
import { serveJournalWith } from "../../lib/store/journal_service.ts";

const settings = new URL(import.meta.url).searchParams;
const EAGER_LOG_PAGES = 40;
const EAGER_FREE_PAGES = 8;

/** Says other things to SQLite than it is told to. */
class OtherDatabase extends DatabaseSync {
  override exec(sql: string): void {
    super.exec(this.#other(sql));
  }

  override prepare(sql: string): StatementSync {
    return super.prepare(this.#other(sql));
  }

  #other(sql: string): string {
    const synchronous = sql.replace("synchronous = FULL", `synchronous = ${settings.get("synchronous") ?? "FULL"}`);
    if (!settings.has("eager")) return synchronous;
    return synchronous
      .replace("wal_autocheckpoint = 0", `wal_autocheckpoint = ${EAGER_LOG_PAGES}`)
      .replace(
        /^PRAGMA freelist_count$/,
        `SELECT iif(freelist_count > ${EAGER_FREE_PAGES}, 1e9, 0) AS freelist_count FROM pragma_freelist_count`,
      );
  }
}

serveJournalWith((path, options) => new OtherDatabase(path, options));
