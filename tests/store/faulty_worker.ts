/**
 * A worker that keeps a journal on a disk that fails when a file says so, whose name is in the address of the worker:
 *
 * - `full`: there is room for no further page;
 * - a number: the next commits fail, with that code of SQLite;
 * - `crash`: something nobody has thought of is thrown.
 *
 * @module
 */

import { DatabaseSync, type StatementSync } from "node:sqlite";
import { serveJournalWith } from "../../lib/store/journal_service.ts";

const control = new URL(import.meta.url).searchParams.get("control")!;

function fault(): string {
  try {
    return Deno.readTextFileSync(control);
  } catch {
    return "";
  }
}

function faulty(database: DatabaseSync): DatabaseSync {
  const prepare = database.prepare.bind(database);
  const pages = prepare("PRAGMA page_count");
  const override = (statement: StatementSync, before: () => void): StatementSync => {
    const run = statement.run.bind(statement);
    return Object.defineProperty(statement, "run", {
      value: (...values: Parameters<typeof run>) => {
        before();
        return run(...values);
      },
    });
  };
  const onBegin = () => {
    const { page_count } = pages.get() as { page_count: number };
    database.exec(`PRAGMA max_page_count = ${fault() === "full" ? page_count : 1e9}`);
    if (fault() !== "crash") return;
    setTimeout(() => {
      throw new Error("Nobody has thought of this");
    }, 0);
  };
  const onCommit = () => {
    const errcode = Number(fault());
    if (Number.isNaN(errcode) || errcode === 0) return;
    // SQLite has rolled back when a commit has failed.
    database.exec("ROLLBACK");
    throw Object.assign(new Error(`injected ${errcode}`), { code: "ERR_SQLITE_ERROR", errcode });
  };
  return Object.defineProperty(database, "prepare", {
    value: (sql: string) => {
      const statement = prepare(sql);
      if (sql.startsWith("BEGIN")) return override(statement, onBegin);
      if (sql === "COMMIT") return override(statement, onCommit);
      return statement;
    },
  });
}

serveJournalWith((path, options) => faulty(new DatabaseSync(path, options)));
