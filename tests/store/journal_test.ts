import { DatabaseSync } from "node:sqlite";
import { ByteWriter } from "../../lib/store/bytes.ts";
import {
  writeAppend,
  writeCancel,
  writeDelay,
  writeDrop,
  writeForget,
  writeNote,
  writeRemove,
  writeTopic,
} from "../../lib/store/changes.ts";
import { Journal } from "../../lib/store/journal.ts";
import { APPLICATION_ID, JournalFile, type OpenDatabase } from "../../lib/store/journal_file.ts";
import type { JournalContent } from "../../lib/store/loading.ts";
import { decodeMessages } from "../../lib/store/read_back.ts";
import { MIGRATIONS, SCHEMA_VERSION } from "../../lib/store/schema.ts";
import { checkJournal } from "../../lib/store/sqlite.ts";
import { codeOf } from "../bus/error_code.ts";
import { assert, assertEquals, assertLess, assertNotEquals, fc } from "../deps.ts";
import { NO_COUNTS, NOW_MS, TestDirectory, topicOf } from "./journals.ts";

/** A journal that is used without a worker, on a disk that is full when it is told so. */
class Bench {
  readonly directory = new TestDirectory();
  isFull = false;
  content!: JournalContent;
  journal!: Journal;

  constructor() {
    Deno.mkdirSync(this.directory.path, { mode: 0o700 });
    this.open();
  }

  open(nowMs = NOW_MS): void {
    const open: OpenDatabase = (path, options) => {
      const database = new DatabaseSync(path, options);
      const prepare = database.prepare.bind(database);
      return Object.defineProperty(database, "prepare", {
        value: (sql: string) => {
          const statement = prepare(sql);
          if (sql !== "COMMIT") return statement;
          const run = statement.run.bind(statement);
          return Object.defineProperty(statement, "run", {
            value: () => {
              if (!this.isFull) return run();
              throw Object.assign(new Error("full"), { errcode: 13 });
            },
          });
        },
      });
    };
    const { directory } = this;
    const paths = { path: directory.file("journal.db"), headPath: directory.file("head") };
    const opened = Journal.open({ ...paths, acceptLoss: false, nowMs, open });
    this.journal = opened.journal;
    this.content = opened.content;
  }

  restart(nowMs?: number): void {
    this.journal.close();
    this.open(nowMs);
  }

  /** A batch of what `write` writes. */
  apply(write: (to: ByteWriter) => void, nowMs = NOW_MS): void {
    const to = new ByteWriter();
    write(to);
    this.journal.apply(new Uint8Array(to.finish()), nowMs);
  }

  /** Everything that it has. */
  kept(): unknown {
    this.restart();
    const messages = this.content.topics.map(({ number }) =>
      decodeMessages(this.journal.read(number, { first: 0, last: 1e9 }).buffer)
    );
    return [JSON.parse(JSON.stringify(this.content)), messages];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.journal.close();
    await this.directory[Symbol.asyncDispose]();
  }
}

const small = fc.nat(2);
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("append" as const), topic: small, count: fc.nat(4), size: fc.nat(3) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("note" as const), topic: small, group: small, id: fc.nat(9) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("forget" as const), topic: small, group: small }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("delay" as const), topic: small }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cancel" as const), topic: small, token: fc.nat(9) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("drop" as const),
      topic: small,
      before: fc.nat(12),
      ids: fc.uniqueArray(fc.nat(30)),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("remove" as const), topic: small }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
const batch = fc.record({
  steps: fc.array(step, { minLength: 1, maxLength: 8, size: "max" }),
  fails: fc.nat(3).map((n) => n === 0),
});
const script = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: batch },
    { weight: 2, arbitrary: fc.constant("tidy" as const) },
    { weight: 1, arbitrary: fc.constant("restart" as const) },
  ),
  { maxLength: 25, size: "max" },
);

/** What the other side of the worker knows: which topics there are, and their next ids. */
class Asker {
  topics: ({ number: number; next: number; tokens: number } | undefined)[] = [undefined, undefined, undefined];
  lastNumber = 0;

  /** Writes a batch, as somebody who believes what the last ones were answered. */
  write(to: ByteWriter, steps: readonly Step[]): void {
    for (const step of steps) this.#write(to, step);
  }

  #write(to: ByteWriter, step: Step): void {
    let topic = this.topics[step.topic];
    if (topic === undefined) {
      topic = this.topics[step.topic] = { number: ++this.lastNumber, next: 0, tokens: 0 };
      writeTopic(to, topic.number, topicOf(`topic ${step.topic}`, NOW_MS + topic.number));
    }
    const { number } = topic;
    const info = topicOf("");
    switch (step.kind) {
      case "append": {
        const payloads = Array.from({ length: step.count + 1 }, (_, n) => new Uint8Array(step.size * 20_000).fill(n));
        const idempotency = { key: `${topic.next}`, fingerprint: "f", untilMs: NOW_MS + 1 };
        const append = { topic: info, expectedId: 0, createdMs: NOW_MS, payloads, idempotency };
        writeAppend(to, number, topic.next, append, () => number);
        topic.next += payloads.length;
        return;
      }
      case "note": {
        const unacked = [{ id: step.id, attempt: 1 }];
        const change = {
          group: `g${step.group}`,
          next: Math.min(step.id, topic.next),
          unacked,
          done: [step.id + 1],
          counts: NO_COUNTS,
        };
        return writeNote(to, number, change);
      }
      case "forget":
        return writeForget(to, number, `g${step.group}`);
      case "delay":
        return writeDelay(to, number, {
          topic: info,
          token: `t${topic.tokens++}`,
          dueMs: 1,
          payload: new Uint8Array(9),
        });
      case "cancel":
        return writeCancel(to, number, `t${step.token}`);
      case "drop": {
        const before = Math.min(step.before, topic.next);
        const ids = step.ids.filter((id) => id >= before && id < topic.next).sort((a, b) => a - b);
        return writeDrop(to, number, { before, ids, lostMs: before, limit: undefined });
      }
      case "remove":
        writeRemove(to, number, NOW_MS);
        this.topics[step.topic] = undefined;
    }
  }
}

Deno.test("Journal: a batch that fails has changed nothing, and tidying up and restarts change nothing either", async () => {
  await fc.assert(
    fc.asyncProperty(script, async (script) => {
      await using troubled = new Bench();
      await using calm = new Bench();
      const asker = new Asker();
      for (const each of script) {
        if (each === "tidy") troubled.journal.tidy();
        else if (each === "restart") troubled.restart();
        else {
          const before = structuredClone(asker.topics);
          const to = new ByteWriter();
          asker.write(to, each.steps);
          const bytes = new Uint8Array(to.finish());
          if (each.fails) {
            troubled.isFull = true;
            assertEquals(codeOf(() => troubled.journal.apply(bytes, NOW_MS)), "disk_full");
            troubled.isFull = false;
            asker.topics = before;
          } else {
            troubled.journal.apply(bytes, NOW_MS);
            calm.journal.apply(bytes, NOW_MS);
          }
        }
      }
      assertEquals(troubled.kept(), calm.kept());
      while (troubled.journal.tidy());
      assertEquals(troubled.kept(), calm.kept());
      troubled.journal.close();
      const report = await checkJournal(troubled.directory.path);
      assertEquals(report.problems, []);
      troubled.open();
    }),
    { numRuns: 30 },
  );
});

Deno.test("Journal.tidy deletes what is gone, a bounded part at a time, and the file is used again", async () => {
  await using bench = new Bench();
  const { journal } = bench;
  const path = bench.directory.file("journal.db");
  const count = (table: string) => {
    const database = new DatabaseSync(path, { readOnly: true });
    try {
      return (database.prepare(`SELECT count(*) AS count FROM ${table}`).get() as { count: number }).count;
    } finally {
      database.close();
    }
  };
  bench.apply((to) => writeTopic(to, 1, topicOf("foo")));
  let next = 0;
  const fill = () => {
    for (let n = 0; n < 400; n++) {
      bench.apply((to) => {
        const idempotency = { key: `${next}`, fingerprint: "f", untilMs: NOW_MS + 5 };
        const append = { topic: topicOf("foo"), expectedId: 0, payloads: [new Uint8Array(20_000)], createdMs: NOW_MS };
        writeAppend(to, 1, next++, { ...append, idempotency }, () => 1);
      });
    }
  };
  const drop = () =>
    bench.apply((to) => writeDrop(to, 1, { before: next, ids: [], lostMs: 0, limit: undefined }), NOW_MS + 9);
  fill();
  while (journal.tidy());
  drop();
  let steps = 0;
  while (bench.journal.tidy()) steps++;
  assert(steps > 4);
  const size = Deno.statSync(path).size;
  fill();
  drop();
  while (bench.journal.tidy());
  assertLess(Deno.statSync(path).size, size * 1.1);
  bench.journal.close();
  assertEquals([count("entry"), count("answer")], [0, 0]);
  bench.open();
  assertEquals(bench.content.topics.map(({ next, length }) => [next, length]), [[800, 0]]);
});

Deno.test("Journal.tidy gives back what is free if that is much", async () => {
  await using bench = new Bench();
  const path = bench.directory.file("journal.db");
  bench.apply((to) => writeTopic(to, 1, topicOf("foo")));
  for (let n = 0; n < 50; n++) {
    bench.apply((to) => {
      const payloads = [new Uint8Array(1024 ** 2)];
      writeAppend(to, 1, n, { topic: topicOf("foo"), expectedId: 0, payloads, createdMs: NOW_MS }, () => 1);
    });
    while (bench.journal.isBehind) bench.journal.tidy();
  }
  bench.restart();
  const size = Deno.statSync(path).size;
  bench.apply((to) => writeDrop(to, 1, { before: 49, ids: [], lostMs: 0, limit: undefined }));
  while (bench.journal.tidy());
  bench.restart();
  assertLess(Deno.statSync(path).size, size * 0.6);
  assertEquals((await bench.kept() as [JournalContent, unknown[][]])[1][0]!.length, 1);
});

Deno.test("Journal: rows that say what is missing in the middle become one when they are many", async () => {
  await using bench = new Bench();
  bench.apply((to) => {
    writeTopic(to, 1, topicOf("foo"));
    const payloads = Array.from({ length: 500 }, () => new Uint8Array(1));
    writeAppend(to, 1, 0, { topic: topicOf("foo"), expectedId: 0, payloads, createdMs: NOW_MS }, () => 1);
  });
  for (let id = 1; id < 500; id += 2) {
    bench.apply((to) => writeDrop(to, 1, { before: 0, ids: [id], lostMs: 0, limit: undefined }));
    bench.journal.tidy();
  }
  bench.journal.close();
  const database = new DatabaseSync(bench.directory.file("journal.db"));
  const { rows } = database.prepare("SELECT count(*) AS rows FROM hole").get() as { rows: number };
  database.close();
  assertLess(rows, 80);
  bench.open();
  assertEquals([...bench.content.ids], Array.from({ length: 250 }, (_, n) => 2 * n));
});

Deno.test("Journal: a journal of a million messages is opened, and gives back any of them", async () => {
  await using bench = new Bench();
  const TOPICS = 1000;
  bench.apply((to) => {
    for (let n = 0; n < TOPICS; n++) writeTopic(to, n + 1, topicOf(`t${n}`, NOW_MS + n));
  });
  const payload = new Uint8Array(10);
  // As many rows as there can be: a message for each topic in each commit, some of them with more.
  for (let round = 0; round < 100; round++) {
    bench.apply((to) => {
      const payloads = Array.from({ length: 10 }, () => payload);
      for (let n = 0; n < TOPICS; n++) {
        const append = { topic: topicOf(""), expectedId: 0, payloads, createdMs: NOW_MS + round };
        writeAppend(to, n + 1, round * 10, append, () => 0);
      }
    });
    while (bench.journal.isBehind) bench.journal.tidy();
  }
  bench.restart();
  const { ids, topics, createdMs } = bench.content;
  assertEquals([ids.length, topics.length], [1_000_000, TOPICS]);
  for (const { start, length } of topics) {
    assertEquals([ids[start], ids[start + length - 1], createdMs[start + 500]], [0, 999, NOW_MS + 50]);
  }
  const { buffer } = bench.journal.read(777, { first: 500, last: 501 });
  assertEquals(decodeMessages(buffer).map(({ id }) => id), [500, 501]);
});

Deno.test("JournalFile brings an older journal up to the newest version, or leaves it as it was", async () => {
  await using directory = new TestDirectory();
  Deno.mkdirSync(directory.path, { mode: 0o700 });
  const path = directory.file("journal.db");
  JournalFile.create(path, () => {});
  const more = [
    ...MIGRATIONS,
    ["CREATE TABLE more (a INTEGER) STRICT", "INSERT INTO more VALUES (7)"],
    ["ALTER TABLE more ADD COLUMN b INTEGER", "UPDATE more SET b = 8"],
  ];
  const broken = [...MIGRATIONS, more.at(-2)!, ["CREATE TABLE other (a INTEGER) STRICT", "nonsense"]];
  const version = () => new DataView(Deno.readFileSync(path).buffer).getUint32(60);
  assertEquals(version(), SCHEMA_VERSION);
  let message = "";
  try {
    JournalFile.open(path, undefined, broken).close();
  } catch (error) {
    message = (error as Error).message;
  }
  assertNotEquals(message, "");
  const file = JournalFile.open(path, undefined, more);
  assertEquals([...file.rows("SELECT a, b FROM more")], [[7, 8]]);
  assertEquals([...file.rows("SELECT count(*) FROM sqlite_schema WHERE name = 'other'")], [[0]]);
  // The file itself says so before anything is stored.
  assertEquals(version(), SCHEMA_VERSION + 2);
  file.close();
  assertEquals(new DataView(Deno.readFileSync(path).buffer).getUint32(68), APPLICATION_ID);
});
