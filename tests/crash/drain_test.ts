/**
 * C12: msgbusd is told to end under full load, with streams open and readers that don't read. `--times=` sets how often.
 *
 * @module
 */

import { decodeEnvelope } from "../../lib/wire/json.ts";
import { beginPublish } from "../daemon/daemon.ts";
import { assert, assertEquals } from "../deps.ts";
import { assertClean } from "../history/checker.ts";
import { Connection } from "../history/connection.ts";
import { History, randomOf } from "../history/history.ts";
import { Crowd } from "../history/recorder.ts";
import { KEEPS_ALL, KEEPS_ALL_ARGS, numberOf, temporaryDirectory, Victim } from "./victim.ts";

const TIMES = numberOf("times");
const DRAIN_DEADLINE_MS = 10_000;
/** How many requests are in work for certain when the signal comes. */
const BEGUN = 8;

/** Asks for a stream and never reads it. */
async function stuckReader(port: number): Promise<Disposable> {
  const socket = await Deno.connect({ hostname: "127.0.0.1", port });
  const head = "GET /a?format=ndjson&since=earliest HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
  await socket.write(new TextEncoder().encode(head));
  return socket;
}

Deno.test("msgbusd --data: SIGTERM under load answers what is in work, ends in time, and loses nothing", async () => {
  await using directory = await temporaryDirectory();
  using history = new History(KEEPS_ALL);
  await using victim = await Victim.start([...KEEPS_ALL_ARGS, "--data", `${directory.path}/data`]);
  const crowd = new Crowd({ history, place: victim, random: randomOf(1) });
  crowd.start({ publishers: 16, workers: 4, pullers: 2, subscribers: 2, patterns: 1 });
  const kept = new Map<number, string>();
  for (let times = 0; times < (TIMES ?? 3); times++) {
    await crowd.published(crowd.acked + 300);
    using stack = new DisposableStack();
    for (let i = 0; i < 4; i++) stack.use(await stuckReader(victim.port));
    const begun = await Promise.all(Array.from({ length: BEGUN }, (_, i) => {
      const whole = `${times}: ${i} of ${BEGUN}`;
      return beginPublish(victim.port, "begun", whole.slice(0, 3), whole.length).then((on) => ({ on, whole }));
    }));
    for (const { on } of begun) stack.use(on);
    const stream = last(victim.port, "/quiet?format=ndjson");
    const socket = closeCode(victim.port, "/quiet");
    await Promise.all([stream.begun, socket.begun]);
    const { stderr } = victim.process;
    const before = performance.now();
    const ended = victim.stop(crowd);
    await stderr.find("draining: SIGTERM");
    for (const { on, whole } of begun) await on.write(whole.slice(3));
    for (const { on, whole } of begun) {
      const { status, headers } = await on.answer();
      assertEquals(status, 202, whole);
      kept.set(Number(headers.get("msgbus-id")), whole);
    }
    assertEquals(await ended, 0);
    assert(performance.now() - before < DRAIN_DEADLINE_MS + 1000);
    assertEquals(JSON.parse(await stream.last).event, "bye");
    assertEquals(await socket.code, 1001);
    await victim.revive(crowd);
  }
  assertEquals(await payloadsOf(victim.port, "begun"), [...kept].sort(([a], [b]) => a - b));
  await crowd.finish();
  assertClean(history.lines);
  // A request that the server had not read when it closed the connection has no answer; one that it had done has: no
  // publisher is told that its first try, of which it heard nothing, was a success.
  assertEquals(history.lines.filter(({ outcome }) => outcome === "duplicate"), []);
});

/** Everything that a topic has, by id. */
async function payloadsOf(port: number, topic: string): Promise<[number, string][]> {
  using connection = await Connection.open(port);
  const { text } = await connection.ask({ target: `/${topic}?since=earliest&limit=10000` });
  return text.trimEnd().split("\n").map((line) => decodeEnvelope(line)).map(({ id, payload }) => {
    return [id, new TextDecoder().decode(payload)];
  });
}

/** The last line of a stream, and when it has begun. */
function last(port: number, target: string): { begun: Promise<void>; last: Promise<string> } {
  const begun = Promise.withResolvers<void>();
  async function read(): Promise<string> {
    using connection = await Connection.open(port);
    let last = "";
    for await (const line of connection.lines({ target })) {
      last = line;
      begun.resolve();
    }
    return last;
  }
  return { begun: begun.promise, last: read() };
}

/** The code that a WebSocket is closed with, and when it has begun. */
function closeCode(port: number, target: string): { begun: Promise<void>; code: Promise<number> } {
  const begun = Promise.withResolvers<void>();
  const socket = new WebSocket(`ws://127.0.0.1:${port}${target}`);
  socket.onopen = () => begun.resolve();
  return { begun: begun.promise, code: new Promise((resolve) => socket.onclose = ({ code }) => resolve(code)) };
}

Deno.test("msgbusd --data: a second SIGTERM under load ends it at once, and loses nothing", async () => {
  await using directory = await temporaryDirectory();
  using history = new History(KEEPS_ALL);
  await using victim = await Victim.start([...KEEPS_ALL_ARGS, "--data", `${directory.path}/data`]);
  const crowd = new Crowd({ history, place: victim, random: randomOf(2) });
  crowd.start({ publishers: 8, workers: 2, subscribers: 1 });
  for (let times = 0; times < (TIMES ?? 1); times++) {
    await crowd.published(crowd.acked + 300);
    // A request whose body never comes keeps it draining.
    using _half = await beginPublish(victim.port, "quiet", "half", 10);
    const { process } = victim;
    const ended = victim.stop(crowd);
    await process.stderr.find("draining: SIGTERM");
    process.kill("SIGTERM");
    assertEquals(await ended, 143);
    await victim.revive(crowd);
  }
  await crowd.finish();
  assertClean(history.lines);
});
