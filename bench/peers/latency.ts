/**
 * How long a message is under way when the servers have little to do: a steady rate, whatever the server does.
 *
 * @module
 */

import { summarise, type Summary } from "../summary.ts";
import type { RunningContender, Way } from "./contender.ts";
import { Lineup } from "./lineup.ts";
import { type Plan, PUBLISHERS } from "./plan.ts";

/** The figures of one server, in milliseconds. */
export interface LatencyFigures {
  /** Which server. */
  readonly server: string;
  /** How it was subscribed to. */
  readonly way: Way;
  /** The median of a round. */
  readonly p50Ms: Summary;
  /** What one in a hundred of a round exceeds. */
  readonly p99Ms: Summary;
}

/** The messages published in a second. */
export const LATENCY_PER_SECOND = 1000;
/** How many subscribers get each. */
export const LATENCY_SUBSCRIBERS = 10;

const WAYS: readonly Way[] = ["ndjson", "frame", "sse"];
const WARM_UP_MS = 500;

/** Measures all ways of all servers. */
export async function measureLatency(plan: Plan): Promise<LatencyFigures[]> {
  await using lineup = await Lineup.start(plan.contenders, plan.directory);
  const entries = lineup.running.flatMap((server) =>
    WAYS.filter((way) => server.subscription(way) !== undefined).map((way) => ({ server, way }))
  );
  const found = new Map(entries.map((entry) => [entry, [] as { p50: number; p99: number }[]]));
  for (let i = 1; i <= plan.rounds; i++) {
    for (const entry of entries) found.get(entry)!.push(await round(entry.server, entry.way, plan));
    plan.progress(`latency: ${i}/${plan.rounds}`);
  }
  return entries.map((entry) => ({
    server: entry.server.name,
    way: entry.way,
    p50Ms: summarise(found.get(entry)!.map(({ p50 }) => p50)),
    p99Ms: summarise(found.get(entry)!.map(({ p99 }) => p99)),
  }));
}

async function round(server: RunningContender, way: Way, { load, roundMs }: Plan) {
  const subscription = server.subscription(way);
  const { publication } = server;
  await load.open({ publication, publishers: PUBLISHERS, subscription, subscribers: LATENCY_SUBSCRIBERS });
  await load.publishInTurn(Math.min(WARM_UP_MS, roundMs));
  await load.publishSteadily(LATENCY_PER_SECOND, Math.min(WARM_UP_MS, roundMs));
  const { latency } = await load.publishSteadily(LATENCY_PER_SECOND, roundMs);
  await load.close();
  return latency!;
}
