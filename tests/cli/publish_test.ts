import { decodeEnvelope } from "../../lib/wire/json.ts";
import { assertEquals, assertMatch, assertStringIncludes } from "../deps.ts";
import { msgbus, type Outcome, type Server, start, startServer } from "../processes.ts";

/** Runs msgbus against a server. */
function at(server: Server) {
  return (args: readonly string[], input?: string) => msgbus(args, { env: { MSGBUS_URI: server.uri }, input });
}

function ended({ code, stdout, stderr }: Outcome): [number, string, string] {
  return [code, stdout, stderr];
}

Deno.test("msgbus pub says what a message is, and how long it is kept", async () => {
  await using server = await startServer();
  const run = at(server);
  const flags = [
    "--key",
    "ü 1",
    "--header",
    "Trace: a: b ",
    "--header=x:",
    "--content-type",
    "text/plain",
    "--ttl",
    "0",
  ];
  assertEquals(ended(await run(["pub", "foo", ...flags, "hi"])), [0, "", ""]);
  assertEquals((await run(["pub", "--lines", "foo", "-k", "k", "--ttl", "1h"], "a\nb\n")).code, 0);
  const messages = (await run(["pull", "foo", "-f", "json"])).stdout.trim().split("\n").map(decodeEnvelope);
  assertEquals(messages.map(({ key, contentType, headers, ttlMs }) => [key, contentType, { ...headers }, ttlMs]), [
    ["ü 1", "text/plain", { trace: "a: b", x: "" }, 0],
    ["k", undefined, {}, 3_600_000],
    ["k", undefined, {}, 3_600_000],
  ]);
});

Deno.test("msgbus pub --idempotency-key publishes once, and --if-match only where the topic ends", async () => {
  await using server = await startServer();
  const run = at(server);
  const json = async (args: string[]) => JSON.parse((await run([...args, "--format", "json"])).stdout);
  const first = await json(["pub", "foo", "a", "--idempotency-key", "1"]);
  assertEquals(await json(["pub", "foo", "a", "--idempotency-key", "1"]), { ...first, duplicate: true });
  const conflict = await run(["pub", "foo", "b", "--idempotency-key", "1"]);
  assertEquals([conflict.code, conflict.stdout], [1, ""]);
  assertEquals((await json(["pub", "foo", "b", "--if-match", first.cursor])).id, 1);
  assertEquals((await run(["pub", "foo", "c", "--if-match", "1"])).code, 1);
  assertEquals((await run(["pull", "foo", "-f", "payload"])).stdout, "a\nb\n");
});

Deno.test("msgbus pub --delay and --at publish later, msgbus scheduled shows it, and msgbus cancel cancels", async () => {
  await using server = await startServer();
  const run = at(server);
  assertEquals((await run(["pub", "jobs", "now"])).code, 0);
  const soon = await run(["pub", "jobs", "--delay", "300ms", "soon"]);
  assertEquals(ended(soon), [0, "", ""]);
  const { token, dueMs, ...rest } = JSON.parse(
    (await run([
      "pub",
      "jobs",
      "--at",
      "2100-01-01T01:00:00+01:00".replace("2100", `${new Date().getFullYear() + 1}`),
      "--key",
      "k\u202e",
      "later",
      "-f",
      "json",
    ])).stdout,
  );
  assertEquals([rest, dueMs], [{ topic: "jobs", durability: "memory" }, Date.UTC(new Date().getFullYear() + 1, 0, 1)]);
  assertEquals((await run(["pull", "jobs", "-n", "2", "--wait", "20s", "-f", "payload"])).stdout, "now\nsoon\n");
  const due = new Date(dueMs).toISOString();
  assertEquals((await run(["scheduled", "jobs"])).stdout, `${due} ${token} 5 k\\u202e\n`);
  assertEquals(JSON.parse((await run(["scheduled", "jobs", "-f", "json"])).stdout), {
    token,
    due,
    bytes: 5,
    key: "k\u202e",
  });
  assertEquals(ended(await run(["cancel", "jobs", token])), [0, "", ""]);
  assertEquals(ended(await run(["cancel", "jobs", token])), [
    3,
    "",
    `msgbus: Nothing scheduled for "jobs" with token "${token}"\n`,
  ]);
  assertEquals(ended(await run(["scheduled", "jobs"])), [0, "", ""]);
});

Deno.test("msgbus request prints the reply of a msgbus work, byte for byte", async () => {
  await using server = await startServer();
  const run = at(server);
  const deno = `${Deno.execPath()} run --quiet --no-prompt --allow-net --allow-env=MSGBUS_*`;
  const cli = new URL("../../cli.ts", import.meta.url).href;
  const command = ["sh", "-c", `tr a-z A-Z | ${deno} ${cli} reply "$MSGBUS_REPLY_TO" --content-type text/plain`];
  await using work = start("msgbus", ["work", "shout", "-u", server.uri, "--", ...command]);
  assertEquals(
    (await run(["request", "shout", "--timeout", "1m"], "hello\n\0")).bytes,
    new TextEncoder().encode("HELLO\n\0"),
  );
  work.kill("SIGTERM");
  assertEquals(await work.code, 0);
});

Deno.test("msgbus request exits with 3 when nobody replies, and msgbus reply with 1 when nobody waits", async () => {
  await using server = await startServer();
  const run = at(server);
  const { code, stdout, stderr } = await run(["request", "shout", "hello", "--timeout", "100ms"]);
  assertEquals([code, stdout, stderr], [3, "", 'msgbus: No reply to "shout" within 100ms\n']);
  const token = (await run(["pull", "shout", "-f", "{header:msgbus-reply-to}"])).stdout.trim();
  assertMatch(token, /^\S{10,}$/);
  const late = await run(["reply", token, "too late"]);
  assertEquals([late.code, late.stdout], [1, ""]);
  assertStringIncludes(late.stderr, "msgbus: ");
});
