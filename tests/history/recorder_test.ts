import { assert } from "../deps.ts";
import { type BusServer, serveBus } from "../client/local_server.ts";
import { lastingPort } from "../lasting_port.ts";
import { assertClean } from "./checker.ts";
import { History, type Op, randomOf } from "./history.ts";
import { Crowd } from "./recorder.ts";

const LIMITS = { ttlMs: 0, maxMessages: 500, maxAttempts: 0 };

Deno.test("Crowd: what its clients see of a server with a bus in memory is clean, also when it starts again", async () => {
  using history = new History({ ...LIMITS, durable: false, dedupeWindowMs: 120_000, clockErrorMs: 50 });
  const port = lastingPort();
  let server: BusServer = serveBus(LIMITS, port);
  let up = Promise.resolve();
  const crowd = new Crowd({ history, place: { port, up: () => up }, random: randomOf(1) });
  crowd.start({ publishers: 3, workers: 2, pullers: 1, subscribers: 2, patterns: 1, browsers: 1 });
  for (let restarts = 1; restarts <= 3; restarts++) {
    await crowd.published(restarts * 300);
    const back = Promise.withResolvers<void>();
    up = back.promise;
    crowd.killed("stop");
    await server.stop();
    server = serveBus(LIMITS, port);
    crowd.back();
    back.resolve();
  }
  await crowd.finish();
  await server.stop();
  assertClean(history.lines);
  // Nothing is clean because nothing was there to see.
  const seen = new Set(history.lines.filter(({ outcome }) => outcome === "ok").map(({ op }) => op));
  const ops: Op[] = ["publish", "pull", "lease", "ack", "nack", "extend", "deliver", "browse", "drain", "restart"];
  assert(ops.every((op) => seen.has(op)), `seen: ${[...seen].join(" ")}`);
});
