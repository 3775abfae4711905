import { benchPull } from "../../../lib/cli/bench/pull.ts";
import { benchLatency } from "../../../lib/cli/bench/latency.ts";
import { Course } from "../../../lib/cli/bench/course.ts";
import type { Setup, Track } from "../../../lib/cli/bench/track.ts";
import { machineClock } from "../../../lib/client/backoff.ts";
import { Client } from "../../../lib/client/client.ts";
import type { Fetch } from "../../../lib/client/requests.ts";
import { assertEquals } from "../../deps.ts";
import { type BusServer, serveBus } from "../../client/local_server.ts";

/** A benchmark of a server in this process. */
function trackOf(server: BusServer, setup: Partial<Setup>, rate: number | undefined, fetch: Fetch) {
  const end = new AbortController();
  const course = new Course({ timeMs: 600_000, rate, signal: end.signal, clock: machineClock });
  const client = new Client(server.uri, { fetch });
  const defaults = { size: 100, batch: 1, connections: 1, subscribers: 1 };
  const track: Track = { ...defaults, ...setup, client, topic: "foo", course, clock: machineClock, progress() {} };
  return { track, end };
}

Deno.test("benchLatency has no more publishes on their way than connections, however high the rate", async () => {
  await using server = serveBus();
  let [sent, open, most] = [0, 0, 0];
  const { track, end } = trackOf(server, { connections: 3 }, 1_000_000, async (url, init) => {
    most = Math.max(most, ++open);
    if (++sent === 50) end.abort();
    try {
      return await fetch(url, init);
    } finally {
      open--;
    }
  });
  using _course = track.course;
  const figures = Object.fromEntries((await benchLatency(track)).map(({ name, value }) => [name, value]));
  const { published, received, missed } = figures;
  assertEquals([most, published, received, missed], [3, sent, sent, 0]);
});

Deno.test("benchPull keeps the queue filled until the last pull has ended", async () => {
  await using server = serveBus();
  const { track, end } = trackOf(server, { connections: 2 }, undefined, async (url, init) => {
    if (init.method === "GET" && !end.signal.aborted) {
      // Both pulls are on their way, and there is a message for only one of them.
      end.abort();
      await server.bus.delete("foo");
      server.bus.put("foo", "x");
    }
    return await fetch(url, init);
  });
  using _course = track.course;
  const figures = await benchPull(track);
  assertEquals(figures.find(({ name }) => name === "pulled")!.value, 2);
});
