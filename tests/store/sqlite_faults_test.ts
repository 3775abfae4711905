import type { BusError } from "../../lib/errors.ts";
import type { SqliteStore, StoreWarning } from "../../lib/store/sqlite.ts";
import { faultyDatabase } from "./faulty_database.ts";
import { codeOfRejection } from "../bus/error_code.ts";
import { assert, assertEquals, assertStringIncludes } from "../deps.ts";
import { appendOf, NO_COUNTS, NOW_MS, storedTopic, TestDirectory, textsOf, topicOf } from "./journals.ts";

const foo = topicOf("foo");
const NOTE = { group: "", next: 1, unacked: [], done: [], counts: NO_COUNTS };

/** A store whose disk fails when it is told to. */
class FaultyStore implements AsyncDisposable {
  readonly directory = new TestDirectory();
  readonly fatal: BusError[] = [];
  readonly warnings: string[] = [];
  readonly #control: string;
  // What a store does later doesn't keep a process alive.
  readonly #alive = setInterval(() => {}, 60_000);
  #bell = Promise.withResolvers<void>();
  store!: SqliteStore;

  private constructor() {
    this.#control = this.directory.beside("fault");
  }

  static async open(thread: "here" | "worker"): Promise<FaultyStore> {
    const faulty = new FaultyStore();
    const workerUrl = new URL("./faulty_worker.ts", import.meta.url);
    workerUrl.searchParams.set("control", faulty.#control);
    const ring = () => {
      faulty.#bell.resolve();
      faulty.#bell = Promise.withResolvers();
    };
    const { store } = await faulty.directory.open({
      thread,
      workerUrl,
      openDatabase: (path, options) => faultyDatabase(path, options, faulty.#control),
      onWarning: ({ kind }: StoreWarning) => {
        faulty.warnings.push(kind);
        ring();
      },
      onFatal: (error) => {
        faulty.fatal.push(error);
        ring();
      },
    });
    faulty.store = store;
    return faulty;
  }

  /** What the disk says from now on; nothing if it is well. */
  say(fault: string): void {
    Deno.writeTextFileSync(this.#control, fault);
  }

  /** Resolves when the store has said something. */
  async told(kind: string): Promise<void> {
    while (!this.warnings.includes(kind) && !(kind === "fatal" && this.fatal.length > 0)) await this.#bell.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#alive);
    await this.directory[Symbol.asyncDispose]();
  }
}

for (const [thread, where] of [["here", "on this thread"], ["worker", "in a worker"]] as const) {
  Deno.test(`SqliteStore on a full disk refuses with disk_full, takes no id, reads, and heals by itself, ${where}`, async () => {
    await using faulty = await FaultyStore.open(thread);
    const { store } = faulty;
    await store.append(appendOf(foo, "a"));
    for (const fault of ["full", "13"]) {
      faulty.warnings.length = 0;
      assertEquals(store.refusal, undefined);
      faulty.say(fault);
      const refused = await Promise.all([
        codeOfRejection(store.append(appendOf(foo, "lost ".repeat(5000)))),
        codeOfRejection(store.append(appendOf(topicOf("new", foo.createdMs + 1), "lost".repeat(5000)))),
        codeOfRejection(store.note(foo, NOTE)),
        codeOfRejection(store.delay({ topic: foo, token: "t", dueMs: 1, payload: new Uint8Array(9) })),
        codeOfRejection(store.remove(foo, 0)),
      ]);
      assertEquals(refused, Array(5).fill("disk_full"));
      assertEquals(store.refusal?.code, "disk_full");
      assertEquals(await codeOfRejection(store.append(appendOf(foo, "lost"))), "disk_full");
      assertEquals((await textsOf(store, foo))[0], "0 a");
      faulty.say("");
      await faulty.told("healed");
    }
    assertEquals(await Promise.all([store.append(appendOf(foo, "b")), store.append(appendOf(foo, "c"))]), [1, 2]);
    await store.delay({ topic: foo, token: "t", dueMs: 1, payload: new Uint8Array(9) });
    await store.close();
    assertEquals(faulty.fatal, []);
    await faulty.directory.with(async (store, stored) => {
      assertEquals(stored.topics.length, 1);
      const { info, groups, delayed } = storedTopic(stored, "foo");
      assertEquals([groups.length, delayed.length], [0, 1]);
      assertEquals(await textsOf(store, info), ["0 a", "1 b", "2 c"]);
    });
  });

  Deno.test(`SqliteStore on a full disk: what has left a log is told again when there is room, ${where}`, async () => {
    await using faulty = await FaultyStore.open(thread);
    const { store } = faulty;
    await store.append(appendOf(foo, "a", "b", "c"));
    faulty.say("13");
    store.drop(foo, { before: 1, ids: [2], lostMs: 0, limit: undefined });
    await faulty.told("full");
    faulty.say("");
    await faulty.told("healed");
    await store.close();
    await faulty.directory.with((_, stored) => assertEquals([...storedTopic(stored, "foo").index.ids], [1]));
  });

  for (
    const [what, fault] of [["an fsync fails", "1034"], ["a write fails", "778"], ["it is damaged", "11"]] as const
  ) {
    Deno.test(`SqliteStore, when ${what}, takes nothing more, and says so once, ${where}`, async () => {
      await using faulty = await FaultyStore.open(thread);
      const { store } = faulty;
      await store.append(appendOf(foo, "a"));
      faulty.say(fault);
      const reading = codeOfRejection(
        store.read(foo, { first: 0, last: 9 }).then(() => store.append(appendOf(foo, "x"))),
      );
      const failed = [store.append(appendOf(foo, "b")), store.note(foo, NOTE)];
      assertEquals(await Promise.all(failed.map(codeOfRejection)), ["store_failed", "store_failed"]);
      assertEquals(await reading, "store_failed");
      // Whatever the disk says now: what it has lost is not known.
      faulty.say("");
      const later = [
        store.append(appendOf(foo, "c")),
        store.note(foo, NOTE),
        store.forget(foo, ""),
        store.delay({ topic: foo, token: "t", dueMs: 1, payload: new Uint8Array() }),
        store.cancel(foo, "t"),
        store.remove(foo, 0),
        store.read(foo, { first: 0, last: 9 }),
        store.backup(faulty.directory.beside("backup")),
      ];
      store.drop(foo, { before: 1, ids: [], lostMs: 0, limit: undefined });
      assertEquals(await Promise.all(later.map(codeOfRejection)), Array(8).fill("store_failed"));
      assertEquals(store.refusal?.code, "store_failed");
      await store.close();
      assertEquals(faulty.fatal.map(({ code }) => code), ["store_failed"]);
      // On this thread the database stays open until the process ends: to close it would be to write.
      if (thread === "here") return;
      await faulty.directory.with(async (store, stored) => {
        assertEquals(await textsOf(store, storedTopic(stored, "foo").info), ["0 a"]);
      });
    });
  }

  Deno.test(`SqliteStore takes nothing more when its file was deleted, ${where}`, async () => {
    await using faulty = await FaultyStore.open(thread);
    const { store } = faulty;
    await store.append(appendOf(foo, "a"));
    Deno.removeSync(faulty.directory.file("journal.db"));
    let last = "";
    // It is looked for when the log is moved to its place.
    for (let n = 0; n < 1000 && last === ""; n++) {
      await store.append(appendOf(foo, "x".repeat(100_000))).catch((error) => last = error.code);
    }
    assertEquals(last, "store_failed");
    assertStringIncludes(store.refusal!.message, "was deleted");
    assertEquals(faulty.fatal.length, 1);
  });
}

Deno.test("SqliteStore, when its worker dies, takes nothing more, and says so once", async () => {
  await using faulty = await FaultyStore.open("worker");
  const { store } = faulty;
  await store.append(appendOf(foo, "a"));
  faulty.say("crash");
  await store.append(appendOf(foo, "b")).catch(() => {});
  await faulty.told("fatal");
  assertEquals(await codeOfRejection(store.append(appendOf(foo, "c"))), "store_failed");
  assertStringIncludes(faulty.fatal[0]!.message, "Nobody has thought of this");
  await store.close();
  assertEquals(faulty.fatal.length, 1);
});

Deno.test("SqliteStore moves to a worker when the disk gets slow, goes on there, and says so once", async () => {
  await using faulty = await FaultyStore.open("here");
  const { store, directory } = faulty;
  const ids = [await store.append(appendOf(foo, "a"))];
  faulty.say("slow");
  const later: Promise<number>[] = [];
  const first = store.append(appendOf(foo, "b"));
  for (let i = 0; i < 10; i++) later.push(first.then(() => store.append(appendOf(foo, "c"))));
  const read = first.then(() => store.read(foo, { first: 0, last: 1 }));
  ids.push(await first, ...await Promise.all(later));
  assertEquals(ids, Array.from({ length: 12 }, (_, id) => id));
  assertEquals((await read).map(({ id }) => id), [0, 1]);
  faulty.say("");
  assertEquals(await store.append(appendOf(foo, "d")), 12);
  assertEquals([faulty.warnings, faulty.fatal], [["slow"], []]);
  await store.close();
  await directory.with(async (store, stored) => {
    assertEquals((await textsOf(store, storedTopic(stored, "foo").info)).length, 13);
  });
});

Deno.test("SqliteStore refuses with overloaded what would wait beyond its limits, and takes it again later", async () => {
  await using directory = new TestDirectory();
  const { store } = await directory.open();
  const many = Array.from({ length: 10_000 }, () => store.append(appendOf(foo, "")));
  const refused = [
    store.append(appendOf(foo, "a")),
    store.note(foo, NOTE),
    store.forget(foo, ""),
    store.delay({ topic: foo, token: "t", dueMs: 1, payload: new Uint8Array() }),
  ];
  assertEquals(await Promise.all(refused.map(codeOfRejection)), Array(4).fill("overloaded"));
  assertEquals((await Promise.all(many)).at(-1), 9999);
  // Not added to the one that was refused.
  await store.note(foo, { ...NOTE, next: 2 });
  assertEquals(await store.append(appendOf(foo, "a")), 10_000);
  const payload = new Uint8Array(33 * 1024 ** 2);
  const large = [0, 1, 2].map(() => store.append({ ...appendOf(foo), payloads: [payload] }));
  const outcomes = await Promise.allSettled(large);
  assertEquals(outcomes.map(({ status }) => status), ["fulfilled", "fulfilled", "rejected"]);
  await store.close();
  await directory.with((_, stored) => assertEquals(storedTopic(stored, "foo").groups.map(({ next }) => next), [2]));
});

Deno.test("SqliteStore.close stores what waits, and then nothing is taken", async () => {
  await using directory = new TestDirectory();
  const { store } = await directory.open();
  await store.append(appendOf(foo, "a"));
  store.drop(foo, { before: 1, ids: [], lostMs: 0, limit: undefined });
  const answers = [store.append(appendOf(foo, "b")), store.append(appendOf(foo, "c"))];
  const closing = store.close();
  assert(closing === store.close());
  const refused = [
    store.append(appendOf(foo, "d")),
    store.note(foo, NOTE),
    store.read(foo, { first: 0, last: 1 }),
    store.backup(directory.beside("backup")),
  ];
  assertEquals(await Promise.all(refused.map(codeOfRejection)), Array(4).fill("already_closed"));
  assertEquals(await Promise.all(answers), [1, 2]);
  await closing;
  await directory.with(async (store, stored) => {
    assertEquals(await textsOf(store, storedTopic(stored, "foo").info), ["1 b", "2 c"]);
  });
});

Deno.test("SqliteStore.close, when the disk gets full by it, refuses what waits and leaves no timer behind", async () => {
  await using faulty = await FaultyStore.open("here");
  const { store } = faulty;
  faulty.say("13");
  const refused = codeOfRejection(store.append(appendOf(foo, "a")));
  await store.close();
  assertEquals(await refused, "disk_full");
  assertEquals([faulty.warnings, faulty.fatal], [["full"], []]);
});

Deno.test("SqliteStore: what has left the logs of very many topics takes no room of what else waits, and is told whole", async () => {
  await using directory = new TestDirectory();
  const { store } = await directory.open();
  const topics = Array.from({ length: 10_001 }, (_, n) => topicOf(`t${n}`, NOW_MS + n));
  await Promise.all(topics.slice(0, 5000).map((topic) => store.append(appendOf(topic, "a"))));
  await Promise.all(topics.slice(5000).map((topic) => store.append(appendOf(topic, "a"))));
  for (const topic of topics) store.drop(topic, { before: 1, ids: [], lostMs: NOW_MS, limit: undefined });
  await store.close();
  await directory.with((_, stored) => {
    assertEquals([stored.topics.length, stored.topics.filter(({ index }) => index.ids.length > 0).length], [10_001, 0]);
  });
});
