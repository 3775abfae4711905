import type { ErrorCode } from "../../lib/errors.ts";
import { openingFailureOf } from "../../lib/store/journal_file.ts";
import { codeOfRejection } from "../bus/error_code.ts";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "../deps.ts";
import { symlink } from "../processes.ts";
import { appendOf, storedTopic, TestDirectory, textsOf, topicOf } from "./journals.ts";

const foo = topicOf("foo");
const FILES = ["journal.db", "head", "lock"];
const hasModes = Deno.build.os !== "windows";

function modeOf(path: string): number {
  return Deno.statSync(path).mode! & 0o777;
}

/** Whether this user may give files to others; hardly anybody but root may. */
function canGiveAway(): boolean {
  const path = Deno.makeTempFileSync();
  try {
    Deno.chownSync(path, 12345, null);
    return hasModes;
  } catch {
    return false;
  } finally {
    Deno.removeSync(path);
  }
}

/** A directory with a journal of one message. */
async function madeDirectory(): Promise<TestDirectory> {
  const directory = new TestDirectory();
  await directory.with((store) => store.append(appendOf(foo, "a")));
  return directory;
}

Deno.test({
  name: "SqliteStore makes a directory and files that nobody else may use",
  ignore: !hasModes,
  async fn() {
    await using directory = new TestDirectory();
    await directory.with(async (store) => {
      await store.append(appendOf(foo, "a"));
      assertEquals(modeOf(directory.path), 0o700);
      for (const name of [...FILES, "journal.db-wal"]) {
        assertEquals([name, modeOf(directory.file(name))], [name, 0o600]);
      }
      await store.backup(directory.beside("backup"));
      assertEquals(modeOf(directory.beside("backup")), 0o600);
    });
  },
});

Deno.test({
  name: "SqliteStore refuses a directory and files that others may use, and says what to do",
  ignore: !hasModes,
  async fn() {
    for (
      const [name, mode, command] of [["", 0o755, "chmod 700 "], ...FILES.map((name) => [name, 0o640, "chmod 600 "])]
    ) {
      await using directory = await madeDirectory();
      const path = name === "" ? directory.path : directory.file(name as string);
      Deno.chmodSync(path, mode as number);
      const error = await assertRejects(() => directory.open());
      assertEquals([(error as { code?: ErrorCode }).code, modeOf(path)], ["store_exposed", mode]);
      assertStringIncludes((error as Error).message, `(${command}${path})`);
      const [program, ...args] = `${command}${path}`.split(" ");
      assertEquals(program, "chmod");
      Deno.chmodSync(args[1]!, parseInt(args[0]!, 8));
      await directory.with((_, { topics }) => assertEquals(topics.length, 1));
    }
  },
});

Deno.test({
  name: "SqliteStore refuses symbolic links, dangling or not, and follows none",
  ignore: !hasModes,
  async fn() {
    for (const name of ["", ...FILES]) {
      for (const isDangling of [false, true]) {
        await using directory = await madeDirectory();
        const path = name === "" ? directory.path : directory.file(name);
        const target = directory.beside("target");
        Deno.renameSync(path, target);
        if (isDangling) Deno.removeSync(target, { recursive: true });
        await symlink(target, path);
        const error = await assertRejects(() => directory.open());
        assertEquals((error as { code?: ErrorCode }).code, "store_exposed");
        const repair = name === "" ? "name that one" : "put the file itself in its place";
        assertStringIncludes((error as Error).message, `is a symbolic link to "${target}"; ${repair}`);
        if (!isDangling) continue;
        assertEquals([...Deno.readDirSync(directory.beside(""))].some(({ name }) => name === "target"), false);
      }
    }
  },
});

Deno.test({
  name: "SqliteStore refuses what belongs to another user",
  ignore: !canGiveAway(),
  async fn() {
    for (const name of ["", ...FILES]) {
      await using directory = await madeDirectory();
      Deno.chownSync(name === "" ? directory.path : directory.file(name), 12345, null);
      const error = await assertRejects(() => directory.open());
      assertEquals((error as { code?: ErrorCode }).code, "store_exposed");
      assertStringIncludes((error as Error).message, "sudo -u '#12345'");
    }
  },
});

Deno.test({
  name: "SqliteStore has no directory closed in which others have files, or may make some",
  ignore: !hasModes,
  async fn() {
    for (const [mode, name] of [[0o1777, "head"], [0o755, "photo.jpg"]] as const) {
      await using directory = new TestDirectory();
      Deno.mkdirSync(directory.path);
      Deno.writeTextFileSync(directory.file(name), "");
      Deno.chmodSync(directory.path, mode);
      const { message } = await assertRejects(() => directory.open()) as Error;
      assertStringIncludes(message, "make a directory of its own");
      assertEquals(message.includes("chmod"), false);
    }
  },
});

Deno.test("openingFailureOf: a file that may not be written, or on a disk that is read only, is unwritable", () => {
  const readOnly = Object.assign(new Error("Read-only file system"), { code: "EROFS" });
  const noRoom = Object.assign(new Error("disk I/O error"), { errcode: 4874 });
  const codes = [new Deno.errors.PermissionDenied("no"), readOnly, noRoom].map((each) =>
    openingFailureOf(each, "a").code
  );
  assertEquals(codes, ["store_unwritable", "store_unwritable", "disk_full"]);
});

Deno.test("SqliteStore says that a directory can't be made, or is none", async () => {
  await using directory = new TestDirectory();
  assertEquals(await codeOfRejection(directory.open({ directory: directory.beside("a/b") })), "store_unwritable");
  Deno.writeTextFileSync(directory.path, "", { mode: 0o600 });
  assertEquals(await codeOfRejection(directory.open()), "store_unwritable");
  Deno.removeSync(directory.path);
  Deno.mkdirSync(directory.path, { mode: 0o700 });
  Deno.mkdirSync(directory.file("journal.db"));
  assertEquals(await codeOfRejection(directory.open()), "store_unwritable");
});

Deno.test("SqliteStore uses a directory alone, and says who uses it", async () => {
  await using directory = new TestDirectory();
  const { store } = await directory.open();
  await store.append(appendOf(foo, "a"));
  const error = await assertRejects(() => directory.open());
  assertEquals((error as { code?: ErrorCode }).code, "store_locked");
  assertStringIncludes((error as Error).message, `process ${Deno.pid}`);
  await store.append(appendOf(foo, "b"));
  await store.close();
  await directory.with((_, stored) => assertEquals(storedTopic(stored, "foo").next, 2));
});

Deno.test("SqliteStore in another process is kept out, and keeps everything when it is killed", async () => {
  await using directory = new TestDirectory();
  const script = directory.beside("other.ts");
  const module = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
  Deno.writeTextFileSync(
    script,
    `import { SqliteStore } from ${module("../../lib/store/sqlite.ts")};
     import { appendOf, topicOf } from ${module("./journals.ts")};
     const store = await SqliteStore.create({ directory: ${JSON.stringify(directory.path)} });
     store.open();
     const topic = topicOf("foo");
     for (let n = 0; n < 100; n++) await store.append(appendOf(topic, \`\${n}\`));
     console.log("ready");
     for (;;) await store.append(appendOf(topic, "more"));`,
  );
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-check",
      "--no-prompt",
      `--config=${config}`,
      "--allow-read",
      "--allow-write",
      script,
    ],
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  assertEquals(new TextDecoder().decode((await reader.read()).value), "ready\n");
  const error = await assertRejects(() => directory.open());
  assertEquals((error as { code?: ErrorCode }).code, "store_locked");
  assertStringIncludes((error as Error).message, `process ${child.pid}`);
  child.kill("SIGKILL");
  await child.status;
  await reader.cancel();
  await directory.with(async (store, stored) => {
    const texts = await textsOf(store, storedTopic(stored, "foo").info);
    assert(texts.length >= 100);
    assertEquals(texts, texts.map((_, n) => `${n} ${n < 100 ? n : "more"}`));
  });
});
