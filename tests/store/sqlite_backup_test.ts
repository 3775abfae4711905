import { checkJournal } from "../../lib/store/sqlite.ts";
import { codeOfRejection } from "../bus/error_code.ts";
import { assert, assertEquals, assertNotEquals } from "../deps.ts";
import { appendOf, NO_COUNTS, storedTopic, TestDirectory, textsOf, topicOf } from "./journals.ts";

const foo = topicOf("foo");

Deno.test("SqliteStore.backup copies everything while it is in use, and a restored copy has other epochs, once", async () => {
  await using directory = new TestDirectory();
  const backup = directory.beside("backup.db");
  const { store } = await directory.open();
  for (let n = 0; n < 50; n++) await store.append(appendOf(foo, `${n}`, "x".repeat(5000)));
  await store.note(foo, { group: "g", next: 7, unacked: [{ id: 3, attempt: 2 }], done: [], counts: NO_COUNTS });
  const copying = store.backup(backup);
  const later = Array.from({ length: 50 }, (_, n) => store.append(appendOf(foo, `later ${n}`)));
  await Promise.all([copying, ...later]);
  assertEquals(await store.append(appendOf(foo, "after")), 150);
  await store.close();

  const report = await checkJournal(backup);
  assertEquals([report.topics, report.groups, report.problems], [1, 1, []]);
  assert(report.messages >= 100 && report.messages <= 150);

  await using restored = new TestDirectory();
  Deno.mkdirSync(restored.path, { mode: 0o700 });
  Deno.copyFileSync(backup, restored.file("journal.db"));
  // Of another journal: what it says has no meaning for a copy.
  Deno.copyFileSync(directory.file("head"), restored.file("head"));
  let epoch = "";
  await restored.with(async (store, stored) => {
    const { info, next, groups } = storedTopic(stored, "foo");
    epoch = info.epoch;
    assertNotEquals(epoch, foo.epoch);
    assertEquals(stored.lastCreatedMs, info.createdMs);
    assertEquals([next, groups[0]!.next, groups[0]!.unacked.length], [report.messages, 7, 1]);
    assertEquals((await textsOf(store, info)).length, report.messages);
    assertEquals(await store.append(appendOf(info, "z")), report.messages);
  });
  await restored.with((_, stored) => assertEquals(storedTopic(stored, "foo").info.epoch, epoch));
  // The original is none.
  await directory.with((_, stored) => assertEquals(storedTopic(stored, "foo").info.epoch, foo.epoch));
});

Deno.test("SqliteStore.backup refuses a file that is there, and goes on", async () => {
  await using directory = new TestDirectory();
  const { store } = await directory.open();
  await store.append(appendOf(foo, "a"));
  Deno.writeTextFileSync(directory.beside("there"), "mine");
  for (const name of ["there", "no/directory"]) {
    assertEquals(await codeOfRejection(store.backup(directory.beside(name))), "store_unwritable");
  }
  assertEquals(Deno.readTextFileSync(directory.beside("there")), "mine");
  assertEquals(await store.append(appendOf(foo, "b")), 1);
});
