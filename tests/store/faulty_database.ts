/**
 * A database on a disk that fails when a file says so.
 *
 * @module
 */

import { DatabaseSync, type StatementSync } from "node:sqlite";

/** How long a commit takes on a disk that is slow, in milliseconds. */
const SLOW_MS = 200;

/**
 * Opens a database whose disk is as the file `control` says:
 *
 * - `full`: there is room for no further page;
 * - a number: the next commits fail, with that code of SQLite;
 * - `slow`: commits take 200 ms;
 * - `crash`: something nobody has thought of is thrown.
 */
export function faultyDatabase(path: string, options: { readonly readOnly?: boolean }, control: string): DatabaseSync {
  return faulty(new DatabaseSync(path, options), () => {
    try {
      return Deno.readTextFileSync(control);
    } catch {
      return "";
    }
  });
}

function faulty(database: DatabaseSync, fault: () => string): DatabaseSync {
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
    if (fault() === "slow") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SLOW_MS);
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
