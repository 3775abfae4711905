import { epochOf } from "../../lib/message.ts";
import { pathsIn } from "../../lib/store/directory.ts";
import { SqliteStore } from "../../lib/store/sqlite.ts";
import { assertEquals, assertGreaterOrEqual, assertRejects } from "../deps.ts";
import { scratch } from "./strace.ts";

const PAGE_BYTES = 4096;
const MESSAGES = 60;

Deno.test("SqliteStore with --accept-loss has everything again but what was in the damaged page", async () => {
  using scratched = scratch();
  const directory = `${scratched.path}/data`;
  const createdMs = Date.parse("2050-03-25T13:18:38.732Z");
  const topic = { name: "t", ttlMs: 0, createdMs, epoch: epochOf(createdMs) };
  const store = await SqliteStore.create({ directory });
  store.open();
  for (let id = 0; id < MESSAGES; id++) {
    await store.append({ topic, expectedId: id, payloads: [new Uint8Array(PAGE_BYTES - 96)], createdMs });
  }
  await store.close();

  const { database } = pathsIn(directory);
  using file = Deno.openSync(database, { write: true });
  const pages = file.statSync().size / PAGE_BYTES;
  file.seekSync(Math.floor(pages / 2) * PAGE_BYTES, Deno.SeekMode.Start);
  file.writeSync(new Uint8Array(PAGE_BYTES).fill(255));

  await assertRejects(() => SqliteStore.create({ directory }), Error, "damaged");
  const salvaged = await SqliteStore.create({ directory, acceptLoss: true });
  try {
    const [kept] = salvaged.open().topics;
    assertEquals(kept!.next, MESSAGES);
    assertGreaterOrEqual(kept!.index.ids.length, MESSAGES - 2);
  } finally {
    await salvaged.close();
  }
});
