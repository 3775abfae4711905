import { MessageBus } from "../../lib/bus/bus.ts";
import type { Store } from "../../lib/bus/store.ts";
import { SqliteStore } from "../../lib/store/sqlite.ts";
import { directoryOf } from "../../lib/store/journal_file.ts";
import { codeOfRejection } from "../bus/error_code.ts";
import { assert, assertEquals, assertLess } from "../deps.ts";
import { testStore } from "../store_suite.ts";
import { appendOf, NOW_MS, TestDirectory, textsOf, topicOf } from "./journals.ts";

/** Where each store has its journal. */
const directories = new WeakMap<Store, string>();
const roots: string[] = [];

async function openIn(directory: string, thread: "here" | "worker"): Promise<SqliteStore> {
  const store = await SqliteStore.create({ directory, thread, now: () => NOW_MS });
  directories.set(store, directory);
  return store;
}

for (const thread of ["here", "worker"] as const) {
  const make = () => {
    const root = Deno.makeTempDirSync({ prefix: "msgbus-journal-" });
    roots.push(root);
    return openIn(`${root}/data`, thread);
  };
  testStore(`SqliteStore, its journal ${thread === "here" ? "on this thread" : "in a worker"}`, make, async (store) => {
    await store.close();
    return await openIn(directories.get(store)!, thread);
  });
}

Deno.test.afterAll(() => {
  for (const root of roots) Deno.removeSync(root, { recursive: true });
});

Deno.test("SqliteStore promises that what it has answered is on the disk, and reads it back", async () => {
  await using directory = new TestDirectory();
  const { store: { durability, synchronous, readsBack, refusal } } = await directory.open();
  assertEquals({ durability, synchronous, readsBack, refusal }, {
    durability: "synced",
    synchronous: false,
    readsBack: true,
    refusal: undefined,
  });
});

Deno.test("SqliteStore does one read of several messages in a turn of the event loop on its own thread", async () => {
  await using directory = new TestDirectory();
  const { store } = await directory.open({ thread: "here" });
  const topic = topicOf("foo");
  await store.append(appendOf(topic, "a", "b"));
  let answered = 0;
  const reads = Array.from({ length: 5 }, () => store.read(topic, { first: 0, last: 1 }).then(() => answered++));
  const done = Promise.all(reads);
  while (answered < reads.length) {
    const before = answered;
    await new Promise<void>((resolve) => setImmediate(resolve));
    assertLess(answered - before, 2);
  }
  await done;
});

for (const thread of ["here", "worker"] as const) {
  Deno.test(`SqliteStore stores what comes before it has done all reads that were asked for (${thread})`, async () => {
    await using directory = new TestDirectory();
    const { store } = await directory.open({ thread });
    const topic = topicOf("foo");
    for (let n = 0; n < 8; n++) await store.append(appendOf(topic, "a".repeat(60_000), "b"));
    let answered = 0;
    const reads = Array.from({ length: 200 }, () => textsOf(store, topic).finally(() => answered++));
    await store.append(appendOf(topic, "c"));
    assertLess(answered, reads.length);
    for (const texts of await Promise.all(reads)) assert(texts.length >= 16);
    // Those whose turn has not come when it ends are answered, too.
    const late = Array.from({ length: 20 }, () => store.read(topic, { first: 0, last: 1 }));
    const outcomes = Promise.allSettled(late);
    await store.close();
    assertEquals((await outcomes).length, late.length);
    assertEquals(await codeOfRejection(store.read(topic, { first: 0, last: 1 })), "already_closed");
  });
}

Deno.test("SqliteStore is for one bus: a second one is told so", async () => {
  await using directory = new TestDirectory();
  const store = await SqliteStore.create({ directory: directory.path });
  {
    await using _bus = await MessageBus.open({ store });
    assertEquals(await codeOfRejection(MessageBus.open({ store })), "already_closed");
  }
  assertEquals(await codeOfRejection(MessageBus.open({ store })), "already_closed");
});

Deno.test("directoryOf is where a file is, whether or not its path says so", () => {
  const paths = ["bus.db", "./bus.db", "a/bus.db", "/bus.db", "/a/b/bus.db"];
  assertEquals(paths.map(directoryOf), [".", ".", "a", "/", "/a/b"]);
});

for (const thread of ["here", "worker"] as const) {
  Deno.test(`SqliteStore acknowledges nothing that is stored in a file that was deleted or replaced (${thread})`, async () => {
    for (
      const [name, isReplaced] of [["journal.db", false], ["journal.db", true], ["journal.db-wal", false]] as const
    ) {
      await using directory = new TestDirectory();
      const fatal: string[] = [];
      let nowMs = NOW_MS;
      const onFatal = ({ code }: { code: string }) => void fatal.push(code);
      const { store } = await directory.open({ thread, onFatal, now: () => nowMs });
      await store.append(appendOf(topicOf("foo"), "a"));
      const path = directory.file(name);
      if (isReplaced) Deno.copyFileSync(path, directory.beside("copy"));
      Deno.removeSync(path);
      if (isReplaced) Deno.renameSync(directory.beside("copy"), path);
      nowMs += 1001;
      assertEquals(await codeOfRejection(store.append(appendOf(topicOf("foo"), "b"))), "store_failed");
      assertEquals([fatal, store.refusal?.code], [["store_failed"], "store_failed"]);
    }
  });
}
