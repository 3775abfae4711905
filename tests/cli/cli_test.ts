import { encodeEnvelope } from "../../lib/wire/json.ts";
import { decodeEnvelope } from "../../lib/wire/json.ts";
import { VERSION } from "../../lib/version.ts";
import { COMMANDS } from "../../lib/cli/main.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../deps.ts";
import { unusedUri } from "../client/local_server.ts";
import { msgbus, type Outcome, start, startServer } from "../processes.ts";

/** Asserts that a run printed nothing, said one line, and ended with this code. */
function assertFailed({ code, stdout, stderr }: Outcome, expected: number, part: string): void {
  assertStringIncludes(stderr, part);
  assertEquals([code, stdout, stderr.split("\n").length], [expected, "", 2], stderr);
  assert(stderr.startsWith("msgbus: "), stderr);
}

const LOG_LINE = /^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d \[msgbus\] received message: (.*)$/;

Deno.test("msgbus pub publishes its words, and msgbus pull prints them as the original does", async () => {
  await using server = await startServer();
  const at = ["--uri", server.uri];
  assertEquals(
    await msgbus(["pub", "foo", "hello", "", "world", ...at]).then(({ code, stdout, stderr }) => [
      code,
      stdout,
      stderr,
    ]),
    [0, "", ""],
  );
  assertEquals((await msgbus([...at, "put", "/foo/", ""])).code, 0);
  const pulled = await msgbus(["pull", ...at, "foo"]);
  assertEquals([pulled.code, pulled.stderr], [0, ""]);
  assertEquals(pulled.stdout.trimEnd().split("\n").map((line) => LOG_LINE.exec(line)?.[1]), [
    "id=0 topic=foo payload=hello  world",
    "id=1 topic=foo payload=",
  ]);
  assertFailed(await msgbus(["get", "foo", ...at]), 3, 'Nothing to pull from "foo"');
});

Deno.test("msgbus takes the URI from MSGBUS_URI, and the flag before it", async () => {
  await using server = await startServer();
  const env = { MSGBUS_URI: `${server.uri}/` };
  assertEquals((await msgbus(["pub", "foo", "x"], { env })).code, 0);
  assertEquals((await msgbus(["topics"], { env })).stdout, "foo\n");
  assertEquals((await msgbus(["topics", "-u", unusedUri()], { env })).code, 4);
});

Deno.test("msgbus takes a URI without a scheme for one of HTTP", async () => {
  await using server = await startServer();
  const address = `127.0.0.1:${server.port}`;
  assertEquals((await msgbus(["-u", address, "pub", "foo", "x"])).code, 0);
  assertEquals((await msgbus(["topics"], { env: { MSGBUS_URI: `${address}/` } })).stdout, "foo\n");
});

Deno.test("msgbus pub publishes standard input byte for byte, and msgbus pull --format payload gives it back", async () => {
  await using server = await startServer();
  const env = { MSGBUS_URI: server.uri };
  const bytes = Uint8Array.from({ length: 100_000 }, (_, index) => index * 7 & 0xff);
  assertEquals((await msgbus(["pub", "foo"], { env, input: bytes })).code, 0);
  assertEquals((await msgbus(["pub", "foo", "-"], { env, input: "text\n" })).code, 0);
  assertEquals((await msgbus(["pub", "foo"], { env, input: "" })).code, 0);
  const pulled = await msgbus(["pull", "foo", "--format", "payload", "--count", "1"], { env });
  assertEquals(pulled.bytes, Uint8Array.from([...bytes, 0x0a]));
  assertEquals((await msgbus(["pull", "foo", "-n1", "-f", "payload"], { env })).stdout, "text\n\n");
  assertEquals((await msgbus(["pull", "foo", "-f=payload"], { env })).stdout, "\n");
});

Deno.test("msgbus pub --format json prints the receipt", async () => {
  await using server = await startServer();
  const { stdout } = await msgbus(["pub", "foo", "x", "--format", "json", "--uri", server.uri]);
  const { cursor, ...receipt } = JSON.parse(stdout);
  assertEquals(receipt, { topic: "foo", id: 0, count: 1, durability: "memory", subscribers: 0 });
  assertMatch(cursor, /^1@/);
});

Deno.test("msgbus pub takes what looks like a flag for a message after --", async () => {
  await using server = await startServer();
  const env = { MSGBUS_URI: server.uri };
  assertEquals((await msgbus(["pub", "foo", "--", "--lines", "-u", "--"], { env })).code, 0);
  assertEquals((await msgbus(["pull", "foo", "-f", "payload"], { env })).stdout, "--lines -u --\n");
  assertFailed(await msgbus(["pub", "foo", "-5"], { env }), 2, 'Unknown flag "-5", put -- before what is not a flag');
});

Deno.test("msgbus pub --lines publishes each line of a long input, in order", async () => {
  await using server = await startServer(["--max-payload-size", "40KiB"]);
  const env = { MSGBUS_URI: server.uri };
  const lines = Array.from({ length: 20_000 }, (_, index) => `line ${index}`);
  lines[500] = "x".repeat(40 * 1024);
  const run = await msgbus(["pub", "--lines", "foo"], { env, input: lines.join("\r\n\n") });
  assertEquals([run.code, run.stdout, run.stderr], [0, "", ""]);
  const pulled = await fetch(`${server.uri}/foo`, { method: "HEAD" });
  assertEquals(pulled.headers.get("msgbus-length"), "20000");
  for (const line of lines.slice(0, 502)) {
    assertEquals(decodeEnvelope(await (await fetch(`${server.uri}/foo`)).text()).text(), line);
  }
});

Deno.test("msgbus pub --lines publishes more lines at once than the topic retains, of which the last stay", async () => {
  await using server = await startServer(["--max-queue-size", "3"]);
  const env = { MSGBUS_URI: server.uri };
  assertEquals((await msgbus(["pub", "--lines", "foo"], { env, input: "a\nb\nc\nd\ne\nf\ng\n" })).code, 0);
  assertEquals((await msgbus(["pull", "foo", "-f", "payload"], { env })).stdout, "e\nf\ng\n");
});

Deno.test("msgbus pub --lines publishes a line as soon as it comes", async () => {
  await using server = await startServer();
  await using pub = start("msgbus", ["pub", "--lines", "foo", "--uri", server.uri, "--format", "json"]);
  await pub.write("first\nhalf a");
  assertEquals(JSON.parse((await pub.stdout.next())!).id, 0);
  await pub.write(" line\n");
  assertEquals(JSON.parse((await pub.stdout.next())!).id, 1);
  await pub.write("\n\r\n");
  await pub.end();
  assertEquals(await pub.stdout.next(), undefined);
  assertEquals(await pub.code, 0);
  const env = { MSGBUS_URI: server.uri };
  assertEquals((await msgbus(["pull", "foo", "-f", "payload"], { env })).stdout, "first\nhalf a line\n");
});

Deno.test("msgbus pub --lines says how far it came when the server refuses a line", async () => {
  await using server = await startServer(["--max-payload-size", "10"]);
  const env = { MSGBUS_URI: server.uri };
  const run = await msgbus(["pub", "--lines", "foo"], { env, input: "a\nb\n\nmuch too long\nc\n" });
  assertFailed(run, 1, "payload exceeds max-payload-size");
  assertStringIncludes(run.stderr, "(after 2 messages published)");
  assertFailed(await msgbus(["pub", "--lines", "foo"], { env, input: "much too long" }), 1, "payload exceeds");
  assertFailed(await msgbus(["pub", "--lines", "foo", "x"], { env }), 2, "Unexpected message: --lines");
});

Deno.test("msgbus topics lists topics, and msgbus info describes one", async () => {
  await using server = await startServer(["--ttl", "90s"]);
  const env = { MSGBUS_URI: server.uri };
  const none = await msgbus(["topics"], { env });
  assertEquals([none.code, none.stdout, none.stderr], [0, "", ""]);
  for (const topic of ["b", "a/ü"]) await msgbus(["pub", topic, "x"], { env });
  assertEquals((await msgbus(["topics"], { env })).stdout, "a/ü\nb\n");
  const list = (await msgbus(["--format", "json", "topics"], { env })).stdout.trimEnd().split("\n");
  const { created, cursor, bytes, ...topic } = JSON.parse(list[1]!);
  assertEquals(topic, { name: "b", ttl: 90_000_000_000, seq: 1, length: 1, pending: 1, subscribers: 0, groups: 0 });
  assert(bytes > 128);
  assertEquals((await msgbus(["info", "b", "--format", "json"], { env })).stdout, `${list[1]}\n`);
  assertEquals((await msgbus(["info", "b"], { env })).stdout.split("\n"), [
    "name         b",
    `created      ${created}`,
    "ttl          90s",
    "seq          1",
    "length       1",
    "pending      1",
    `bytes        ${bytes}`,
    "subscribers  0",
    "groups       0",
    `cursor       ${cursor}`,
    "",
  ]);
  assertFailed(await msgbus(["info", "c"], { env }), 3, 'No topic "c"');
});

Deno.test("msgbus rm deletes a topic", async () => {
  await using server = await startServer();
  const env = { MSGBUS_URI: server.uri };
  await msgbus(["pub", "foo", "x"], { env });
  const removed = await msgbus(["rm", "foo"], { env });
  assertEquals([removed.code, removed.stdout, removed.stderr], [0, "", ""]);
  assertFailed(await msgbus(["rm", "foo"], { env }), 3, 'No topic "foo"');
});

Deno.test("msgbus prints a message in every format, with nothing in it that a terminal would obey", async () => {
  await using server = await startServer();
  const env = { MSGBUS_URI: server.uri };
  const payload = "\x1b]0;owned\x07 a\nb\u202e\u009b1m";
  for (let i = 0; i < 3; i++) await msgbus(["pub", "foo"], { env, input: payload });
  const log = (await msgbus(["pull", "foo", "--count", "1"], { env })).stdout;
  assertEquals(
    LOG_LINE.exec(log.trimEnd())?.[1],
    "id=0 topic=foo payload=\\u001b]0;owned\\u0007 a\\nb\\u202e\\u009b1m",
  );
  const json = (await msgbus(["pull", "foo", "--count", "1", "--format", "json"], { env })).stdout;
  const message = decodeEnvelope(json);
  assertEquals([message.id, message.text(), `${encodeEnvelope(message)}\n`], [1, payload, json]);
  assertEquals((await msgbus(["pull", "foo", "--format", "payload"], { env })).stdout, `${payload}\n`);
});

Deno.test("msgbus refuses a command line that is wrong with 2, and says what is wrong", async () => {
  const wrong: [args: string[], part: string][] = [
    [["pbu", "foo", "x"], 'Unknown command "pbu", did you mean pub?; see msgbus help'],
    [["xyzzy\x1b"], 'Unknown command "xyzzy\\u001b"; see msgbus help'],
    [["help", "sbu"], "did you mean sub?"],
    [["sub"], "Too few arguments: msgbus sub <topics> [command [args…]]"],
    [["pull", "foo", "bar"], 'Unexpected argument "bar" of pull; see msgbus help pull'],
    [["sub", "--cuont", "3", "foo"], 'Unknown flag "--cuont", did you mean --count?; see msgbus help sub'],
    [["sub", "--no-reconect", "foo"], "did you mean --no-reconnect?"],
    [["pub", "foo", "--count", "3"], 'Unknown flag "--count"'],
    [["sub", "-x", "foo"], 'Unknown flag "-x"'],
    [["pull", "foo", "--count", "0"], 'Bad --count "0": not a whole number from 1 on; see msgbus help pull'],
    [["pull", "foo", "--count=1e3"], 'Bad --count "1e3"'],
    [["pull", "foo", "--count", "-1"], "Bad --count: it needs a value"],
    [["pull", "foo", "--count"], "Bad --count: it needs a value, a whole number from 1 on"],
    [["pull", "foo", "--count", "1", "-n", "2"], "Bad --count: given twice"],
    [["sub", "--timeout", "soon", "foo"], 'Bad --timeout "soon": not a duration such as 30s, up to 24d'],
    [["sub", "--timeout", "25d", "foo"], 'Bad --timeout "25d"'],
    [["sub", "--timeout", "0", "foo"], 'Bad --timeout "0"'],
    [["pull", "foo", "--format", "xml"], 'Bad --format "xml": not one of log, json, payload, or a template'],
    [["topics", "--format", "payload"], "not one of log, json"],
    [["rm", "foo", "--format", "json"], 'Unknown flag "--format"'],
    [["sub", "--no-reconnect=yes", "foo"], "it takes no value"],
    [["topics", "--uri", "ws://localhost"], 'Bad URI "ws://localhost": it must begin with http:// or https://'],
    [["topics", "--uri", ":8000"], 'Bad URI "http://:8000": it should look like http://localhost:8000'],
    [["topics", "--uri", ""], "Bad --uri: it needs a value"],
    [["pull", "foo", "--lease", "500ms"], 'Bad --lease "500ms": not a duration such as 30s, from 1s to 12h'],
    [["pull", "foo", "--from", "earliest"], 'Bad --from "earliest": only a --group begins; see msgbus help pull'],
    [["pull", "foo", "--from", "soon", "-g", "g"], 'Bad --from "soon": not latest, earliest'],
    [["work", "foo"], "Too few arguments: msgbus work <topic> [--] <command> [args…]"],
    [["work", "foo", "--parallel", "0", "true"], 'Bad --parallel "0": not a whole number from 1 to 10000'],
    [["work", "foo", "--from", "1h", "true"], 'Bad --from "1h": only a --group begins; see msgbus help work'],
    [["nack", "token", "--delay", "13h"], 'Bad --delay "13h"'],
    [["extend", "token", "--lease", "13h"], 'Bad --lease "13h"'],
    [["ack"], "No token to ack; see msgbus help ack"],
    [["groups", "a//b"], 'Bad topic name "a//b"'],
    [["groups", "--delete", "g"], "Bad --delete: of which topic?"],
    [["dead", "a", "b"], 'Unexpected argument "b" of dead'],
    [["dead", "a", "--queue", "-g", "g"], "Bad --queue: it can't go with --group; see msgbus help dead"],
    [["redrive"], "Too few arguments: msgbus redrive <topic>"],
    [["pub", "foo", "--header", "no colon", "x"], `Bad --header "no colon": not a header such as 'trace: 1a2b'`],
    [["pub", "foo", "--header", "a: 1", "--header", "A: 2", "x"], 'Bad --header "A": given twice'],
    [
      ["pub", "foo", "--header", "msgbus-x: 1", "x"],
      'Bad header name "msgbus-x": those with msgbus- are the server\'s',
    ],
    [["pub", "foo", "--header", "a: \x01", "x"], 'Bad value of header "a"'],
    [["pub", "foo", "--key", "x".repeat(257), "x"], "Bad key"],
    [["pub", "foo", "--content-type", "nonsense", "x"], 'Bad content type "nonsense"'],
    [["pub", "foo", "--ttl", "-1s", "x"], "Bad --ttl: it needs a value"],
    [["pub", "foo", "--ttl", "1y", "x"], 'Bad --ttl "1y"'],
    [["pub", "foo", "--delay", "0", "x"], 'Bad --delay "0"'],
    [["pub", "foo", "--at", "10m", "x"], 'Bad --at "10m": not a time such as 2026-11-23T10:00:00Z'],
    [["pub", "foo", "--if-match", "latest", "x"], 'Bad --if-match "latest": not an id such as 42'],
    [["pub", "foo", "--delay", "1s", "--at", "2026-11-23T10:00:00Z", "x"], "Bad --at: it can't go with --delay"],
    [["pub", "foo", "--delay", "1s", "--if-match", "3", "x"], "Bad --if-match: it can't go with --delay"],
    [["pub", "foo", "--lines", "--idempotency-key", "k"], "Bad --idempotency-key: it can't go with --lines"],
    [["request", "foo", "--timeout", "6m", "x"], 'Bad --timeout "6m": not a duration such as 30s, up to 5m'],
    [["reply"], "Too few arguments: msgbus reply <token> [message…]"],
    [["cancel", "foo"], "Too few arguments: msgbus cancel <topic> <token>"],
    [["pub", "a//b", "x"], 'Bad topic name "a//b": an empty segment'],
    [["pull", "e\u0301"], "not in Unicode normal form C"],
    [["info", "metrics"], "the name is the server's"],
  ];
  // All at once would be as many processes.
  for (let at = 0; at < wrong.length; at += 4) {
    await Promise.all(wrong.slice(at, at + 4).map(async ([args, part]) => assertFailed(await msgbus(args), 2, part)));
  }
});

Deno.test("msgbus says in one line that it can't reach the server, and exits with 4", async () => {
  const uri = unusedUri();
  const commands = [
    ["pub", "foo", "x"],
    ["pull", "foo"],
    ["topics"],
    ["info", "foo"],
    ["rm", "foo"],
    ["ack", "token"],
    ["groups"],
    ["dead", "foo"],
    ["redrive", "foo"],
    ["request", "foo", "x"],
    ["scheduled", "foo"],
  ];
  await Promise.all(
    [...commands, ["sub", "--no-reconnect", "foo"]].map(async (args) => {
      assertFailed(await msgbus(["--uri", uri, ...args]), 4, `Cannot reach ${uri}: connection refused`);
    }),
  );
});

Deno.test("msgbus says what the server says when it refuses, and exits with 1 or 2", async () => {
  await using server = await startServer(["--max-payload-size", "3"]);
  const env = { MSGBUS_URI: server.uri };
  assertFailed(await msgbus(["pub", "foo", "long"], { env }), 1, "payload exceeds max-payload-size");
  assertFailed(await msgbus(["pub", "foo/-dead", "x"], { env }), 2, "the name is the server's");
});

Deno.test("msgbus says in one line what it is not permitted to do", async () => {
  const run = (...permissions: string[]) => msgbus(["topics"], { permissions: ["--no-prompt", ...permissions] });
  assertFailed(await run("--allow-net"), 1, 'Not permitted: Requires env access to "MSGBUS_URI"');
  assertFailed(await run("--allow-env"), 4, "Cannot reach http://localhost:8000: Requires net access");
});

Deno.test("msgbus ends quietly when nobody reads what it prints", async () => {
  await using server = await startServer();
  const env = { MSGBUS_URI: server.uri };
  await msgbus(["pub", "--lines", "foo"], { env, input: "x\n".repeat(1000) });
  await using pull = start("msgbus", ["pull", "foo"], { env });
  await pull.stdout.next();
  await pull.stdout.close();
  assertEquals([await pull.code, await pull.stderr.rest()], [0, []]);
});

Deno.test("msgbus --help tells all about a command, from the same tables as its flags", async () => {
  for (const args of [["help"], ["--help"], ["-h"], ["help", "help"]]) {
    const { code, stdout, stderr } = await msgbus(args);
    assertEquals([code, stderr], [0, ""]);
    for (const { name, synopsis, summary } of COMMANDS) {
      assertStringIncludes(stdout, `${name} ${synopsis}`.trimEnd());
      assertStringIncludes(stdout, summary);
    }
  }
  await Promise.all(COMMANDS.map(async ({ name, flags, examples }) => {
    const { code, stdout } = await msgbus([name, "--help"]);
    assertEquals(code, 0);
    for (const flag of ["uri", "help", ...Object.keys(flags)]) assertMatch(stdout, new RegExp(`--(no-)?${flag}\\b`));
    for (const example of examples) assertStringIncludes(stdout, example);
    assertEquals((await msgbus(["help", name])).stdout, stdout);
  }));
});

Deno.test("msgbus without a command explains itself on standard error, and exits with 2", async () => {
  const help = (await msgbus(["help"])).stdout;
  for (const args of [[], ["--format", "json"], ["-u", unusedUri()]]) {
    const { code, stdout, stderr } = await msgbus(args);
    assertEquals([code, stdout, stderr], [2, "", help]);
  }
});

Deno.test("msgbus --version tells the version", async () => {
  for (const flag of ["--version", "-v"]) assertEquals((await msgbus([flag])).stdout, `msgbus ${VERSION}\n`);
});
