/**
 * The tables of the journal, from its first version on.
 *
 * @module
 */

/** The statements that lead from each version to the next, the first ones from an empty file. */
export const MIGRATIONS: readonly (readonly string[])[] = [
  [
    // Rows are only ever added at the end: a commit changes two or three pages, however many topics it is about.
    "CREATE TABLE entry (seq INTEGER PRIMARY KEY, head BLOB NOT NULL, body BLOB NOT NULL) STRICT",
    ...["state", "topic", "hole", "grp", "scheduled", "answer", "gone"].map((table) =>
      `CREATE TABLE ${table} (number INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT`
    ),
    "CREATE TABLE unacked (grp INTEGER NOT NULL, id INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (grp, id)) STRICT, WITHOUT ROWID",
  ],
];

/** The version that this program writes. */
export const SCHEMA_VERSION = MIGRATIONS.length;

/** The tables whose rows are read as a whole at the start, and whose structure is checked then. */
export const SMALL_TABLES = ["state", "topic", "hole", "grp", "scheduled", "answer", "gone", "unacked"] as const;
