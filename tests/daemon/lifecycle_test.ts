/**
 * The life of the daemon, as far as it goes without a process of its own; `tests/daemon` has the rest.
 *
 * @module
 */

import { MessageBus } from "../../lib/bus/bus.ts";
import { Lifecycle } from "../../lib/daemon/lifecycle.ts";
import type { Log } from "../../lib/log.ts";
import { assertEquals, assertStringIncludes } from "../deps.ts";

function lifecycle(): { life: Lifecycle; lines: string[] } {
  const lines: string[] = [];
  const write = (event: string, message: string) => void lines.push(`${event}: ${message}`);
  const log: Log = { error: write, warn: write, info: write, debug: write };
  return { life: new Lifecycle(log), lines };
}

/** A server of which only the end is looked at. */
function server(shutdown: () => Promise<void>): Deno.HttpServer {
  return { shutdown } as Deno.HttpServer;
}

/** Runs `task` with another clock for `performance.now`. */
async function withTime(nowMs: () => number, task: () => Promise<void>): Promise<void> {
  const platform = performance.now;
  performance.now = nowMs;
  try {
    await task();
  } finally {
    performance.now = platform;
  }
}

Deno.test("Lifecycle.bug logs the stack and goes on", () => {
  const { life, lines } = lifecycle();
  life.bug(new TypeError("oops"));
  life.bug("thrown");
  assertEquals(life.draining.aborted, false);
  assertStringIncludes(lines[0]!, "bug: bug: TypeError: oops\n    at ");
  assertEquals(lines[1], "bug: bug: thrown");
});

Deno.test("Lifecycle.bug drains at the third within a minute, and then the exit code is 70", async () => {
  const { life, lines } = lifecycle();
  for (const bug of [1, 2, 3, 4]) life.bug(bug);
  assertEquals(life.draining.aborted, true);
  assertEquals(await life.end(new MessageBus(), []), 70);
  assertEquals(lines.slice(3), [
    "draining: msgbusd draining: 3 bugs within a minute",
    "bug: bug: 4",
    "drained: msgbusd drained",
  ]);
});

Deno.test("Lifecycle.bug forgets a bug after a minute", async () => {
  let nowMs = 0;
  await withTime(() => nowMs, async () => {
    const { life } = lifecycle();
    for (const at of [0, 30_000, 60_000, 90_000]) {
      nowMs = at;
      life.bug("late enough");
    }
    assertEquals(life.draining.aborted, false);
    nowMs = 90_001;
    life.bug("one too many");
    assertEquals(life.draining.aborted, true);
    assertEquals(await life.end(new MessageBus(), []), 70);
  });
});

Deno.test("Lifecycle.drain says why, once", () => {
  const { life, lines } = lifecycle();
  life.drain("SIGTERM");
  life.drain("SIGINT");
  assertEquals(lines, ["draining: msgbusd draining: SIGTERM"]);
});

Deno.test("Lifecycle.end ends subscriptions, then waits for the requests in work, then for the servers, then closes the bus", async () => {
  const { life } = lifecycle();
  const steps: string[] = [];
  const bus = new MessageBus();
  bus.subscribe("t", { onEnd: (_, reason) => void steps.push(reason) });
  life.work(1);
  life.work(1);
  const down = Promise.withResolvers<void>();
  const shutdown = () => {
    steps.push("shutdown");
    return down.promise;
  };
  const ended = life.end(bus, [server(shutdown)]);
  assertEquals(steps, []);
  life.drain("SIGTERM");
  life.work(-1);
  await new Promise((resolve) => setImmediate(resolve));
  assertEquals(steps, ["drained"]);
  bus.put("t", "from a request in work");
  life.work(-1);
  await new Promise((resolve) => setImmediate(resolve));
  assertEquals(steps, ["drained", "shutdown"]);
  down.resolve();
  assertEquals(await ended, 0);
  assertEquals(await bus.publish("t", "hi").catch(({ code }) => code), "already_closed");
});

for (
  const [what, stuck] of [
    ["requests", (life: Lifecycle) => life.work(1)],
    ["connections", () => {}],
  ] as const
) {
  Deno.test(`Lifecycle.end gives up on ${what} that never finish after 10 s, and says so`, async () => {
    const platform = globalThis.setTimeout;
    const delays: (number | undefined)[] = [];
    // Ten seconds pass at once.
    globalThis.setTimeout = ((task: () => void, delayMs?: number) => {
      delays.push(delayMs);
      return platform(task, 0);
    }) as typeof setTimeout;
    try {
      const { life, lines } = lifecycle();
      stuck(life);
      life.drain("SIGTERM");
      assertEquals(await life.end(new MessageBus(), [server(() => new Promise(() => {}))]), 0);
      assertEquals(delays, [10_000]);
      assertEquals(lines.slice(1), [
        "drain_deadline: msgbusd gave up on connections still open after 10 s",
        "drained: msgbusd drained",
      ]);
    } finally {
      globalThis.setTimeout = platform;
    }
  });
}
