import { fileURLToPath } from "node:url";
import { decodeEnvelope } from "../../lib/wire/json.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../deps.ts";
import { lastingPort } from "../lasting_port.ts";
import { unusedUri } from "../client/local_server.ts";
import { msgbus, type Program, type Server, start, startServer } from "../processes.ts";

/** Publishes, with options as a query. */
async function publish(server: Server, target: string, payload: string | Uint8Array<ArrayBuffer>): Promise<void> {
  const response = await fetch(`${server.uri}/${target}`, { method: "POST", body: payload });
  assertEquals([response.status, await response.text()], [202, ""]);
}

/** Starts msgbus work; the flags are those before the command. */
function work(server: Server, flags: readonly string[], command: readonly string[]): Program {
  return start("msgbus", ["work", ...flags, "--", ...command], { env: { MSGBUS_URI: server.uri } });
}

/** A command that runs this script of the shell. */
function sh(script: string): string[] {
  return ["sh", "-c", script];
}

/** A command that runs this code; what it prints comes out of msgbus. */
function script(code: string): string[] {
  return [Deno.execPath(), "eval", "--quiet", "--no-lock", code];
}

/** Code that waits until there is something to pull from `go`. */
function untilGo(server: Server): string {
  return `while (!await fetch("${server.uri}/go?wait=30s").then((r) => r.text().then(() => r.ok)));`;
}

/** Lets a program end as it should when it is told to, and gives what it said last, whether or not a command ran. */
async function drained(program: Program): Promise<string[]> {
  program.kill("SIGTERM");
  assertEquals(await program.code, 0);
  return (await program.stderr.rest()).filter((line) => !line.includes("a second signal kills"));
}

/** A group as the server tells of it. */
async function group(server: Server, topic: string, name: string): Promise<Record<string, unknown>> {
  const groups = await (await fetch(`${server.uri}/-/groups?topic=${topic}`)).json();
  return groups.find((each: { group: string }) => each.group === name);
}

/** The attempt that a message has when it is leased now; `undefined` if there is none. */
async function nextAttempt(server: Server, query: string): Promise<number | undefined> {
  const response = await fetch(`${server.uri}/${query}`);
  const body = await response.text();
  return response.status === 404 ? undefined : decodeEnvelope(body).attempt;
}

Deno.test("msgbus work is done with a message when its command exits with 0, and tries again when it does not", async () => {
  await using server = await startServer(["--ttl", "0", "--max-attempts", "3"]);
  const directory = await Deno.makeTempDir();
  for (const payload of ["0", "1", "75", "KILL"]) await publish(server, "jobs", payload);
  // The one with 75 fails five times, which is more than it may for good.
  const command = sh(`code=$(cat); echo "$code $MSGBUS_ATTEMPT"
    case $code in
      KILL) kill -9 $$;;
      75) echo x >>${directory}/tries; [ $(wc -l <${directory}/tries) -gt 5 ] || exit 75; exit 0;;
      *) exit $code;;
    esac`);
  try {
    await using program = work(server, ["jobs", "--group", "g", "--backoff", "1ms"], command);
    const seen: Record<string, string[]> = { 0: [], 1: [], 75: [], KILL: [] };
    for (let lines = 0; lines < 1 + 3 + 6 + 3; lines++) {
      const [code, attempt] = (await program.stdout.next())!.split(" ");
      seen[code!]!.push(attempt!);
    }
    assertEquals(seen, { 0: ["1"], 1: ["1", "2", "3"], 75: Array(6).fill("1"), KILL: ["1", "2", "3"] });
    const said = await drained(program);
    assertEquals(said.at(-1), "msgbus: ran 13 times: 2 done, 6 failed, 5 handed back");
    assertEquals(said.filter((line) => line.endsWith(": SIGKILL")).length, 3);
    assertEquals(await program.stdout.rest(), []);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
  const { acked, dead, lag } = await group(server, "jobs", "g");
  assertEquals([acked, dead, lag], [2, 2, 0]);
  const env = { MSGBUS_URI: server.uri };
  const format = "{payload} {header:msgbus-dead-attempts} {header:msgbus-dead-reason}";
  const letters = (await msgbus(["dead", "jobs", "--format", format], { env })).stdout.split("\n").sort();
  assertEquals(letters, ["", "1 3 exit 1", "KILL 3 killed by SIGKILL"]);
});

Deno.test("msgbus work gives its command the payload to read, and the rest in its environment", async () => {
  await using server = await startServer(["--ttl", "0"]);
  const code = `
    const bytes = new Uint8Array(await new Response(Deno.stdin.readable).arrayBuffer());
    const env = Object.fromEntries(Object.entries(Deno.env.toObject()).filter(([name]) => name.startsWith("MSGBUS_")));
    console.log(JSON.stringify({ bytes: [...bytes], env, args: Deno.args }));`;
  const outer = {
    MSGBUS_URI: "http://127.0.0.1:1",
    MSGBUS_KEY: "of somebody else",
    MSGBUS_PAYLOAD: "of somebody else",
    MSGBUS_GROUP: "of somebody else",
  };
  await publish(server, "a/b", new Uint8Array([0x61, 0, 0xff]));
  await publish(server, "a/b?ttl=1h&key=k+1&content-type=text/plain", "Grüße\n");
  const args = ["work", "a/b", "-u", server.uri, ...script(code), "--group", "-x", "--", "y z"];
  await using program = start("msgbus", args, { env: outer });
  const runs = [];
  for (let run = 0; run < 2; run++) runs.push(JSON.parse((await program.stdout.next())!));
  await drained(program);
  const [first, second] = runs;
  assertEquals(first.args, ["--group", "-x", "--", "y z"]);
  assertEquals(first.bytes, [0x61, 0, 0xff]);
  const { MSGBUS_LEASE: lease, MSGBUS_CREATED: created, MSGBUS_CURSOR: cursor, ...env } = first.env;
  assertEquals(env, {
    MSGBUS_URI: server.uri,
    MSGBUS_TOPIC: "a/b",
    MSGBUS_ID: "0",
    MSGBUS_GROUP: "",
    MSGBUS_ATTEMPT: "1",
    MSGBUS_HEADERS: "{}",
  });
  assert(lease.length > 10);
  assertMatch(created, /^\d{4}-\d\d-\d\dT.*Z$/);
  assertMatch(cursor, /^1@/);
  assertEquals(new TextDecoder().decode(Uint8Array.from(second.bytes)), "Grüße\n");
  const { MSGBUS_KEY: key, MSGBUS_CONTENT_TYPE: type, MSGBUS_PAYLOAD: payload, MSGBUS_EXPIRES: expires } = second.env;
  assertEquals([key, type, payload], ["k 1", "text/plain", "Grüße\n"]);
  assertEquals(Date.parse(expires) - Date.parse(second.env.MSGBUS_CREATED), 3_600_000);
});

Deno.test("msgbus work lets a command take longer than the lease, and nobody else gets its message meanwhile", async () => {
  await using server = await startServer(["--ttl", "0"]);
  await publish(server, "jobs", "long");
  const command = script(`console.log("begun"); ${untilGo(server)} console.log("done");`);
  await using program = work(server, ["jobs", "-g", "g", "--lease", "5s"], command);
  assertEquals(await program.stdout.next(), "begun");
  // More than two leases.
  assertEquals(await nextAttempt(server, "jobs?group=g&lease=5s&wait=11s"), undefined);
  await publish(server, "go", "on");
  assertEquals(await program.stdout.next(), "done");
  assertEquals(await drained(program), ["msgbus: ran 1 time: 1 done"]);
  const { acked, lag, leased } = await group(server, "jobs", "g");
  assertEquals([acked, lag, leased], [1, 0, 0]);
});

Deno.test("msgbus work lets its commands finish when it is told to end, and begins no others", async () => {
  await using server = await startServer(["--ttl", "0"]);
  for (const payload of ["a", "b", "c"]) await publish(server, "jobs", payload);
  const command = script(`console.log("begun"); ${untilGo(server)} console.log("done");`);
  await using program = work(server, ["jobs", "-g", "g", "--parallel", "2"], command);
  assertEquals([await program.stdout.next(), await program.stdout.next()], ["begun", "begun"]);
  program.kill("SIGTERM");
  assertEquals(
    await program.stderr.next(),
    "msgbus: waiting for 2 commands to end; a second signal kills them",
  );
  for (let i = 0; i < 2; i++) await publish(server, "go", "on");
  assertEquals([await program.stdout.rest(), await program.code], [["done", "done"], 0]);
  assertEquals(await program.stderr.rest(), ["msgbus: ran 2 times: 2 done"]);
  const { acked, lag, leased } = await group(server, "jobs", "g");
  assertEquals([acked, lag, leased], [2, 1, 0]);
});

Deno.test("msgbus work hands back, not counted, what the same signal has ended", async () => {
  await using server = await startServer(["--ttl", "0"]);
  await publish(server, "jobs", "a");
  const command = script(`console.log("begun"); ${untilGo(server)} Deno.kill(Deno.pid, "SIGINT");`);
  await using program = work(server, ["jobs", "-g", "g"], command);
  assertEquals(await program.stdout.next(), "begun");
  program.kill("SIGINT");
  await program.stderr.find("waiting for the command that runs to end; a second signal kills it");
  await publish(server, "go", "on");
  assertEquals([await program.code, await program.stderr.rest()], [0, ["msgbus: ran 1 time: 0 done, 1 handed back"]]);
  assertEquals(await nextAttempt(server, "jobs?group=g&lease=30s"), 1);
});

Deno.test("msgbus work kills its commands at a second signal, and hands their messages back", async () => {
  await using server = await startServer(["--ttl", "0"]);
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    await publish(server, signal, "a");
    // It ignores what would let it end before, and so does what it runs.
    const command = sh("trap '' INT TERM; echo begun; exec sleep 1000");
    await using program = work(server, [signal, "-g", "g"], command);
    assertEquals(await program.stdout.next(), "begun");
    program.kill(signal);
    await program.stderr.find("a second signal kills it");
    program.kill(signal);
    assertEquals(await program.code, code);
    // The command has gone with it: nobody holds the output any more.
    assertEquals(await program.stdout.rest(), []);
    assertEquals(await nextAttempt(server, `${signal}?group=g&lease=30s`), 1);
  }
});

Deno.test("msgbus work that is killed leaves its message to another one", async () => {
  await using server = await startServer(["--ttl", "0"]);
  await publish(server, "jobs", "a");
  const command = script(`console.log(Deno.env.get("MSGBUS_ATTEMPT"));
    if (Deno.env.get("MSGBUS_ATTEMPT") === "1") ${untilGo(server)}`);
  await using first = work(server, ["jobs", "-g", "g", "--lease", "1s"], command);
  assertEquals(await first.stdout.next(), "1");
  first.kill("SIGKILL");
  await first.code;
  try {
    await using second = work(server, ["jobs", "-g", "g"], command);
    assertEquals(await second.stdout.next(), "2");
    assertEquals(await drained(second), ["msgbus: ran 1 time: 1 done"]);
    assertEquals((await group(server, "jobs", "g")).acked, 1);
  } finally {
    await publish(server, "go", "on"); // the command of the first is still there
  }
});

Deno.test("msgbus work shares the messages of a group with another one", async () => {
  await using server = await startServer(["--ttl", "0"]);
  for (let id = 0; id < 20; id++) await publish(server, "jobs", `${id}`);
  const command = script(`const id = Deno.env.get("MSGBUS_ID"); console.log(id); if (id < 2) ${untilGo(server)}`);
  await using first = work(server, ["jobs", "-g", "g"], command);
  await using second = work(server, ["jobs", "-g", "g"], command);
  const seen = [await first.stdout.next(), await second.stdout.next()];
  assertEquals([...seen].sort(), ["0", "1"]);
  for (let i = 0; i < 2; i++) await publish(server, "go", "on");
  // Whoever does the last one waits for more.
  while ((await group(server, "jobs", "g")).acked !== 20) {
    await (await fetch(`${server.uri}/nothing?wait=50ms`)).body?.cancel();
  }
  await Promise.all([drained(first), drained(second)]);
  seen.push(...await first.stdout.rest(), ...await second.stdout.rest());
  assertEquals(seen.map(Number).sort((a, b) => a - b), Array.from({ length: 20 }, (_, id) => id));
});

Deno.test("msgbus work goes on when the server has started anew, and ends the command of a message that is gone", async () => {
  const port = lastingPort();
  const first = await startServer(["--ttl", "0"], port);
  await publish(first, "jobs", "before");
  const command = sh("echo $(cat); [ $MSGBUS_TOPIC = jobs ] && exec sleep 1000");
  await using program = work(first, ["jobs", "-g", "g", "--lease", "3s"], command);
  assertEquals(await program.stdout.next(), "before");
  {
    await using server = first;
    await server.stop();
  }
  assertMatch(
    await program.stderr.find("trying again in"),
    /^msgbus: (Cannot reach .*: connection refused|.*shutting down); trying again in \d\.\d s$/,
  );
  await using second = await startServer(["--ttl", "0"], port);
  await program.stderr.find('Lost the lease of message 0 of "jobs": it may be done twice');
  await publish(second, "jobs", "after");
  assertEquals(await program.stdout.next(), "after");
  program.kill("SIGTERM");
  await program.stderr.find("a second signal kills it");
  program.kill("SIGTERM");
  assertEquals(await program.code, 143);
});

Deno.test("msgbus work ends with 2 when its command can't be run, before it has leased anything", async () => {
  const unable: [permissions: string[], command: string, fault: string][] = [
    [["--allow-run"], "no-such-command", "no such command"],
    [["--allow-run"], fileURLToPath(new URL("../../README.md", import.meta.url)), "it is not executable"],
    [["--deny-run"], Deno.execPath(), "Deno was not given --allow-run"],
  ];
  for (const [run, command, fault] of unable) {
    const permissions = ["--no-prompt", "--allow-net", "--allow-env=MSGBUS_*", ...run];
    const { code, stderr } = await msgbus(["work", "foo", command, "--uri", unusedUri()], { permissions });
    assertEquals([code, stderr], [2, `msgbus: Cannot run "${command}": ${fault}\n`]);
  }
});

Deno.test("msgbus work ends with 2 when it finds out late, and hands its message back", async () => {
  await using server = await startServer(["--ttl", "0"]);
  const permissions = ["--no-prompt", "--allow-net", "--allow-env=MSGBUS_*", "--allow-run", "--deny-run=sh"];
  await publish(server, "jobs", "a");
  const args = ["work", "jobs", "-g", "g", "--", "no-such-command"];
  const { code, stderr } = await msgbus(args, { env: { MSGBUS_URI: server.uri }, permissions });
  assertEquals([code, stderr], [2, 'msgbus: Cannot run "no-such-command": no such command\n']);
  assertEquals(await nextAttempt(server, "jobs?group=g&lease=30s"), 1);
});

Deno.test("msgbus work warns when messages may expire before they have had all their attempts", async () => {
  await using server = await startServer(["--ttl", "60s", "--max-attempts", "5"]);
  await publish(server, "jobs", "a");
  await using program = work(server, ["jobs", "-g", "g", "--lease", "30s"], ["true"]);
  assertStringIncludes(await program.stderr.find("warning:"), "less than lease x max-attempts (30s x 5)");
  assertEquals(await drained(program), ["msgbus: ran 1 time: 1 done"]);
});

Deno.test("msgbus work says what its group has lost, and what a server refuses for good", async () => {
  await using server = await startServer(["--ttl", "0", "--max-queue-size", "1", "--max-groups", "1"]);
  await fetch(`${server.uri}/jobs?group=g`).then((response) => response.body?.cancel());
  for (const payload of ["a", "b", "c"]) await publish(server, "jobs", payload);
  await using program = work(server, ["jobs", "-g", "g"], ["cat"]);
  assertEquals(await program.stderr.next(), 'msgbus: missed 2 messages of "jobs" (0 to 1): dropped');
  await drained(program);
  const refused = await msgbus(["work", "jobs", "-g", "other", "cat"], { env: { MSGBUS_URI: server.uri } });
  assertEquals(refused.code, 1);
  assertStringIncludes(refused.stderr, "max-groups");
});
