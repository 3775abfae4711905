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
