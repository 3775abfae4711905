import { assert, assertEquals, assertMatch, assertStringIncludes } from "../deps.ts";
import { msgbus, type Outcome, type Server, startServer } from "../processes.ts";

/** Runs msgbus against a server. */
function at(server: Server) {
  return (args: readonly string[], input?: string) => msgbus(args, { env: { MSGBUS_URI: server.uri }, input });
}

function ended({ code, stdout, stderr }: Outcome): [number, string, string] {
  return [code, stdout, stderr];
}

Deno.test("msgbus pull takes for a group, which begins where it is told", async () => {
  await using server = await startServer();
  const run = at(server);
  await run(["pub", "--lines", "jobs"], "a\nb\nc\n");
  assertEquals((await run(["pull", "jobs", "--group", "g", "-n", "2", "-f", "payload"])).stdout, "a\nb\n");
  assertEquals((await run(["pull", "jobs", "-g", "late", "--from", "last:1", "-f", "payload"])).stdout, "c\n");
  assertEquals((await run(["pull", "jobs", "-g", "g", "-f", "payload"])).stdout, "c\n");
  assertEquals((await run(["pull", "jobs", "-f", "payload"])).stdout, "a\nb\nc\n");
  assertEquals(ended(await run(["pull", "jobs", "-g", "a/b"])).slice(0, 2), [2, ""]);
});

Deno.test("msgbus pull --lease prints tokens that msgbus ack, nack and extend take", async () => {
  await using server = await startServer();
  const run = at(server);
  await run(["pub", "--lines", "jobs"], "a\nb\nc\n");
  const [first, second] = (await run(["pull", "jobs", "-l", "30s", "-n", "2", "-f", "{lease} {attempt}"])).stdout
    .trim().split("\n").map((line) => line.split(" ")) as [string[], string[]];
  assertEquals([first[1], second[1]], ["1", "1"]);
  assertEquals(ended(await run(["extend", second[0]!, "--lease", "1m"])), [0, "", ""]);
  assertEquals(ended(await run(["ack", first[0]!])), [0, "", ""]);
  assertEquals(ended(await run(["ack", first[0]!])), [3, "", `msgbus: Unknown lease "${first[0]}"\n`]);
  // One that is known and one that isn't.
  const nacked = await run(["nack", first[0]!, second[0]!, "--format", "json"]);
  assertEquals([nacked.code, JSON.parse(nacked.stdout)], [3, { done: [second[0]], unknown: [first[0]] }]);
  const log = await run(["pull", "jobs", "--lease", "30s", "-n", "1"]);
  assertMatch(log.stdout, /received message: id=1 topic=jobs attempt=2 lease=\S+ payload=b$/m);
});

Deno.test("msgbus ack takes tokens from standard input", async () => {
  await using server = await startServer();
  const run = at(server);
  await run(["pub", "--lines", "jobs"], "a\nb\nc\n");
  const tokens = (await run(["pull", "jobs", "--lease", "30s", "--format", "{lease}"])).stdout;
  assertEquals(ended(await run(["ack"], tokens)), [0, "", ""]);
  assertEquals((await run(["nack", "-"], ` ${tokens}\n`)).code, 3);
  assertEquals(ended(await run(["ack"], " \n")), [2, "", "msgbus: No token to ack; see msgbus help ack\n"]);
});

Deno.test("msgbus nack says when, why, and whether it counts, and msgbus dead tells the story", async () => {
  await using server = await startServer(["--max-attempts", "2", "--ttl", "0"]);
  const run = at(server);
  await run(["pub", "jobs", "pay\nload"]);
  const lease = async () =>
    (await run(["pull", "jobs", "-g", "g", "-l", "30s", "-w", "20s", "-n", "1", "-f", "{lease} {attempt}"])).stdout
      .trim().split(" ") as [string, string];
  const [first] = await lease();
  assertEquals(ended(await run(["nack", first, "--no-count"])), [0, "", ""]);
  const [second, attempt] = await lease();
  assertEquals(attempt, "1");
  assertEquals((await run(["nack", second, "--delay", "500ms"])).code, 0);
  const [third, last] = await lease();
  assertEquals(last, "2");
  assertEquals(ended(await run(["dead", "jobs"])), [3, "", 'msgbus: No dead letters of "jobs"\n']);
  assertEquals((await run(["nack", third, "--reason", 'said "no"\n'])).code, 0);
  const { stdout } = await run(["dead", "/jobs/"]);
  assertMatch(
    stdout,
    /^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d id=0 from=0 group=g attempts=2 reason="said \\"no\\"\\n" payload=pay\\nload\n$/,
  );
  assertEquals((await run(["dead", "jobs", "-f", "{header:msgbus-dead-topic} {id}"])).stdout, "jobs 0\n");
  assertEquals(JSON.parse((await run(["dead", "jobs", "-f", "json"])).stdout).topic.name, "jobs/-dead");
  assertEquals((await run(["dead", "jobs", "--queue"])).code, 3);
  assertEquals((await run(["dead", "jobs", "--group", "g", "--format", "payload"])).stdout, "pay\nload\n");
});

Deno.test("msgbus dead shows as many dead letters as there are, of the group that is wanted, or as are asked for", async () => {
  await using server = await startServer(["--max-attempts", "1", "--ttl", "0"]);
  const run = at(server);
  // More than a page.
  await run(["pub", "--lines", "jobs"], Array.from({ length: 1_100 }, (_, id) => `${id}\n`).join(""));
  for (const [group, count] of [["g", "1100"], ["h", "3"]] as const) {
    const pulled = await run(["pull", "jobs", "-g", group, "-l", "30s", "-n", count, "-f", "{lease}"]);
    assertEquals((await run(["nack", "--reason", "no"], pulled.stdout)).code, 0);
  }
  const shown = async (...flags: string[]) =>
    (await run(["dead", "jobs", "-f", "payload", ...flags])).stdout.split("\n");
  assertEquals((await shown()).length - 1, 1_103);
  assertEquals(await shown("--group", "h"), ["0", "1", "2", ""]);
  assertEquals(await shown("--count", "2"), ["0", "1", ""]);
});

Deno.test("msgbus groups tells how far groups are, and forgets one", async () => {
  await using server = await startServer(["--ttl", "60s"]);
  const run = at(server);
  assertEquals(ended(await run(["groups"])), [0, "", ""]);
  assertEquals(ended(await run(["groups", "jobs"])), [3, "", 'msgbus: No topic "jobs"\n']);
  await run(["pub", "--lines", "jobs"], "a\nb\nc\n");
  await run(["pull", "jobs", "--group", "mailer", "--lease", "30s", "-n", "1"]);
  await run(["pull", "jobs", "--group", "audit", "-n", "2"]);
  const { code, stdout, stderr } = await run(["groups", "jobs"]);
  assertEquals(code, 0);
  assertEquals(stderr.match(/^msgbus: "jobs" group "mailer": messages are kept for 1m, less than .*\n$/)?.length, 1);
  const rows = stdout.trimEnd().split("\n").map((line) => line.split(/ +/));
  assertEquals(
    rows.map(([topic, group, lag, leased, , , attempts, , acked]) => [topic, group, lag, leased, attempts, acked]),
    [
      ["TOPIC", "GROUP", "LAG", "LEASED", "ATTEMPTS", "ACKED"],
      ["jobs", "-", "3", "0", "0", "0"],
      ["jobs", "mailer", "2", "1", "1", "0"],
      ["jobs", "audit", "1", "0", "0", "2"],
    ],
  );
  assert(rows.every((row) => row.length === rows[0]!.length));
  const lines = (await run(["groups", "--format", "json"])).stdout.trimEnd().split("\n").map((line) =>
    JSON.parse(line)
  );
  assertEquals(lines.map(({ topic, group, acked }) => [topic, group, acked]), [["jobs", "mailer", 0], [
    "jobs",
    "audit",
    2,
  ]]);
  const served = await (await fetch(`${server.uri}/-/groups`)).json();
  assertEquals(lines.map((line) => Object.keys(line).sort()), served.map((line: object) => Object.keys(line).sort()));
  assertEquals(ended(await run(["groups", "jobs", "--delete", "mailer"])), [0, "", ""]);
  assertEquals(ended(await run(["groups", "jobs", "--delete", "mailer"])), [
    3,
    "",
    'msgbus: No group "mailer" of "jobs"\n',
  ]);
  assertStringIncludes((await run(["groups", "jobs", "--delete=-"])).stderr, 'Bad group name "-"');
});

Deno.test("msgbus redrive publishes dead letters again, of all groups or of one", async () => {
  await using server = await startServer(["--max-attempts", "1", "--ttl", "0"]);
  const run = at(server);
  assertEquals(ended(await run(["redrive", "jobs"])), [3, "", 'msgbus: No topic "jobs"\n']);
  await run(["pub", "--lines", "jobs"], "a\nb\n");
  assertEquals(ended(await run(["redrive", "jobs"])), [3, "", 'msgbus: No dead letters of "jobs"\n']);
  for (const flags of [["-g", "g"], ["-g", "h"], []]) {
    const pulled = await run(["pull", "jobs", ...flags, "-l", "30s", "-f", "{lease}"]);
    assertEquals((await run(["nack"], pulled.stdout)).code, 0);
  }
  assertEquals(ended(await run(["redrive", "jobs", "--group", "g"])), [
    0,
    "",
    'msgbus: redriven 2 dead letters to "jobs"\n',
  ]);
  assertEquals((await run(["pull", "jobs", "-g", "h", "-f", "{id} {payload}"])).stdout, "2 a\n3 b\n");
  assertEquals((await run(["dead", "jobs", "-f", "{header:msgbus-dead-group}"])).stdout, "h\nh\n\n\n");
  const queue = await run(["redrive", "jobs", "--queue", "-f", "json"]);
  assertEquals([queue.code, JSON.parse(queue.stdout)], [0, { redriven: 2, remaining: 0 }]);
  assertEquals((await run(["redrive", "jobs"])).code, 0);
  assertEquals((await run(["dead", "jobs"])).code, 3);
});

Deno.test("msgbus redrive says how many dead letters are left when the topic takes no more", async () => {
  await using server = await startServer([
    "--max-attempts",
    "1",
    "--ttl",
    "0",
    "--max-queue-size",
    "2",
    "--discard",
    "new",
  ]);
  const run = at(server);
  for (const payload of ["a", "b"]) await run(["pub", "jobs", payload]);
  await run(["nack"], (await run(["pull", "jobs", "-l", "30s", "-f", "{lease}"])).stdout);
  // Of what is retained only one may go now: the other one was not taken.
  await run(["pub", "jobs", "c"]);
  const redriven = await run(["redrive", "jobs"]);
  assertEquals(ended(redriven), [
    1,
    "",
    'msgbus: redriven 1 dead letter to "jobs"\nmsgbus: Left 1 dead letter: the topic took no more\n',
  ]);
});
