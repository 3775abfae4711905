import { assertEquals, assertMatch, assertStringIncludes } from "../deps.ts";
import { unusedUri } from "../client/local_server.ts";
import { lastingPort } from "../lasting_port.ts";
import { msgbus, type Server, start, startServer } from "../processes.ts";

async function publish(server: Server, topic: string, ...payloads: string[]): Promise<void> {
  for (const body of payloads) {
    await (await fetch(`${server.uri}/${topic}`, { method: "POST", body })).body?.cancel();
  }
}

const PLAIN = ["--format", "{topic} {id} {payload}"];

Deno.test("msgbus sub --since begins where it is told to", async () => {
  await using server = await startServer();
  const env = { MSGBUS_URI: server.uri };
  await publish(server, "foo", "a", "b", "c");
  for (
    const [since, count, expected] of [
      ["earliest", "3", "foo 0 a\nfoo 1 b\nfoo 2 c\n"],
      ["1", "2", "foo 1 b\nfoo 2 c\n"],
      ["last:1", "1", "foo 2 c\n"],
    ] as const
  ) {
    const run = await msgbus(["sub", "foo", "--since", since, "--count", count, ...PLAIN], { env });
    assertEquals([run.code, run.stdout, run.stderr], [0, expected, ""]);
  }
});

Deno.test("msgbus tail begins with the last messages, and goes on", async () => {
  await using server = await startServer();
  const payloads = Array.from({ length: 12 }, (_, index) => `m${index}`);
  await publish(server, "foo", ...payloads);
  const env = { MSGBUS_URI: server.uri };
  const ten = await msgbus(["tail", "foo", "--count", "10", ...PLAIN], { env });
  assertEquals(ten.stdout.split("\n").slice(0, 2), ["foo 2 m2", "foo 3 m3"]);
  await using tail = start("msgbus", ["tail", "-n", "1", "foo", ...PLAIN], { env });
  assertEquals(await tail.stdout.next(), "foo 11 m11");
  await publish(server, "foo", "new");
  assertEquals(await tail.stdout.next(), "foo 12 new");
  tail.kill("SIGINT");
  assertEquals([await tail.code, await tail.stderr.rest()], [0, []]);
  const first = await msgbus(["tail", "foo", "--since", "earliest", "--count", "1", ...PLAIN], { env });
  assertEquals(first.stdout, "foo 0 m0\n");
  const both = await msgbus(["tail", "foo", "--since", "earliest", "--lines", "1"], { env });
  assertEquals([both.code, both.stdout], [2, ""]);
  assertStringIncludes(both.stderr, "it can't go with --lines");
});

Deno.test("msgbus sub says on standard error what it has missed, and goes on", async () => {
  await using server = await startServer(["--max-queue-size", "2"]);
  await publish(server, "foo", "a", "b", "c", "d", "e");
  const env = { MSGBUS_URI: server.uri };
  const run = await msgbus(["sub", "foo", "--since", "0", "--count", "2", "--format", "json"], { env });
  assertEquals([run.code, run.stderr], [0, 'msgbus: missed 3 messages of "foo" (0 to 2): dropped\n']);
  assertEquals(run.stdout.trimEnd().split("\n").map((line) => JSON.parse(line).id), [3, 4]);
});

Deno.test("msgbus sub reads several topics, says when one is deleted, and goes on", async () => {
  await using server = await startServer();
  const env = { MSGBUS_URI: server.uri };
  for (const [topics, other] of [["a/x,b", "b"], ["a/*", "a/y"], ["a/**", "a/y/z"]] as const) {
    await publish(server, "a/x", "one");
    await using sub = start("msgbus", ["sub", topics, "--since", "earliest", "--count", "2", ...PLAIN], { env });
    assertEquals(await sub.stdout.next(), "a/x 0 one");
    await msgbus(["rm", "a/x"], { env });
    assertEquals(await sub.stderr.next(), 'msgbus: Topic "a/x" was deleted');
    await publish(server, other, "two");
    assertEquals([await sub.stdout.rest(), await sub.code], [[`${other} 0 two`], 0]);
    await msgbus(["rm", other], { env });
  }
});

Deno.test("msgbus sub goes on where it was when the server is back, and says what the restart cost", async () => {
  const first = await startServer([], lastingPort());
  await publish(first, "foo", "a");
  await using sub = start("msgbus", ["sub", "foo", "--since", "earliest", "--uri", first.uri, ...PLAIN]);
  assertEquals(await sub.stdout.next(), "foo 0 a");
  {
    await using server = first;
    await server.stop();
  }
  await using second = await startServer([], first.port);
  await publish(second, "foo", "b");
  assertEquals(await sub.stdout.next(), "foo 0 b");
  assertEquals(await sub.stderr.find("missed"), 'msgbus: missed messages of "foo": reset');
});

Deno.test("msgbus pull --wait waits for messages, and with --count for as many", async () => {
  await using server = await startServer();
  const env = { MSGBUS_URI: server.uri };
  {
    await using pull = start("msgbus", ["pull", "foo", "--wait", "5m", ...PLAIN], { env });
    await publish(server, "foo", "a");
    assertEquals([await pull.stdout.rest(), await pull.code], [["foo 0 a"], 0]);
  }
  {
    await using pull = start("msgbus", ["pull", "foo", "-w", "5m", "--count", "2", ...PLAIN], { env });
    await publish(server, "foo", "b");
    assertEquals(await pull.stdout.next(), "foo 1 b");
    await publish(server, "foo", "c", "d");
    assertEquals([await pull.stdout.rest(), await pull.code], [["foo 2 c"], 0]);
  }
  assertEquals((await msgbus(["pull", "foo", ...PLAIN], { env })).stdout, "foo 3 d\n");
  const none = await msgbus(["pull", "foo", "--wait", "10ms"], { env });
  assertEquals([none.code, none.stderr], [3, 'msgbus: Nothing to pull from "foo"\n']);
});

Deno.test("msgbus pull says on standard error what the queue has lost, and goes on", async () => {
  await using server = await startServer(["--max-queue-size", "2", "--ttl", "1h"]);
  await publish(server, "foo", "a", "b", "c", "d", "e");
  const env = { MSGBUS_URI: server.uri };
  const run = await msgbus(["pull", "foo", ...PLAIN], { env });
  assertEquals([run.code, run.stdout], [0, "foo 3 d\nfoo 4 e\n"]);
  assertEquals(run.stderr, 'msgbus: missed 3 messages of "foo" (0 to 2): dropped\n');
});

Deno.test("msgbus pull says what the queue has lost though nothing is left, and goes on waiting", async () => {
  await using server = await startServer(["--max-memory", "2000"]);
  const env = { MSGBUS_URI: server.uri };
  for (const args of [[], ["--wait", "10ms"]]) {
    await publish(server, "foo", "x".repeat(800));
    await publish(server, "bar", "x".repeat(810));
    const run = await msgbus(["pull", "foo", ...args], { env });
    assertEquals([run.code, run.stdout], [3, ""]);
    const id = args.length === 0 ? 0 : 1;
    const missed = `msgbus: missed 1 message of "foo" (${id}): dropped\n`;
    assertEquals(run.stderr, `${missed}msgbus: Nothing to pull from "foo"\n`);
    await msgbus(["rm", "bar"], { env });
  }
});

Deno.test("msgbus pull --wait waits on when the server comes back", async () => {
  const first = await startServer([], lastingPort());
  await publish(first, "foo", "a");
  await using pull = start("msgbus", ["pull", "foo", "--wait", "5m", "--count", "2", "--uri", first.uri, ...PLAIN]);
  assertEquals(await pull.stdout.next(), "foo 0 a");
  {
    await using server = first;
    await server.stop();
  }
  assertMatch((await pull.stderr.next())!, /^msgbus: .*; trying again in [12]\.\d s$/);
  await using second = await startServer([], first.port);
  await publish(second, "foo", "b");
  assertEquals([await pull.stdout.rest(), await pull.code], [["foo 0 b"], 0]);
});

Deno.test("msgbus pull --wait exits with 4 if the server can't be reached when the time is up", async () => {
  const uri = unusedUri();
  const { code, stderr } = await msgbus(["pull", "foo", "--wait", "300ms", "--uri", uri]);
  assertEquals(code, 4);
  const fault = `msgbus: Cannot reach ${uri}: connection refused`;
  assertMatch(stderr, new RegExp(`^${fault}; trying again in 0\\.\\d s\n${fault}\n$`));
});

Deno.test("msgbus pull --wait ends when it is interrupted", async () => {
  await using server = await startServer();
  await publish(server, "foo", "a");
  await using pull = start("msgbus", ["pull", "foo", "--wait", "5m", "--count", "2", "--uri", server.uri, ...PLAIN]);
  assertEquals(await pull.stdout.next(), "foo 0 a");
  pull.kill("SIGINT");
  assertEquals([await pull.code, await pull.stderr.rest()], [0, []]);
});

Deno.test("msgbus refuses a bad template, place to begin or wildcard with 2, and says what is wrong", async () => {
  const wrong: [args: string[], part: RegExp][] = [
    [
      ["pull", "foo", "--format", "{ID}"],
      /unknown field "ID", not one of \{id\}, \{topic\}, .*; see msgbus help pull$/,
    ],
    [["sub", "foo", "--format", "{id"], /Bad --format "\{id": a single \{/],
    [["sub", "foo", "--since", "soon"], /Bad --since "soon": not latest, earliest, .* or last:N; see msgbus help sub$/],
    [["sub", "a,b", "--since", "5"], /an id is of one topic only$/],
    [["sub", "a/**/b"], /\*\* stands for the last segments$/],
    [["sub", "a*"], /a wildcard is a whole segment$/],
    [["pull", "a/*"], /Bad topic name "a\/\*"/],
    [["tail", "foo", "-n", "some"], /Bad --lines "some": not a whole number/],
  ];
  for (let at = 0; at < wrong.length; at += 4) {
    await Promise.all(
      wrong.slice(at, at + 4).map(async ([args, part]) => {
        const { code, stdout, stderr } = await msgbus(args);
        assertMatch(stderr.trimEnd(), part);
        assertEquals([code, stdout], [2, ""]);
      }),
    );
  }
});
