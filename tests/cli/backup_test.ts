/**
 * What msgbus backup does with what a server hands out, whole or not. A real server is in tests/daemon/durable_test.ts.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { assert, assertEquals, assertStringIncludes } from "../deps.ts";
import { msgbus, start, startServer } from "../processes.ts";

const COPY = new Uint8Array(200_000).map((_, i) => i % 251);
const SHA256 = createHash("sha256").update(COPY).digest("hex");

/** A folder of its own. */
async function folder(): Promise<AsyncDisposable & { path: string }> {
  const path = await Deno.makeTempDir({ prefix: "msgbus-backup-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

/** A server that hands out a copy and says of it what msgbusd says, or something else. */
function handingOut(
  body: () => BodyInit,
  headers: Readonly<Record<string, string>> = {},
): AsyncDisposable & { env: Record<string, string> } {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {}, onError: () => new Response(null) },
    () => {
      const counts = { "msgbus-topics": "2", "msgbus-messages": "3" };
      const whole = { "content-length": String(COPY.length), "msgbus-sha256": SHA256, ...counts };
      return new Response(body(), { headers: { ...whole, ...headers } });
    },
  );
  const env = { MSGBUS_URI: `http://127.0.0.1:${server.addr.port}` };
  return { env, [Symbol.asyncDispose]: () => server.shutdown() };
}

/** The names of the files in a folder. */
function filesIn(path: string): string[] {
  return [...Deno.readDirSync(path)].map(({ name }) => name).sort();
}

Deno.test("msgbus backup writes the copy for its owner only, and prints the checksum as sha256sum reads it", async () => {
  await using there = await folder();
  await using server = handingOut(() => COPY);
  const path = `${there.path}/bus.db`;
  const { code, stdout, stderr } = await msgbus(["backup", path], server);
  assertEquals([code, stdout], [0, `${SHA256}  ${path}\n`]);
  assertEquals(stderr, "msgbus: backed up 3 messages of 2 topics, 200000 bytes\n");
  assertEquals(await Deno.readFile(path), COPY);
  if (Deno.build.os !== "windows") assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);
  assertEquals(filesIn(there.path), ["bus.db"]);
});

Deno.test("msgbus backup - writes the copy to standard output, and nothing else", async () => {
  await using server = handingOut(() => COPY);
  const { code, bytes, stderr } = await msgbus(["backup", "-"], server);
  assertEquals([code, bytes], [0, COPY]);
  assertEquals(stderr, `msgbus: backed up 3 messages of 2 topics, 200000 bytes, SHA-256 ${SHA256}\n`);
});

Deno.test("msgbus backup replaces a file only with --force, and what an earlier attempt left always", async () => {
  await using there = await folder();
  await using server = handingOut(() => COPY);
  const path = `${there.path}/bus.db`;
  await Deno.writeTextFile(path, "old");
  await Deno.writeTextFile(`${path}.partial`, "half", { mode: 0o644 });
  const refused = await msgbus(["backup", path], server);
  assertEquals(refused.code, 2);
  assertEquals(refused.stderr, `msgbus: Cannot back up to "${path}": the file exists; --force replaces it\n`);
  assertEquals(await Deno.readTextFile(path), "old");
  assertEquals((await msgbus(["backup", "--force", path], server)).code, 0);
  assertEquals(await Deno.readFile(path), COPY);
  if (Deno.build.os !== "windows") assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);
});

/** Copies that are not what their server says, and what is said of them. */
const DAMAGED: readonly (readonly [
  what: string,
  body: () => BodyInit,
  headers: Record<string, string>,
  exit: number,
  line: string,
])[] = [
  [
    "has another checksum",
    () => COPY,
    { "msgbus-sha256": "00".repeat(32) },
    1,
    "damaged on its way, of 200000 bytes",
  ],
  ["breaks off", () => breakingOff(), {}, 4, "Cannot reach http://127.0.0.1:"],
  ["has no checksum", () => COPY, { "msgbus-sha256": "" }, 1, "damaged on its way"],
];

function breakingOff(): ReadableStream<Uint8Array> {
  let begun = false;
  return new ReadableStream({
    pull(controller) {
      if (begun) return controller.error(new Error("half of it"));
      begun = true;
      controller.enqueue(COPY.slice(0, 70_000));
    },
  });
}

for (const [what, body, headers, exit, line] of DAMAGED) {
  Deno.test(`msgbus backup keeps nothing of a copy that ${what}, and the file that was there`, async () => {
    await using there = await folder();
    await using server = handingOut(body, headers);
    const path = `${there.path}/bus.db`;
    await Deno.writeTextFile(path, "old");
    const { code, stdout, stderr } = await msgbus(["backup", "--force", path], server);
    assertEquals([code, stdout], [exit, ""]);
    assertStringIncludes(stderr, line);
    assertEquals([filesIn(there.path), await Deno.readTextFile(path)], [["bus.db"], "old"]);
  });
}

Deno.test("msgbus backup that is interrupted leaves nothing behind", async () => {
  await using there = await folder();
  const begun = Promise.withResolvers<void>();
  const body = () =>
    new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.enqueue(COPY.slice(0, 1000));
        begun.resolve();
        return new Promise(() => {}); // the rest never comes
      },
    });
  await using server = handingOut(body);
  await using program = start("msgbus", ["backup", `${there.path}/bus.db`], server);
  await begun.promise;
  program.kill("SIGINT");
  assertEquals(await program.code, 1);
  assertEquals(await program.stderr.rest(), ["msgbus: Interrupted: no copy was made"]);
  assertEquals(filesIn(there.path), []);
});

Deno.test("msgbus backup of a server without --data says what it needs", async () => {
  await using there = await folder();
  await using server = await startServer();
  const { code, stderr } = await msgbus(["backup", `${there.path}/bus.db`], { env: { MSGBUS_URI: server.uri } });
  assertEquals(code, 1);
  assertEquals(stderr, "msgbus: Cannot back up: the server keeps everything in memory; it needs --data\n");
  assertEquals(filesIn(there.path), []);
});

Deno.test("msgbus backup says in a line why a file can't be written", async () => {
  await using server = handingOut(() => COPY);
  const { code, stderr } = await msgbus(["backup", "/no/such/folder/bus.db"], server);
  assertEquals(code, 1);
  assert(/^msgbus: Cannot back up to "\/no\/such\/folder\/bus\.db": [^\n]+\n$/.test(stderr), stderr);
});
