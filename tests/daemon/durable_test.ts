/**
 * What msgbusd keeps with --data, as a process of its own that is ended and started again.
 *
 * @module
 */

import { assert, assertEquals, assertMatch, assertStringIncludes } from "../deps.ts";
import { msgbus, PROGRAM_PERMISSIONS, symlink } from "../processes.ts";
import { type Daemon, daemon, ending } from "./daemon.ts";

/** A folder for data that nobody else has. */
async function folder(): Promise<AsyncDisposable & { path: string; data: string }> {
  const path = await Deno.makeTempDir({ prefix: "msgbus-durable-" });
  return { path, data: `${path}/data`, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

/** Asks a server; gives the answer with its body. */
async function ask(
  { port }: Daemon,
  line: string,
  { body, headers }: { body?: string; headers?: Record<string, string> } = {},
): Promise<{ status: number; headers: Headers; text: string }> {
  const [method, target] = line.split(" ") as [string, string];
  const response = await fetch(`http://127.0.0.1:${port}${target}`, { method, body, headers });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

/** Ends a server: in order, or as a crash does. */
async function stop(server: Daemon, signal: "SIGTERM" | "SIGKILL"): Promise<number> {
  server.kill(signal);
  return await server.code;
}

/** The payloads of lines of envelopes. */
function payloadsOf(text: string): string[] {
  return text.trim().split("\n").filter((line) => line !== "").map((line) => atob(JSON.parse(line).payload));
}

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  Deno.test(`msgbusd --data has messages, ids and epochs again after ${signal}`, async () => {
    await using there = await folder();
    await using first = await daemon(["--data", there.data]);
    for (const body of ["a", "b", "c"]) assertEquals((await ask(first, "PUT /orders", { body })).status, 202);
    assertEquals((await ask(first, "PUT /other", { body: "x" })).status, 202);
    const before = await ask(first, "GET /orders?since=earliest");
    const code = await stop(first, signal);
    assertEquals(code, signal === "SIGTERM" ? 0 : 137);
    await using second = await daemon(["--data", there.data]);
    assertEquals(await ask(second, "GET /orders?since=earliest").then(({ text }) => text), before.text);
    assertEquals((await ask(second, "GET /")).text, "orders\nother\n");
    const next = await ask(second, "PUT /orders", { body: "d" });
    assertEquals(next.headers.get("msgbus-id"), "3");
    assertEquals(next.headers.get("msgbus-cursor")!.split("@")[1], before.headers.get("msgbus-next")!.split("@")[1]);
  });

  Deno.test(`msgbusd --data has the queue, groups and leases where they were after ${signal}`, async () => {
    await using there = await folder();
    await using first = await daemon(["--data", there.data]);
    await ask(first, "POST /jobs?split=lines", { body: "a\nb\nc\nd" });
    assertEquals(payloadsOf((await ask(first, "GET /jobs?limit=2")).text), ["a", "b"]);
    const leased = await ask(first, "GET /jobs?group=g&lease=1h&limit=2");
    const [done] = leased.text.trim().split("\n").map((line) => JSON.parse(line).lease);
    assertEquals((await ask(first, "POST /-/ack", { body: done })).status, 200);
    await stop(first, signal);
    await using second = await daemon(["--data", there.data]);
    assertEquals(payloadsOf((await ask(second, "GET /jobs?limit=9")).text), ["c", "d"]);
    // What was leased and not acknowledged comes first, and remembers that it was handed out before.
    const again = (await ask(second, "GET /jobs?group=g&lease=1h&limit=9")).text.trim().split("\n");
    const shown = again.map((line) => JSON.parse(line)).map(({ payload, attempt }) => [atob(payload), attempt]);
    assertEquals(shown, [["b", 2], ["c", 1], ["d", 1]]);
  });

  Deno.test(`msgbusd --data has what is scheduled, and knows repeats, after ${signal}`, async () => {
    await using there = await folder();
    await using first = await daemon(["--data", there.data]);
    const later = await ask(first, "PUT /later?delay=1h", { body: "tea" });
    const key = { "idempotency-key": "k" };
    const once = await ask(first, "PUT /orders", { body: "one", headers: key });
    await stop(first, signal);
    await using second = await daemon(["--data", there.data]);
    const [waits] = JSON.parse((await ask(second, "GET /-/scheduled?topic=later")).text);
    assertEquals(waits.token, later.headers.get("msgbus-scheduled"));
    const repeat = await ask(second, "PUT /orders", { body: "one", headers: key });
    assertEquals(
      [repeat.headers.get("msgbus-duplicate"), repeat.headers.get("msgbus-cursor")],
      ["true", once.headers.get("msgbus-cursor")],
    );
  });
}

Deno.test("msgbusd --data publishes after a restart what became due meanwhile", async () => {
  await using there = await folder();
  await using first = await daemon(["--data", there.data]);
  assertEquals((await ask(first, "PUT /later?delay=1s", { body: "tea" })).status, 202);
  await stop(first, "SIGKILL");
  await using second = await daemon(["--data", there.data]);
  assertEquals(payloadsOf((await ask(second, "GET /later?wait=20s")).text), ["tea"]);
});

Deno.test("a subscriber that comes back with its cursor after a restart of msgbusd --data misses nothing", async () => {
  await using there = await folder();
  await using first = await daemon(["--data", there.data]);
  const { headers } = await ask(first, "PUT /orders", { body: "a" });
  await ask(first, "PUT /orders", { body: "b" });
  await stop(first, "SIGKILL");
  await using second = await daemon(["--data", there.data]);
  const url = `http://127.0.0.1:${second.port}/orders?format=ndjson&since=${headers.get("msgbus-cursor")}`;
  const stream = (await fetch(url)).body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("caught-up")) text += (await stream.read()).value;
  await stream.cancel();
  const lines = text.trim().split("\n").map((line) => JSON.parse(line));
  assertEquals(lines.map(({ id, event }) => id ?? event), [1, "caught-up"]);
});

Deno.test("msgbusd --data says that what it acknowledges is synced, in a header and in the receipt", async () => {
  await using there = await folder();
  await using server = await daemon(["--data", there.data]);
  const plain = await ask(server, "PUT /orders", { body: "a" });
  assertEquals([plain.status, plain.headers.get("msgbus-durability")], [202, "synced"]);
  const receipt = await ask(server, "PUT /orders", { body: "b", headers: { accept: "application/json" } });
  assertEquals(JSON.parse(receipt.text).durability, "synced");
  await using other = await daemon();
  assertEquals((await ask(other, "PUT /orders", { body: "a" })).headers.get("msgbus-durability"), null);
});

Deno.test("msgbusd --data says in the log what it has opened, before it listens", async () => {
  await using there = await folder();
  await using first = await daemon(["--data", there.data, "--log-format", "json"]);
  const opened = JSON.parse(first.firstLine);
  assertEquals([opened.evt, opened.lvl, opened.topics, opened.messages], ["journal_opened", "info", 0, 0]);
  assertEquals([opened.msg, opened.directory], [`new journal in ${there.data}`, there.data]);
  await ask(first, "POST /orders?split=lines", { body: "a\nb" });
  await stop(first, "SIGTERM");
  await using second = await daemon(["--data", there.data]);
  assertMatch(second.firstLine, /journal opened in \S+\/data: 2 messages of 1 topic, [0-9.]+ KiB, in [0-9.]+ s$/);
  assertStringIncludes(second.firstLine, there.data);
});

Deno.test("msgbusd keeps messages for a minute, with --data for a week, and a topic keeps the time it was made with", async () => {
  await using there = await folder();
  await using memory = await daemon();
  await ask(memory, "PUT /orders", { body: "a" });
  assertEquals((await ask(memory, "HEAD /orders")).headers.get("msgbus-ttl"), "1m");
  await using first = await daemon(["--data", there.data]);
  await ask(first, "PUT /orders", { body: "a" });
  assertEquals((await ask(first, "HEAD /orders")).headers.get("msgbus-ttl"), "7d");
  await stop(first, "SIGTERM");
  await using second = await daemon([], { env: { MSGBUSD_DATA: there.data, MSGBUSD_TTL: "1h" } });
  await ask(second, "PUT /another", { body: "a" });
  assertEquals((await ask(second, "HEAD /orders")).headers.get("msgbus-ttl"), "7d");
  assertEquals((await ask(second, "HEAD /another")).headers.get("msgbus-ttl"), "1h");
});

Deno.test("msgbusd --data on a directory that another one has exits with 75 and says which one", async () => {
  await using there = await folder();
  await using server = await daemon(["--data", there.data]);
  const { code, stdout, stderr } = await ending(["--bind", "127.0.0.1:0", "--data", there.data]);
  assertEquals([code, stdout, stderr.length], [75, [], 1]);
  assertStringIncludes(stderr[0]!, there.data);
  assertEquals((await ask(server, "PUT /orders", { body: "a" })).status, 202);
});

/** Directories that msgbusd doesn't start on: how they are made, the exit code, and what the line says. */
const REFUSED: readonly (readonly [what: string, make: (data: string) => Promise<void>, code: number, line: RegExp])[] =
  [
    ["that others can read", (data) => Deno.mkdir(data, { mode: 0o755 }), 78, /chmod 700/],
    [
      "that is a symbolic link",
      async (data) => {
        await Deno.mkdir(`${data}.real`, { mode: 0o700 });
        await symlink(`${data}.real`, data);
      },
      78,
      /symbolic link|symlink/,
    ],
    ["that is a file", (data) => Deno.writeTextFile(data, "not a directory", { mode: 0o600 }), 73, /data/],
    [
      "with a file of another program",
      async (data) => {
        await Deno.mkdir(data, { mode: 0o700 });
        await Deno.writeTextFile(`${data}/journal.db`, "x".repeat(8192), { mode: 0o600 });
      },
      65,
      /journal\.db/,
    ],
    [
      "whose file others can read",
      async (data) => {
        await Deno.mkdir(data, { mode: 0o700 });
        await Deno.writeTextFile(`${data}/journal.db`, "", { mode: 0o644 });
        await Deno.chmod(`${data}/journal.db`, 0o644);
      },
      78,
      /chmod 600/,
    ],
  ];

for (const [what, make, code, line] of REFUSED) {
  Deno.test({
    name: `msgbusd --data on a directory ${what} exits with ${code}, and says in a line what to do`,
    ignore: Deno.build.os === "windows",
    fn: async () => {
      await using there = await folder();
      await make(there.data);
      const ended = await ending(["--bind", "127.0.0.1:0", "--data", there.data]);
      assertEquals([ended.code, ended.stdout, ended.stderr.length], [code, [], 1], ended.stderr.join("\n"));
      assertMatch(ended.stderr[0]!, /^msgbusd: /);
      assertMatch(ended.stderr[0]!, line);
    },
  });
}

Deno.test("msgbusd --data below a file exits with 73", async () => {
  await using there = await folder();
  await Deno.writeTextFile(there.data, "");
  const { code, stderr } = await ending(["--bind", "127.0.0.1:0", "--data", `${there.data}/below`]);
  assertEquals([code, stderr.length], [73, 1], stderr.join("\n"));
});

Deno.test("msgbusd --accept-loss without --data exits with 78", async () => {
  const { code, stderr } = await ending(["--accept-loss"]);
  assertEquals([code, stderr], [
    78,
    ["msgbusd: --accept-loss is given without --data: memory has nothing to lose at a start"],
  ]);
});

Deno.test("msgbusd --data without permission to write there exits with 78 and names the flag", async () => {
  await using there = await folder();
  const permissions = PROGRAM_PERMISSIONS.msgbusd!.filter((flag) => flag !== "--allow-write");
  const { code, stderr } = await ending(["--bind", "127.0.0.1:0", "--data", there.data], { permissions });
  assertEquals([code, stderr.length], [78, 1], stderr.join("\n"));
  assertMatch(stderr[0]!, /^msgbusd: a permission is missing: .*--allow-write/);
});

Deno.test("msgbusd --data whose journal was deleted under it acknowledges nothing more, says so once, and exits with 74", async () => {
  await using there = await folder();
  await using server = await daemon(["--data", there.data, "--log-format", "json", "-P", "2MiB"]);
  await Deno.remove(`${there.data}/journal.db`);
  const body = "x".repeat(1024 ** 2);
  let refused = false;
  // Until it looks, which it does when it tidies up.
  for (let i = 0; i < 100 && !refused; i++) {
    refused = await ask(server, "PUT /orders", { body }).then(({ status }) => status !== 202, () => true);
  }
  assertEquals([refused, await server.code], [true, 74]);
  const lines = (await server.stderr.rest()).map((line) => JSON.parse(line));
  const fatal = lines.filter(({ evt }) => evt === "journal_fatal");
  assertEquals(fatal.map(({ lvl }) => lvl), ["error"]);
});

/** Makes a journal of which an acknowledged part is missing. */
async function damaged(data: string): Promise<void> {
  await using server = await daemon(["--data", data]);
  for (const body of ["a", "b", "c"]) await ask(server, "PUT /orders", { body });
  await stop(server, "SIGKILL");
  await Deno.remove(`${data}/journal.db-wal`);
}

Deno.test("msgbusd --data exits with 65 if acknowledged messages are missing, until it is told to accept that", async () => {
  await using there = await folder();
  await damaged(there.data);
  const args = ["--bind", "127.0.0.1:0", "--data", there.data];
  for (const _ of ["once", "and again"]) {
    const { code, stdout, stderr } = await ending(args);
    assertEquals([code, stdout, stderr.length], [65, [], 1], stderr.join("\n"));
    assertStringIncludes(stderr[0]!, "--accept-loss");
  }
  await using server = await daemon([...args, "--accept-loss"]);
  assertEquals((await ask(server, "PUT /orders", { body: "d" })).status, 202);
  await stop(server, "SIGTERM");
  // What was accepted once is no damage any more.
  await using again = await daemon(args);
  assertEquals(payloadsOf((await ask(again, "GET /orders?since=earliest")).text).at(-1), "d");
});

Deno.test("msgbusd --data that fails for its address leaves nothing on the disk", async () => {
  await using there = await folder();
  await using server = await daemon();
  const { code } = await ending(["--bind", `127.0.0.1:${server.port}`, "--data", there.data]);
  assertEquals([code, [...Deno.readDirSync(there.path)]], [75, []]);
});

Deno.test("a backup that msgbus made while msgbusd worked is checked, restored, and has another epoch", async () => {
  await using there = await folder();
  await using first = await daemon(["--data", there.data]);
  await ask(first, "POST /orders?split=lines", { body: "a\nb\nc" });
  assertEquals(payloadsOf((await ask(first, "GET /orders")).text), ["a"]);
  const file = `${there.path}/bus.db`;
  const made = await msgbus(["backup", file], { env: { MSGBUS_URI: `http://127.0.0.1:${first.port}` } });
  assertEquals(made.code, 0, made.stderr);
  assertStringIncludes(made.stderr, "backed up 3 messages of 1 topic, ");
  const last = await ask(first, "PUT /orders", { body: "after the backup" });
  assertEquals([...Deno.readDirSync(there.data)].filter(({ name }) => name.startsWith("backup")), []);
  const { code, stdout } = await ending(["check", file]);
  assertEquals(code, 0, stdout.join("\n"));

  const restored = `${there.path}/restored`;
  await Deno.mkdir(restored, { mode: 0o700 });
  await Deno.copyFile(file, `${restored}/journal.db`);
  await using second = await daemon(["--data", restored]);
  const all = await ask(second, "GET /orders?since=earliest");
  assertEquals(payloadsOf(all.text), ["a", "b", "c"]);
  assertEquals(payloadsOf((await ask(second, "GET /orders")).text), ["b"]);
  const old = await ask(second, `GET /orders?since=${last.headers.get("msgbus-cursor")}`);
  assertMatch(old.headers.get("msgbus-gap") ?? "", /reset/);
  assert(all.headers.get("msgbus-next")!.split("@")[1] !== last.headers.get("msgbus-cursor")!.split("@")[1]);
});

Deno.test("msgbusd check says what there is, 65 of what is damaged, and 75 while a msgbusd runs on it", async () => {
  await using there = await folder();
  {
    await using server = await daemon(["--data", there.data]);
    await ask(server, "POST /orders?split=lines", { body: "a\nb\nc" });
    const used = await ending(["check", "--data", there.data]);
    assertEquals([used.code, used.stdout, used.stderr.length], [75, [], 1], used.stderr.join("\n"));
    await stop(server, "SIGTERM");
  }
  const lines = await ending(["check", "--data", there.data]);
  assertEquals([lines.code, lines.stderr], [0, []]);
  assertMatch(lines.stdout.at(-1)!, /^ok: 3 messages of 1 topic, [0-9]+ bytes, 0 groups, 0 scheduled;/);
  const json = await ending(["check", "--json", "--data", there.data]);
  const { ok, topics, messages } = JSON.parse(json.stdout.join(""));
  assertEquals([json.code, ok, topics, messages], [0, true, 1, 3]);

  await damaged(`${there.path}/damaged`);
  const bad = await ending(["check", "--data", `${there.path}/damaged`]);
  assertEquals(bad.code, 65, bad.stdout.join("\n"));
  assertMatch(bad.stdout.at(-1)!, /^damaged: .*; problems: 1$/);
  const nothing = await ending(["check", `${there.path}/nothing`]);
  assertEquals([nothing.code, nothing.stdout], [65, []]);
  assertEquals(nothing.stderr, [`msgbusd: There is no journal "${there.path}/nothing"`]);
});

Deno.test("msgbusd check of a backup needs no permission to write", async () => {
  await using there = await folder();
  {
    await using server = await daemon(["--data", there.data]);
    await stop(server, "SIGTERM");
  }
  const file = `${there.path}/bus.db`;
  await Deno.copyFile(`${there.data}/journal.db`, file);
  const permissions = PROGRAM_PERMISSIONS.msgbusd!.filter((flag) => flag !== "--allow-write");
  const { code, stdout, stderr } = await ending(["check", file], { permissions });
  assertEquals([code, stdout.length], [0, 1], stderr.join("\n"));
  assertMatch(stdout[0]!, /^ok: 0 messages/);
});

Deno.test("msgbusd --data that may not read itself for the journal's worker exits with 78 and says what to add", async () => {
  await using there = await folder();
  const permissions = PROGRAM_PERMISSIONS.msgbusd!.map((flag) =>
    flag === "--allow-read" ? `${flag}=${there.path}` : flag
  );
  const { code, stderr } = await ending(["--bind", "127.0.0.1:0", "--data", there.data], { permissions });
  assertEquals([code, stderr.length], [78, 1], stderr.join("\n"));
  assertMatch(stderr[0]!, /worker loads the program again; add \S+\/main\.ts to --allow-read$/);
});
