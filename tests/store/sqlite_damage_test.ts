import { DatabaseSync } from "node:sqlite";
import { BusError, type ErrorCode } from "../../lib/errors.ts";
import { Journal } from "../../lib/store/journal.ts";
import { decodeMessages } from "../../lib/store/read_back.ts";
import { STATE, type StateRow } from "../../lib/store/rows.ts";
import { checkJournal } from "../../lib/store/sqlite.ts";
import { codeOfRejection } from "../bus/error_code.ts";
import { assert, assertEquals, assertGreater, assertNotEquals, assertRejects, assertStringIncludes } from "../deps.ts";
import { appendOf, NO_COUNTS, NOW_MS, storedTopic, TestDirectory, textsOf, topicOf } from "./journals.ts";

const foo = topicOf("foo");
const bar = topicOf("bar", NOW_MS + 1);
const DATABASE = "journal.db";
const LOG = "journal.db-wal";
const hasModes = Deno.build.os !== "windows";
const PAGE_BYTES = 4096;

/** A journal with a bit of everything, as a process leaves it that is killed: some of it is in the log only. */
async function killed(): Promise<TestDirectory> {
  const original = new TestDirectory();
  await using directory = new TestDirectory();
  const fill = async (round: number) => {
    await directory.with(async (store, stored) => {
      const of = (topic: typeof foo) => stored.topics.find(({ info }) => info.name === topic.name)?.info ?? topic;
      const [f, b] = [of(foo), of(bar)];
      for (let n = 0; n < 15; n++) {
        await store.append(appendOf(f, `${round} ${n}`, "x".repeat(n === 3 ? 9000 : 30)));
        await store.append(appendOf(b, `bar ${round} ${n}`));
      }
      const unacked = [{ id: 3, attempt: 2, key: "k" }];
      await store.note(f, { group: "", next: 9, unacked, done: [], counts: NO_COUNTS });
      const idempotency = { key: `k${round}`, fingerprint: "0", untilMs: NOW_MS + 9 };
      await store.delay({ topic: f, token: `t${round}`, dueMs: 1, payload: new Uint8Array(50), idempotency });
      store.drop(f, { before: 2, ids: [5], lostMs: NOW_MS, limit: undefined });
      const gone = topicOf(`gone ${round}`, NOW_MS + 10 + round);
      await store.append(appendOf(gone, "a"));
      await store.remove(gone, NOW_MS);
      if (round === 0) return;
      // While it is in use: the end of a process would move the log to its place.
      copyJournal(directory, original);
    });
  };
  await fill(0);
  await fill(1);
  return original;
}

function copyJournal(from: TestDirectory, to: TestDirectory): void {
  Deno.mkdirSync(to.path, { mode: 0o700 });
  for (const name of [DATABASE, LOG, "head"]) {
    Deno.copyFileSync(from.file(name), to.file(name));
    Deno.chmodSync(to.file(name), 0o600);
  }
}

/** Everything that a store gives back, but for messages that are left out, and what it has said. */
interface Kept {
  readonly stored: unknown;
  readonly texts: readonly string[];
  readonly damaged: readonly number[];
}

/** Opened without a worker: that takes a tenth of the time. */
function keptIn(directory: TestDirectory, acceptLoss = false): Kept {
  const options = { path: directory.file(DATABASE), headPath: directory.file("head"), acceptLoss, nowMs: NOW_MS };
  const { journal, content } = Journal.open(options);
  const texts: string[] = [];
  const damaged: number[] = [];
  for (const { number, info } of content.topics) {
    const read = journal.read(number, { first: 0, last: 1e9 });
    damaged.push(...read.damaged);
    for (const { id, payload } of decodeMessages(read.buffer)) {
      texts.push(`${info.name} ${id} ${new TextDecoder().decode(payload)}`);
    }
  }
  journal.close();
  return { stored: JSON.parse(JSON.stringify(content)), texts, damaged };
}

/** The code that opening ends with, or what is kept. */
function outcomeOf(directory: TestDirectory): ErrorCode | Kept {
  try {
    return keptIn(directory);
  } catch (error) {
    if (error instanceof BusError) return error.code;
    throw error;
  }
}

Deno.test("a bit flipped anywhere is found, or hides a message, or makes no difference", async (t) => {
  await using original = await killed();
  const seed = Number(seedArgument() ?? Math.floor(Math.random() * 2 ** 31));
  const random = randomOf(seed);
  let whole: Kept;
  {
    await using copy = new TestDirectory();
    copyJournal(original, copy);
    whole = keptIn(copy);
    assertGreater(whole.texts.length, 80);
  }
  const outcomes = { refused: 0, hidden: 0, harmless: 0 };
  await t.step(`--seed=${seed}`, async () => {
    for (let n = 0; n < 500; n++) {
      await using copy = new TestDirectory();
      copyJournal(original, copy);
      const name = n % 10 === 0 ? "head" : n % 2 === 0 ? LOG : DATABASE;
      const bytes = Deno.readFileSync(copy.file(name));
      const bit = Math.floor(random() * bytes.length * 8);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      Deno.writeFileSync(copy.file(name), bytes);
      const what = `bit ${bit} of ${name}`;
      const outcome = outcomeOf(copy);
      if (typeof outcome === "string") {
        assertEquals(outcome, "store_damaged", what);
        outcomes.refused++;
        continue;
      }
      assertEquals(outcome.stored, whole.stored, what);
      const missing = whole.texts.filter((text) => !outcome.texts.includes(text));
      assertEquals(outcome.texts, whole.texts.filter((text) => !missing.includes(text)), what);
      assertEquals(outcome.damaged.length, missing.length, what);
      if (missing.length > 0) outcomes.hidden++;
      else outcomes.harmless++;
    }
  });
  // What is not there can't have failed.
  assertGreater(outcomes.refused, 50);
  assertGreater(outcomes.hidden, 20);
});

/** What `-- --seed=…` says. */
function seedArgument(): string | undefined {
  return Deno.args.find((each) => /^--seed=\d+$/.test(each))?.slice("--seed=".length);
}

/** Numbers from 0 to 1, always the same for a seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

Deno.test("a journal that was cut off anywhere is refused", async () => {
  await using original = await killed();
  for (
    const [name, lengths] of [[DATABASE, [0, 50, PAGE_BYTES, 20_000]], [LOG, [0, 20, 9000]], ["head", [0, 7]]] as const
  ) {
    for (const length of lengths) {
      await using copy = new TestDirectory();
      copyJournal(original, copy);
      assertGreater(Deno.statSync(copy.file(name)).size, length);
      Deno.truncateSync(copy.file(name), length);
      assertEquals([name, length, outcomeOf(copy)], [name, length, "store_damaged"]);
    }
  }
});

Deno.test("a journal whose log has lost its end is refused and not touched", async () => {
  await using original = await killed();
  const bytes = Deno.readFileSync(original.file(LOG));
  bytes[bytes.length / 2]! ^= 1;
  Deno.writeFileSync(original.file(LOG), bytes);
  const before = Deno.readFileSync(original.file(DATABASE));
  assertEquals(outcomeOf(original), "store_damaged");
  assertEquals(Deno.readFileSync(original.file(LOG)), bytes);
  assertEquals(Deno.readFileSync(original.file(DATABASE)), before);
});

Deno.test("a journal one file of which is missing is refused", async () => {
  await using original = await killed();
  for (const name of [DATABASE, LOG, "head"]) {
    await using copy = new TestDirectory();
    copyJournal(original, copy);
    Deno.removeSync(copy.file(name));
    assertEquals([name, outcomeOf(copy)], [name, "store_damaged"]);
  }
});

Deno.test("another program's database, and a newer journal, are refused and not touched, whatever may be lost", async () => {
  await using original = await killed();
  for (const at of [60, 68]) {
    await using copy = new TestDirectory();
    copyJournal(original, copy);
    const before = Deno.readFileSync(copy.file(DATABASE));
    new DataView(before.buffer).setUint32(at, 77);
    Deno.writeFileSync(copy.file(DATABASE), before);
    const log = Deno.readFileSync(copy.file(LOG));
    for (const acceptLoss of [false, true]) {
      assertEquals(await codeOfRejection(copy.open({ acceptLoss })), "store_damaged");
    }
    assertEquals(Deno.readFileSync(copy.file(DATABASE)), before);
    assertEquals(Deno.readFileSync(copy.file(LOG)), log);
  }
});

/** Changes the database of a journal behind its back; what it knows of itself is changed by `state`. */
function tamper(directory: TestDirectory, sql: string, state: (state: StateRow) => StateRow = (state) => state): void {
  const database = new DatabaseSync(directory.file(DATABASE));
  database.exec(sql);
  const { data } = database.prepare("SELECT data FROM state").get() as { data: Uint8Array };
  database.prepare("UPDATE state SET data = ?").run(STATE.encode(1, state(STATE.decode(1, data))));
  database.close();
}

Deno.test("a row that is missing is noticed, even if their number is right", async () => {
  const oneLess = (state: StateRow) => ({ ...state, entries: state.entries - 1 });
  const last = "DELETE FROM entry WHERE seq = (SELECT max(seq) FROM entry)";
  const middle = "DELETE FROM entry WHERE seq = (SELECT max(seq) - 9 FROM entry)";
  for (
    const [sql, state] of [[last, undefined], [middle, undefined], [middle, oneLess], [
      "DELETE FROM topic WHERE number = 2",
      undefined,
    ]] as const
  ) {
    await using original = await killed();
    await original.with(() => {});
    tamper(original, sql, state);
    assertEquals([sql, outcomeOf(original)], [sql, "store_damaged"]);
    assertGreater((await checkJournal(original.path)).problems.length, 0);
  }
});

Deno.test("SqliteStore with acceptLoss: no group is beyond what is left of its topic", async () => {
  await using directory = new TestDirectory();
  await directory.with(async (store) => {
    for (let n = 0; n < 6; n++) await store.append(appendOf(foo, `${n}`));
    const unacked = [{ id: 1, attempt: 1 }, { id: 4, attempt: 1 }];
    await store.note(foo, { group: "g", next: 6, unacked, done: [], counts: NO_COUNTS });
  });
  tamper(directory, "DELETE FROM entry WHERE seq > 4");
  const { stored } = await directory.open({ acceptLoss: true });
  const { next, groups: [group] } = storedTopic(stored, "foo");
  assertEquals([next, group!.next, group!.unacked.map(({ id }) => id)], [4, 4, [1]]);
});

Deno.test("SqliteStore with acceptLoss goes on with what is left: other epochs, and no id that was given to something else", async () => {
  await using original = await killed();
  // Without its log the journal is as it was some time before.
  Deno.removeSync(original.file(LOG));
  assertEquals(await codeOfRejection(original.open()), "store_damaged");
  const { store, stored } = await original.open({ acceptLoss: true });
  assertEquals(original.warnings.map(({ kind }) => kind), ["loss"]);
  const epochs = stored.topics.map(({ info }) => info.epoch);
  assertEquals(stored.topics.map(({ info: { name }, next }) => [name, next]), [["foo", 30], ["bar", 15]]);
  for (const epoch of [foo.epoch, bar.epoch]) assert(!epochs.includes(epoch));
  assertNotEquals(epochs[0], epochs[1]);
  const { info, groups, delayed, answers } = storedTopic(stored, "foo");
  assertEquals([groups.length, delayed.length, answers.length], [1, 1, 1]);
  assertEquals((await textsOf(store, info)).length, 27);
  assertEquals(await store.append(appendOf(info, "more")), 30);
  await store.close();
  // That was once: it is whole again.
  await original.with((_, stored) => assertEquals(stored.topics.map(({ info }) => info.epoch), epochs));
});

Deno.test("SqliteStore with acceptLoss keeps every row that can be read of a damaged file, and the file", async () => {
  await using original = await killed();
  await original.with(() => {});
  const bytes = Deno.readFileSync(original.file(DATABASE));
  const whole = keptIn(original);
  // If nothing says any more that they were dropped, they are there again.
  const droppedOnce = /^foo (0 0 0|1 x{30}|5 x{30})$/;
  let refused = 0;
  for (let at = 0; at < bytes.length; at += PAGE_BYTES) {
    await using copy = new TestDirectory();
    Deno.mkdirSync(copy.path, { mode: 0o700 });
    const damaged = bytes.slice();
    damaged.fill(0xff, at + 100, at + PAGE_BYTES);
    Deno.writeFileSync(copy.file(DATABASE), damaged, { mode: 0o600 });
    Deno.copyFileSync(original.file("head"), copy.file("head"));
    Deno.chmodSync(copy.file("head"), 0o600);
    if (outcomeOf(copy) !== "store_damaged") continue;
    refused++;
    const { texts } = keptIn(copy, true);
    for (const text of texts) assert(whole.texts.includes(text) || droppedOnce.test(text), text);
    assert([...Deno.readDirSync(copy.path)].some(({ name }) => name.startsWith("journal.db.damaged-")));
    // It is whole again.
    assertEquals(keptIn(copy).texts, texts);
    assertEquals((await checkJournal(copy.path)).problems, []);
  }
  assertGreater(refused, 8);
});

Deno.test("SqliteStore with acceptLoss says where it keeps the damaged file, for nobody else to read", async () => {
  await using directory = await killed();
  await directory.with(() => {});
  const bytes = Deno.readFileSync(directory.file(DATABASE)).fill(0xff, 100);
  Deno.writeFileSync(directory.file(DATABASE), bytes);
  if (hasModes) Deno.chmodSync(directory.file(DATABASE), 0o700);
  await directory.open({ acceptLoss: true });
  const kept = directory.file(`${DATABASE}.damaged-${NOW_MS}`);
  const [warning] = directory.warnings;
  assert(warning?.kind === "loss", "no loss is told");
  assertStringIncludes(warning.message, `what there was is kept as "${kept}"`);
  assertEquals(Deno.readFileSync(kept), bytes);
  if (hasModes) assertEquals(Deno.statSync(kept).mode! & 0o777, 0o600);
});

Deno.test("checkJournal tells what there is, and changes nothing", async () => {
  await using original = await killed();
  Deno.writeTextFileSync(original.file("lock"), "1\n", { mode: 0o600 });
  const files = () =>
    [...Deno.readDirSync(original.path)].map(({ name }) => [name, Deno.readFileSync(original.file(name))]);
  const before = files();
  const report = await checkJournal(original.path);
  assertEquals({ ...report, bytes: 0 }, {
    topics: 2,
    messages: 57 + 30,
    bytes: 0,
    groups: 1,
    scheduled: 2,
    damaged: 0,
    missing: 0,
    problems: [],
  });
  assertEquals(files(), before);
  const stored = await original.with((_, { topics }) => topics);
  const sum = (bytes: Uint32Array) => bytes.reduce((sum, each) => sum + each, 0);
  assertEquals(stored.map(({ index }) => sum(index.bytes)).reduce((a, b) => a + b), report.bytes);
});

Deno.test("checkJournal finds what is damaged, and what is missing", async () => {
  await using original = await killed();
  await original.with(() => {});
  const path = original.file(DATABASE);
  const bytes = Deno.readFileSync(path);
  const text = new TextEncoder().encode("bar 1 7");
  const at = bytes.findIndex((_, at) => text.every((byte, n) => bytes[at + n] === byte));
  bytes[at]! ^= 1;
  Deno.writeFileSync(path, bytes);
  const report = await checkJournal(original.path);
  assertEquals([report.messages, report.damaged, report.missing], [87, 1, 0]);
  assertEquals(report.problems, ['message 22 of "bar" is damaged']);
  // It can be used all the same; nobody gets that message.
  await original.with(async (store, stored) => {
    const texts = await textsOf(store, storedTopic(stored, "bar").info);
    assertEquals(texts.length, 29);
    assert(!texts.some((text) => text.startsWith("22 ")));
  });
  assertEquals(original.warnings, [{ kind: "damaged", topic: "bar", ids: [22] }]);
  Deno.removeSync(original.file("head"));
  assertEquals((await checkJournal(original.path)).problems.length, 2);
});

Deno.test("checkJournal refuses a journal that is in use, and what is none", async () => {
  await using directory = new TestDirectory();
  const code = async (path: string) => (await assertRejects(() => checkJournal(path)) as { code?: ErrorCode }).code;
  assertEquals(await code(directory.path), "store_damaged");
  const { store } = await directory.open();
  assertEquals(await code(directory.path), "store_locked");
  assertEquals(await code(directory.file(DATABASE)), "store_locked");
  await store.close();
  Deno.writeTextFileSync(directory.beside("text"), "no journal");
  assertEquals(await code(directory.beside("text")), "store_damaged");
});

Deno.test("checkJournal of a file that is not there says no more than that", async () => {
  await using directory = new TestDirectory();
  const path = directory.beside("nothing.db");
  assertEquals((await assertRejects(() => checkJournal(path)) as Error).message, `There is no journal "${path}"`);
});

Deno.test("checkJournal with few permissions needs none to write, and with all writes nothing", async () => {
  await using directory = await killed();
  const script = directory.beside("check.ts");
  const module = JSON.stringify(new URL("../../lib/store/sqlite.ts", import.meta.url).href);
  const path = JSON.stringify(directory.path);
  Deno.writeTextFileSync(
    script,
    `import { checkJournal } from ${module};
     const { messages, problems } = await checkJournal(${path});
     console.log(messages, problems.length);`,
  );
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const index = directory.file(`${DATABASE}-shm`);
  for (const permission of ["--allow-read", "--allow-all"]) {
    // Where there is a directory, SQLite can't make a file.
    if (permission === "--allow-all" && hasModes) Deno.mkdirSync(index);
    const args = ["run", "--quiet", "--no-check", "--no-prompt", `--config=${config}`, permission, script];
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), { args }).output();
    assertEquals(new TextDecoder().decode(stdout), "87 0\n", new TextDecoder().decode(stderr));
    if (permission === "--allow-read") Deno.removeSync(index);
  }
});
