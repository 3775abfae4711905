/**
 * What an open journal asks of its database, prepared once.
 *
 * @module
 */

import type { StatementSync } from "node:sqlite";
import { type JournalFile, withArrays } from "./journal_file.ts";

/** Every statement that an open journal runs. */
export type Statements = Record<
  | "insertEntry"
  | "deleteEntries"
  | "readEntry"
  | "putTopic"
  | "deleteTopic"
  | "putGroup"
  | "deleteGroup"
  | "putUnacked"
  | "deleteUnacked"
  | "deleteUnackedOf"
  | "insertScheduled"
  | "deleteScheduled"
  | "insertAnswer"
  | "deleteAnswers"
  | "insertGone"
  | "deleteGone"
  | "insertHole"
  | "deleteHole"
  | "putState",
  StatementSync
>;

const SQL: Record<keyof Statements, string> = {
  insertEntry: "INSERT INTO entry VALUES (?, ?, ?)",
  deleteEntries: "DELETE FROM entry WHERE seq BETWEEN ? AND ?",
  readEntry: "SELECT head, body FROM entry WHERE seq = ?",
  putTopic: "REPLACE INTO topic VALUES (?, ?)",
  deleteTopic: "DELETE FROM topic WHERE number = ?",
  putGroup: "REPLACE INTO grp VALUES (?, ?)",
  deleteGroup: "DELETE FROM grp WHERE number = ?",
  putUnacked: "REPLACE INTO unacked VALUES (?, ?, ?)",
  deleteUnacked: "DELETE FROM unacked WHERE grp = ? AND id = ?",
  deleteUnackedOf: "DELETE FROM unacked WHERE grp = ?1 AND id IN (SELECT id FROM unacked WHERE grp = ?1 LIMIT ?2)",
  insertScheduled: "INSERT INTO scheduled VALUES (?, ?)",
  deleteScheduled: "DELETE FROM scheduled WHERE number = ?",
  insertAnswer: "INSERT INTO answer VALUES (?, ?)",
  deleteAnswers: "DELETE FROM answer WHERE number <= ?",
  insertGone: "INSERT INTO gone VALUES (?, ?)",
  deleteGone: "DELETE FROM gone WHERE number = ?",
  insertHole: "INSERT INTO hole VALUES (?, ?)",
  deleteHole: "DELETE FROM hole WHERE number = ?",
  putState: "UPDATE state SET data = ? WHERE number = 1",
};

/** Prepares all of them. The rows that `readEntry` gives are arrays. */
export function prepareStatements(file: JournalFile): Statements {
  const prepared = Object.entries(SQL).map(([name, sql]) => [name, file.prepare(sql)]);
  const statements = Object.fromEntries(prepared) as Statements;
  withArrays(statements.readEntry);
  return statements;
}
