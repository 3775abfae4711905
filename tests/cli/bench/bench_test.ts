import { assert, assertEquals, assertMatch, assertStringIncludes } from "../../deps.ts";
import { unusedUri } from "../../client/local_server.ts";
import { msgbus, start, startServer } from "../../processes.ts";

// Longer than any test: it is the number of messages that ends them.
const COUNTED = ["--time", "10m", "--json"];

Deno.test("msgbus bench measures as many messages as asked for, and leaves nothing behind", async () => {
  await using server = await startServer();
  const env = { MSGBUS_URI: server.uri };
  const runs: [args: string[], figures: Record<string, unknown>][] = [
    [["pub", "--count", "57", "--connections", "3", "--batch", "10"], { connections: 3, batch: 10, published: 57 }],
    [["pub", "--count", "5", "--size", "0"], { size: 0, published: 5 }],
    [["sub", "--count", "40", "--subscribers", "3"], { subscribers: 3, published: 40, received: 120, missed: 0 }],
    [["pull", "--count", "2100"], { connections: 10, batch: 1, pulled: 2100 }],
    [["pull", "--count", "57", "--batch", "10", "--size", "1KiB"], { size: 1024, pulled: 57 }],
    [["latency", "--count", "20", "--rate", "5000", "--subscribers", "2"], { published: 20, received: 40, missed: 0 }],
  ];
  for (const [args, expected] of runs) {
    const { code, stdout, stderr } = await msgbus(["bench", ...args, ...COUNTED], { env });
    assertEquals([code, stderr], [0, ""]);
    const figures = JSON.parse(stdout);
    assertMatch(figures.topic, /^bench\/[0-9a-f]{8}$/);
    for (const [name, value] of Object.entries({ bench: args[0], ...expected })) {
      assertEquals(figures[name], value, `${args.join(" ")}: ${name}`);
    }
    if (args[0] !== "sub") {
      assert(figures.p50Ms > 0 && figures.p50Ms <= figures.p99Ms && figures.p99Ms <= figures.maxMs);
    }
  }
  assertEquals((await msgbus(["topics"], { env })).stdout, "");
});

Deno.test("msgbus bench latency ends in time and says so when the rate can't be kept", async () => {
  await using server = await startServer();
  const args = ["bench", "latency", "--rate", "1000000", "--connections", "5", "--time", "300ms", "--json"];
  const { code, stdout } = await msgbus(args, { env: { MSGBUS_URI: server.uri } });
  const { connections, rate, rateKept, published, publishedPerSecond, received, missed } = JSON.parse(stdout);
  assertEquals([code, connections, rate, rateKept], [0, 5, 1_000_000, false]);
  assert(published > 0 && published < 300_000 && publishedPerSecond < 1_000_000);
  assertEquals(received + missed, published);
});

Deno.test("msgbus bench prints a table, and a topic that was named stays", async () => {
  await using server = await startServer();
  const env = { MSGBUS_URI: server.uri };
  const { stdout } = await msgbus(["bench", "pub", "--count", "5", "--topic", "/mine/"], { env });
  assertMatch(
    stdout,
    /^bench +pub\ntopic +mine\npayload +100 bytes\n(.*\n)*published +5\n(.*\n)*request p99 +[0-9.]+ ms\n/,
  );
  assertEquals((await msgbus(["topics"], { env })).stdout, "mine\n");
});

Deno.test("msgbus bench deletes its topic and prints what it has when it is interrupted", async () => {
  await using server = await startServer();
  const env = { MSGBUS_URI: server.uri };
  for (const kind of ["pub", "sub", "pull", "latency"]) {
    await using bench = start("msgbus", ["bench", kind, ...COUNTED], { env });
    while ((await msgbus(["topics"], { env })).stdout === "");
    bench.kill("SIGINT");
    assertEquals(JSON.parse((await bench.stdout.rest()).join("\n")).bench, kind);
    assertEquals([await bench.code, await bench.stderr.rest()], [0, []]);
    assertEquals((await msgbus(["topics"], { env })).stdout, "");
  }
});

Deno.test("msgbus bench counts what its subscribers miss", async () => {
  await using server = await startServer(["--max-queue-size", "10"]);
  const args = ["bench", "sub", "--count", "5000", "--batch", "10", "--publishers", "50", "--subscribers", "2"];
  const { stdout } = await msgbus([...args, ...COUNTED], { env: { MSGBUS_URI: server.uri } });
  const { published, received, missed } = JSON.parse(stdout);
  assertEquals([published, received + missed], [5000, 10_000]);
});

Deno.test("msgbus bench fails in one line when the server refuses, is not there or is asked for nonsense", async () => {
  await using server = await startServer(["--max-payload-size", "10"]);
  const runs: [args: string[], code: number, part: string][] = [
    [["pub", "--uri", server.uri], 1, "payload exceeds max-payload-size"],
    [["latency", "--uri", server.uri], 1, "payload exceeds max-payload-size"],
    [["pull", "--uri", server.uri], 1, "payload exceeds max-payload-size"],
    [["pub", "--uri", unusedUri()], 4, "Cannot reach"],
    [["sub", "--uri", unusedUri()], 4, "Cannot reach"],
    [["latancy"], 2, 'Unknown benchmark "latancy", did you mean latency?'],
    [["pub", "--subscribers", "3"], 2, "Bad --subscribers: bench pub has no use for it"],
    [["latency", "--size", "15"], 2, 'Bad --size "15": here it must be at least 16'],
    [["pub", "--size", "0", "--batch", "2"], 2, "it must be at least 1"],
    [["pub", "--rate", "0"], 2, 'Bad --rate "0"'],
    [["pub", "--topic", "a//b"], 2, "an empty segment"],
  ];
  for (const [args, expected, part] of runs) {
    const { code, stdout, stderr } = await msgbus(["bench", ...args]);
    assertStringIncludes(stderr, part);
    assertEquals([code, stdout, stderr.split("\n").length], [expected, "", 2], stderr);
  }
});
