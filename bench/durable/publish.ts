/**
 * Publishers that publish as fast as they are acknowledged.
 *
 * @module
 */

import type { RunningContender } from "../peers/contender.ts";
import { Lineup } from "../peers/lineup.ts";
import { summarise, summariseKnown, type Summary } from "../summary.ts";
import { measureSync, type SyncTimes } from "./disk.ts";
import { REDIS } from "./lineup.ts";
import type { DurablePlan } from "./plan.ts";

/** The figures of one server under so many connections. */
export interface PublishFigures {
  /** How many connections. */
  readonly connections: number;
  /** Which server. */
  readonly server: string;
  /** Messages published and acknowledged in a second. */
  readonly perSecond: Summary;
  /** The same in relation to Redis in the same round; `undefined` without Redis. */
  readonly ofRedis: Summary | undefined;
  /** The median of the time until an acknowledgement, in milliseconds. */
  readonly p50Ms: Summary;
  /** What one in a hundred of a round exceeds. */
  readonly p99Ms: Summary;
  /** Processor time of the server for each, all threads, in microseconds; `undefined` without `/proc`. */
  readonly cpuUsPerPublish: Summary | undefined;
  /** How much of one core the generator used; `undefined` if it doesn't say. */
  readonly generatorCores: Summary | undefined;
}

/** What was measured, and what the disk took in the same rounds. */
export interface PublishMeasurement {
  /** The servers, for each number of connections. */
  readonly publish: readonly PublishFigures[];
  /** The disk alone, before each round. */
  readonly sync: readonly SyncTimes[];
}

const WARM_UP_CONNECTIONS = 32;
const WARM_UP_MS = 1500;
const SETTLE_MS = 300;

interface Round {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuUs: number | undefined;
  readonly generatorCores: number | undefined;
}

/** Measures every server with every number of connections. */
export async function measurePublish(plan: DurablePlan): Promise<PublishMeasurement> {
  const { connections, rounds, roundMs, progress } = plan;
  await using lineup = await Lineup.start(plan.contenders, plan.directory);
  const servers = lineup.running;
  for (const server of servers) await round(server, WARM_UP_CONNECTIONS, Math.min(WARM_UP_MS, roundMs), plan);
  const publish: PublishFigures[] = [];
  const sync: SyncTimes[] = [];
  for (const count of connections) {
    const found: Map<string, Round>[] = [];
    for (let i = 1; i <= rounds; i++) {
      sync.push(measureSync(plan.directory));
      const together = new Map<string, Round>();
      // Each begins once: what one has written the disk may be busy with when the next has its turn.
      for (const server of rotated(servers, i)) together.set(server.name, await round(server, count, roundMs, plan));
      found.push(together);
      progress(`publish, ${count} connections: ${i}/${rounds}`);
    }
    publish.push(...servers.map(({ name }) => summariseRounds(name, count, found)));
  }
  return { publish, sync };
}

function rotated<T>(items: readonly T[], by: number): T[] {
  const at = by % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}

async function round(
  server: RunningContender,
  connections: number,
  ms: number,
  { drives }: DurablePlan,
): Promise<Round> {
  const drive = drives.of(server);
  await drive(server, { connections, ms: Math.min(SETTLE_MS, ms) });
  const cpuBeforeMs = await server.cpuMs();
  const { published, ...figures } = await drive(server, { connections, ms });
  const cpuAfterMs = await server.cpuMs();
  const cpuUs = cpuBeforeMs === undefined || cpuAfterMs === undefined
    ? undefined
    : (cpuAfterMs - cpuBeforeMs) / published * 1000;
  return { ...figures, cpuUs };
}

function summariseRounds(server: string, connections: number, rounds: readonly Map<string, Round>[]): PublishFigures {
  const own = rounds.map((round) => round.get(server)!);
  return {
    connections,
    server,
    perSecond: summarise(own.map(({ perSecond }) => perSecond)),
    ofRedis: summariseKnown(rounds.map((round) => {
      const redis = round.get(REDIS);
      return redis === undefined ? undefined : round.get(server)!.perSecond / redis.perSecond;
    })),
    p50Ms: summarise(own.map(({ p50Ms }) => p50Ms)),
    p99Ms: summarise(own.map(({ p99Ms }) => p99Ms)),
    cpuUsPerPublish: summariseKnown(own.map(({ cpuUs }) => cpuUs)),
    generatorCores: summariseKnown(own.map(({ generatorCores }) => generatorCores)),
  };
}
