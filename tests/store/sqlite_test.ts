import type { Store } from "../../lib/bus/store.ts";
import { SqliteStore } from "../../lib/store/sqlite.ts";
import { assertEquals } from "../deps.ts";
import { testStore } from "../store_suite.ts";
import { NOW_MS, TestDirectory } from "./journals.ts";

/** Where each store has its journal. */
const directories = new WeakMap<Store, string>();
const roots: string[] = [];

async function openIn(directory: string): Promise<SqliteStore> {
  const store = await SqliteStore.create({ directory, now: () => NOW_MS });
  directories.set(store, directory);
  return store;
}

function make(): Promise<SqliteStore> {
  const root = Deno.makeTempDirSync({ prefix: "msgbus-journal-" });
  roots.push(root);
  return openIn(`${root}/data`);
}

testStore("SqliteStore", make, async (store) => {
  await store.close();
  return await openIn(directories.get(store)!);
});

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
