/**
 * What msgbusd should reach, next to what it did.
 *
 * @module
 */

import type { Goal } from "../goal.ts";
import type { FanOutFigures } from "./fan_out.ts";
import type { Results } from "./results.ts";

const KIB = 1024;

/** All goals. */
export const GOALS: readonly Goal<Results>[] = [
  {
    title: "sse to 100 subscribers, deliveries/s in relation to nchan",
    bound: { atLeast: 4 },
    unit: " ×",
    measure: (results) => timesOf(results, "sse", 100, "nchan"),
  },
  {
    title: "sse to 500 subscribers, deliveries/s in relation to nchan",
    bound: { atLeast: 8 },
    unit: " ×",
    measure: (results) => timesOf(results, "sse", 500, "nchan"),
  },
  {
    title: "ws-ndjson to 100 subscribers, deliveries/s in relation to nchan",
    bound: { atLeast: 2 },
    unit: " ×",
    measure: (results) => timesOf(results, "ws-ndjson", 100, "nchan"),
  },
  {
    title: "ws-ndjson to 100 subscribers, deliveries/s in relation to nats-server",
    bound: { atLeast: 1 },
    unit: " ×",
    measure: (results) => timesOf(results, "ws-ndjson", 100, "nats-server"),
  },
  {
    title: "ws-ndjson to 100 subscribers, server CPU a delivery",
    bound: { atMost: 1.2 },
    unit: " µs",
    measure: (results) => find(results, "ws-ndjson", 100, "msgbusd")?.cpuUsPerDelivery?.median,
  },
  {
    title: "ws-plain to 100 subscribers, server CPU a delivery",
    bound: { atMost: 9 },
    unit: " µs",
    measure: (results) => find(results, "ws-plain", 100, "msgbusd")?.cpuUsPerDelivery?.median,
  },
  {
    title: "latency, median, sse or ndjson, whichever is longer",
    bound: { atMost: 1 },
    unit: " ms",
    measure: (results) => longest(results, "p50Ms"),
  },
  {
    title: "latency, 99th percentile, sse or ndjson, whichever is longer",
    bound: { atMost: 5 },
    unit: " ms",
    measure: (results) => longest(results, "p99Ms"),
  },
  {
    title: "an idle WebSocket subscriber",
    bound: { atMost: 22 },
    unit: " KiB",
    measure: (results) => idleKib(results, "frame"),
  },
  {
    title: "an idle sse subscriber",
    bound: { atMost: 20 },
    unit: " KiB",
    measure: (results) => idleKib(results, "sse"),
  },
  {
    title: "publishes/s with many topics in relation to one",
    bound: { atLeast: 0.85 },
    unit: " ×",
    measure: ({ topics }) => topics.find(({ topics }) => topics > 0)?.ofOne.median,
  },
];

function find({ fanOut }: Results, workload: string, subscribers: number, server: string): FanOutFigures | undefined {
  return fanOut.find((figures) =>
    figures.workload === workload && figures.subscribers === subscribers && figures.server === server
  );
}

/** How many times the peer's deliveries those of msgbusd are. */
function timesOf(results: Results, workload: string, subscribers: number, peer: string): number | undefined {
  const figures = find(results, workload, subscribers, peer);
  return figures === undefined ? undefined : 1 / figures.ofMsgbusd.median;
}

function longest({ latency }: Results, percentile: "p50Ms" | "p99Ms"): number | undefined {
  const own = latency.filter(({ server, way }) => server === "msgbusd" && way !== "frame");
  return own.length === 0 ? undefined : Math.max(...own.map((figures) => figures[percentile].median));
}

function idleKib({ idle }: Results, way: string): number | undefined {
  const figures = idle.find((figures) => figures.server === "msgbusd" && figures.way === way);
  return figures === undefined ? undefined : figures.bytesEach.median / KIB;
}
