import { fileURLToPath } from "node:url";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../deps.ts";
import { lastingPort } from "../lasting_port.ts";
import { unusedUri } from "../client/local_server.ts";
import { settled } from "../http/direct.ts";
import { decodeEnvelope } from "../../lib/wire/json.ts";
import { msgbus, type Server, start, startServer } from "../processes.ts";

async function publish(server: Server, topic: string, payload: string | Uint8Array<ArrayBuffer>): Promise<void> {
  await (await fetch(`${server.uri}/${topic}`, { method: "POST", body: payload })).body?.cancel();
}

/** A command for `msgbus sub` that runs this code; what it prints comes out of msgbus. */
function script(code: string): string[] {
  return [Deno.execPath(), "eval", "--quiet", "--no-lock", code];
}

Deno.test("msgbus sub prints each message as it comes, and ends well when it is interrupted", async () => {
  await using server = await startServer();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    await using sub = start("msgbus", ["sub", "foo", "--uri", server.uri]);
    await server.subscribed("foo");
    await publish(server, "foo", "one");
    assertMatch(
      (await sub.stdout.next())!,
      /^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d \[msgbus\] received message: id=\d topic=foo payload=one$/,
    );
    await publish(server, "foo", "two");
    assertStringIncludes((await sub.stdout.next())!, "payload=two");
    sub.kill(signal);
    assertEquals([await sub.code, await sub.stdout.rest(), await sub.stderr.rest()], [0, [], []]);
  }
});

Deno.test("msgbus sub --count ends after as many messages", async () => {
  await using server = await startServer();
  await using sub = start("msgbus", ["reg", "foo", "--count", "2", "--format", "payload", "--uri", server.uri]);
  await server.subscribed("foo");
  for (const text of ["a", "b", "c"]) await publish(server, "foo", text);
  assertEquals([await sub.stdout.rest(), await sub.code], [["a", "b"], 0]);
});

Deno.test("msgbus sub --timeout ends in time, with 3 if fewer messages came than asked for", async () => {
  await using server = await startServer();
  const env = { MSGBUS_URI: server.uri };
  assertEquals((await msgbus(["sub", "silent", "--timeout", "100ms"], { env })).code, 3);
  for (const [topic, flags, code] of [["two", ["--count", "2"], 3], ["any", [], 0]] as const) {
    await using sub = start("msgbus", ["sub", topic, "--timeout", "2s", "--format", "json", ...flags], { env });
    await server.subscribed(topic);
    await publish(server, topic, "a");
    assertEquals(decodeEnvelope((await sub.stdout.next())!).text(), "a");
    assertEquals([await sub.code, await sub.stderr.rest()], [code, []]);
  }
});

Deno.test("msgbus sub --timeout exits with 0 if messages came, though the server is gone when the time is up", async () => {
  await using server = await startServer();
  await using sub = start("msgbus", ["sub", "foo", "--timeout", "2s", "--format", "payload", "--uri", server.uri]);
  await server.subscribed("foo");
  await publish(server, "foo", "x");
  assertEquals(await sub.stdout.next(), "x");
  await server.stop();
  assertEquals(await sub.code, 0);
});

Deno.test("msgbus sub --timeout exits with 4 if there was no connection when the time was up", async () => {
  const uri = unusedUri();
  const { code, stderr } = await msgbus(["sub", "foo", "--timeout", "500ms", "--uri", uri]);
  assertEquals(code, 4);
  assertMatch(
    stderr,
    /^msgbus: Cannot reach .*: connection refused; trying again in [12]\.\d s\nmsgbus: Cannot reach .*\n$/,
  );
});

Deno.test("msgbus sub ends when its topic is deleted, and says so", async () => {
  await using server = await startServer();
  for (const [flags, code] of [[[], 0], [["--count", "5"], 3]] as const) {
    await using sub = start("msgbus", ["sub", "foo", "--uri", server.uri, ...flags]);
    await server.subscribed("foo");
    await publish(server, "foo", "x");
    await sub.stdout.next();
    await msgbus(["rm", "foo", "--uri", server.uri]);
    assertEquals([await sub.code, await sub.stderr.rest()], [code, ['msgbus: Topic "foo" was deleted']]);
  }
});

Deno.test("msgbus sub connects again when the server comes back, and tells on standard error", async () => {
  const first = await startServer([], lastingPort());
  await using sub = start("msgbus", ["sub", "foo", "--format", "payload", "--uri", first.uri]);
  {
    await using server = first;
    await server.subscribed("foo");
    await publish(server, "foo", "before");
    assertEquals(await sub.stdout.next(), "before");
    await server.stop();
  }
  assertMatch((await sub.stderr.next())!, /^msgbus: Cannot reach .*shutting down; trying again in [12]\.\d s$/);
  await using second = await startServer([], first.port);
  await second.subscribed("foo");
  assertEquals(await sub.stderr.find("connected"), `msgbus: connected to ${first.uri}`);
  await publish(second, "foo", "after");
  assertEquals(await sub.stdout.next(), "after");
});

Deno.test("msgbus sub --no-reconnect exits with 4 when the server goes away", async () => {
  await using server = await startServer();
  await using sub = start("msgbus", ["sub", "foo", "--no-reconnect", "--uri", server.uri]);
  await server.subscribed("foo");
  await server.stop();
  assertEquals(await sub.code, 4);
  const [line, ...more] = await sub.stderr.rest();
  assertMatch(line!, /^msgbus: Cannot reach .*shutting down$/);
  assertEquals(more, []);
});

Deno.test("msgbus sub ends quietly when nobody reads what it prints", async () => {
  await using server = await startServer();
  await using sub = start("msgbus", ["sub", "foo", "--format", "payload", "--uri", server.uri]);
  await server.subscribed("foo");
  await publish(server, "foo", "first");
  assertEquals(await sub.stdout.next(), "first");
  await sub.stdout.close();
  await publish(server, "foo", "second");
  assertEquals([await sub.code, await sub.stderr.rest()], [0, []]);
});

Deno.test("msgbus sub runs its command for each message, one after the other, with all it needs to know", async () => {
  await using server = await startServer();
  const code = `
    const input = await new Response(Deno.stdin.readable).text();
    const { MSGBUS_ID: id, MSGBUS_TOPIC: topic, MSGBUS_PAYLOAD: payload, MSGBUS_URI: uri } = Deno.env.toObject();
    console.log(JSON.stringify({ input, id, topic, payload, uri, args: Deno.args }));
    console.error("and " + id);`;
  // What follows the command is its own, flags included.
  const args = ["sub", "--count", "3", "a/b", ...script(code), "--count", "-x", "--", "y z"];
  await using sub = start("msgbus", args, { env: { MSGBUS_URI: server.uri, MSGBUS_PAYLOAD: "of somebody else" } });
  await server.subscribed("a/b");
  await publish(server, "a/b", "Grüße\n$HOME");
  await publish(server, "a/b", new Uint8Array([0x61, 0, 0x62]));
  await publish(server, "a/b", "x".repeat(32_001));
  const runs = (await sub.stdout.rest()).map((line) => JSON.parse(line));
  assertEquals(await sub.code, 0);
  assertEquals(runs.map(({ id, topic, uri, args }) => [id, topic, uri, args]), [
    ["0", "a/b", server.uri, ["--count", "-x", "--", "y z"]],
    ["1", "a/b", server.uri, ["--count", "-x", "--", "y z"]],
    ["2", "a/b", server.uri, ["--count", "-x", "--", "y z"]],
  ]);
  assertEquals(runs.map(({ payload }) => payload), ["Grüße\n$HOME", undefined, undefined]);
  const messages = runs.map(({ input }) => decodeEnvelope(input));
  assert(runs.every(({ input }) => input.endsWith("}\n")));
  assertEquals(messages.map(({ id, payload }) => [id, payload.length]), [[0, 13], [1, 3], [2, 32_001]]);
  assertEquals(await sub.stderr.rest(), ["and 0", "and 1", "and 2"]);
});

Deno.test("msgbus sub goes on when its command fails, or doesn't read its input", async () => {
  await using server = await startServer();
  const code = `console.log(Deno.env.get("MSGBUS_ID")); Deno.exit(Deno.env.get("MSGBUS_ID") === "0" ? 7 : 0);`;
  await using sub = start("msgbus", ["sub", "--count", "2", "foo", ...script(code)], {
    env: { MSGBUS_URI: server.uri },
  });
  await server.subscribed("foo");
  // More than a pipe holds.
  await publish(server, "foo", "x".repeat(500_000));
  await publish(server, "foo", "y");
  assertEquals([await sub.stdout.rest(), await sub.code], [["0", "1"], 0]);
  assertMatch((await sub.stderr.rest()).join("\n"), /^msgbus: Command ".*" failed on message 0 of "foo": exit code 7$/);
});

Deno.test("msgbus sub fails at the start when its command doesn't exist or may not be run", async () => {
  const unable: [permissions: string[], command: string, fault: string][] = [
    [["--allow-run"], "no-such-command", "no such command"],
    [["--allow-run"], "./no-such-command", "no such command"],
    [["--allow-run"], fileURLToPath(new URL("../../README.md", import.meta.url)), "it is not executable"],
    [["--deny-run"], Deno.execPath(), "Deno was not given --allow-run"],
  ];
  for (const [run, command, fault] of unable) {
    const permissions = ["--no-prompt", "--allow-net", "--allow-env=MSGBUS_*", ...run];
    // No server is there that could have lost a message.
    const { code, stderr } = await msgbus(["sub", "foo", command, "--uri", unusedUri()], { permissions });
    assertEquals([code, stderr], [2, `msgbus: Cannot run "${command}": ${fault}\n`]);
  }
});

Deno.test("msgbus sub fails at the first message when its command is not there, and no shell may look for it", async () => {
  await using server = await startServer();
  const permissions = ["--no-prompt", "--allow-net", "--allow-env=MSGBUS_*", "--allow-run", "--deny-run=sh"];
  const env = { MSGBUS_URI: server.uri };
  await using sub = start("msgbus", ["sub", "foo", "no-such-command"], { env, permissions });
  await server.subscribed("foo");
  await publish(server, "foo", "x");
  assertEquals([await sub.code, await sub.stderr.rest()], [2, [
    'msgbus: Cannot run "no-such-command": no such command',
  ]]);
});

Deno.test("msgbus sub lets its command finish when it is interrupted, and ends at once the second time", async () => {
  await using server = await startServer();
  const env = { MSGBUS_URI: server.uri };
  const code = `console.log("begun"); await new Response(Deno.stdin.readable).text();
    while (!await fetch("${server.uri}/go").then((r) => r.text().then(() => r.ok))); console.log("done");`;
  {
    await using sub = start("msgbus", ["sub", "foo", ...script(code)], { env });
    await server.subscribed("foo");
    await publish(server, "foo", "x");
    assertEquals(await sub.stdout.next(), "begun");
    sub.kill("SIGTERM");
    await publish(server, "go", "on");
    assertEquals([await sub.stdout.rest(), await sub.code], [["done"], 0]);
  }
  {
    await using sub = start("msgbus", ["sub", "foo", ...script(code)], { env });
    await server.subscribed("foo");
    await publish(server, "foo", "x");
    assertEquals(await sub.stdout.next(), "begun");
    let isOver = false;
    const ended = sub.code.finally(() => isOver = true);
    while (!isOver) {
      try {
        sub.kill("SIGINT");
      } catch {
        // It has just ended.
      }
      await Promise.race([ended, settled()]);
    }
    assertEquals(await ended, 130);
    await publish(server, "go", "on"); // the command is still there
    await sub.stdout.rest();
  }
});
