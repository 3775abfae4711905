/**
 * C8: a program that brings a journal up to a later version is killed, or the power is cut, at any moment of that. The
 * journal then is of the old version or of the new one, with all of its rows.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { Journal } from "../../lib/store/journal.ts";
import { JournalFile, JournalRefused } from "../../lib/store/journal_file.ts";
import { pathsIn } from "../../lib/store/directory.ts";
import { MIGRATIONS } from "../../lib/store/schema.ts";
import { assert, assertEquals } from "../deps.ts";
import { countOfRuns } from "./arguments.ts";
import { CrashDisk, type Files, SURVIVALS } from "./crash_disk.ts";
import { LATER_MIGRATIONS } from "./migration_program.ts";
import { Random } from "./random.ts";
import { HAS_STRACE, record, scratch, WITHOUT_STRACE } from "./strace.ts";
import { eventsOf, type TraceEvent } from "./trace.ts";

const PROGRAM = new URL("migration_program.ts", import.meta.url);

function layOut(directory: string, files: Files): void {
  for (const { name } of Deno.readDirSync(directory)) Deno.removeSync(`${directory}/${name}`);
  for (const [name, bytes] of files) Deno.writeFileSync(`${directory}/${name}`, bytes, { mode: 0o600 });
}

/** What has to be the same whatever the version is. */
function rowsOf(file: JournalFile): string {
  const queries = ["number, data FROM topic", "number, data FROM state", "seq, head, body FROM entry"];
  return JSON.stringify(queries.map((query) => [...file.rows(`SELECT ${query} ORDER BY 1`)]), (_, value) => {
    return value instanceof Uint8Array ? value.toBase64() : value;
  });
}

/** What the migrations make of the rows, done once. */
function migratedOf(file: JournalFile): string {
  const sizes = file.rows("SELECT seq, length(body) + 1 FROM entry ORDER BY 1");
  return JSON.stringify([sizes, [["none"]]]);
}

/** What they have made. */
function foundOf(file: JournalFile): string {
  return JSON.stringify([file.rows("SELECT seq, bytes FROM size ORDER BY 1"), file.rows("SELECT note FROM topic")]);
}

/** What the program of the old version makes of it: it has everything, or says that it is too old. */
function openWithOld(directory: string, count: number): "old" | "refused" | string {
  const { database: path, head: headPath } = pathsIn(directory);
  try {
    const { journal, content } = Journal.open({ path, headPath, acceptLoss: false, nowMs: Date.now() });
    const version = journal.read(1, { first: 0, last: count });
    journal.close();
    return content.ids.length === count && version.damaged.length === 0 ? "old" : `it has ${content.ids.length}`;
  } catch (error) {
    if (error instanceof JournalRefused && error.isForeign) return "refused";
    return `it can't be opened: ${error}`;
  }
}

/** The version that a journal says it has, all of its log included. */
function versionOf(directory: string): number {
  using database = new DatabaseSync(pathsIn(directory).database);
  return database.prepare("PRAGMA user_version").get()!.user_version as number;
}

Deno.test({
  name:
    `JournalFile.open: killed or without power at any moment of a migration, each version is done once, or not yet${WITHOUT_STRACE}`,
  ignore: !HAS_STRACE,
  async fn() {
    using directory = scratch();
    const { path } = directory;
    const made = eventsOf(await record(PROGRAM, { directory: path, args: ["make"] }), path);
    const disk = new CrashDisk();
    for (const event of made) disk.replay(event);
    const migrating = eventsOf(await record(PROGRAM, { directory: path, args: ["migrate"] }), path);
    const before = disk.image("all", new Random(1));
    layOut(path, before);
    const old = JournalFile.open(pathsIn(path).database);
    const rows = rowsOf(old);
    const migrated = migratedOf(old);
    const count = old.rows("SELECT seq FROM entry").length;
    old.close();
    assert(count > 0);
    const random = new Random(1);
    const found: string[] = [];
    const versions = new Map<number, number>();
    for (let at = 0; at <= migrating.length; at++) {
      // A kill leaves all that was written; then a few power cuts.
      const survivals = ["all" as const, ...Array.from({ length: countOfRuns(1) }, () => random.oneOf(SURVIVALS))];
      for (const survival of survivals) {
        const image = disk.image(survival, random);
        const say = (what: string) => found.push(`${at} of ${migrating.length}, ${survival}: ${what}`);
        layOut(path, image);
        const version = versionOf(path);
        versions.set(version, (versions.get(version) ?? 0) + 1);
        layOut(path, image);
        const said = openWithOld(path, count);
        if (said !== (version > MIGRATIONS.length ? "refused" : "old")) say(`with version ${version}: ${said}`);
        layOut(path, image);
        const file = JournalFile.open(pathsIn(path).database, undefined, LATER_MIGRATIONS);
        if (rowsOf(file) !== rows) say(`of version ${version} rows are missing, or are others`);
        if (foundOf(file) !== migrated) say(`of version ${version} it was not migrated once`);
        file.close();
        if (versionOf(path) !== LATER_MIGRATIONS.length) say(`it has version ${versionOf(path)} afterwards`);
      }
      if (at < migrating.length) disk.replay(later(migrating[at]!, made.length));
    }
    assertEquals(found, []);
    // Each version was met: there was something to interrupt.
    assertEquals([...versions.keys()].sort(), [1, 2, 3]);
  },
});

/** The same event, in a trace that goes on another one of so many events. */
function later(event: TraceEvent, count: number): TraceEvent {
  return event.do === "sync" ? { ...event, upTo: event.upTo + count } : event;
}
