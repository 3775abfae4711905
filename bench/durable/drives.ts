/**
 * What makes publishers publish: this project's own load generator, wrk, or redis-benchmark.
 *
 * @module
 */

import { Child } from "../child.ts";
import { Wrk } from "../generator.ts";
import type { RunningContender } from "../peers/contender.ts";
import type { LoadProcess } from "../peers/load_process.ts";
import { MESSAGE_BYTES } from "../peers/message.ts";
import type { Publication } from "../peers/publisher.ts";
import { addWords } from "../peers/redis.ts";

/** So many connections, on each one publish after the other. */
export interface PublishLoad {
  /** How many. */
  readonly connections: number;
  /** About how long, in milliseconds. */
  readonly ms: number;
}

/** What came of it. */
export interface PublishResult {
  /** Messages published and acknowledged in a second. */
  readonly perSecond: number;
  /** How many they were in all. */
  readonly published: number;
  /** The median of the time until an acknowledgement, in milliseconds. */
  readonly p50Ms: number;
  /** What one in a hundred exceeds. */
  readonly p99Ms: number;
  /** How much of one core the generator used; `undefined` if it doesn't say. */
  readonly generatorCores: number | undefined;
}

/** Loads one server. */
export type Drive = (server: RunningContender, load: PublishLoad) => Promise<PublishResult>;

/** Who is driven by what. */
export const GENERATORS = {
  mixed: { title: "redis by redis-benchmark, the others by bench/peers/load.ts", wrk: false, redisBenchmark: true },
  native: {
    title: "msgbusd by wrk, redis by redis-benchmark, jetstream by bench/peers/load.ts",
    wrk: true,
    redisBenchmark: true,
  },
  own: { title: "all by bench/peers/load.ts", wrk: false, redisBenchmark: false },
} as const;

/** The name of a choice. */
export type GeneratorName = keyof typeof GENERATORS;

/** Chooses what drives a server. */
export class Drives {
  readonly #chosen: Partial<Record<Publication["protocol"], Drive>>;
  readonly #own: Drive;

  /** Makes them; `load` is our own. */
  constructor(name: GeneratorName, load: LoadProcess) {
    const { wrk, redisBenchmark } = GENERATORS[name];
    this.#own = (server, plan) => driveOwn(load, server, plan);
    this.#chosen = { http: wrk ? driveWrk : undefined, redis: redisBenchmark ? createRedisBenchmark() : undefined };
  }

  /** What drives this server. */
  of({ publication }: RunningContender): Drive {
    return this.#chosen[publication.protocol] ?? this.#own;
  }
}

async function driveOwn(
  load: LoadProcess,
  { publication }: RunningContender,
  { connections, ms }: PublishLoad,
): Promise<PublishResult> {
  await load.open({ publication, publishers: connections, subscribers: 0 });
  const { published, publishMs, cpuMs, acknowledged } = await load.publishInTurn(ms);
  await load.close();
  return {
    perSecond: published / publishMs * 1000,
    published,
    p50Ms: acknowledged!.p50,
    p99Ms: acknowledged!.p99,
    generatorCores: cpuMs / publishMs,
  };
}

const PAYLOAD = "x".repeat(MESSAGE_BYTES);

async function driveWrk({ publication }: RunningContender, { connections, ms }: PublishLoad): Promise<PublishResult> {
  const { port, target } = publication;
  const result = await new Wrk().drive({ port, method: "POST", body: PAYLOAD, paths: [target], connections, ms });
  return {
    perSecond: result.requests / result.ms * 1000,
    published: result.requests,
    p50Ms: result.p50Ms,
    p99Ms: result.p99Ms,
    generatorCores: undefined,
  };
}

const LEAST_PER_CONNECTION = 50;
const GRACE_MS = 60_000;

/** redis-benchmark wants to know how many: as many as the server did in that time when it was last asked. */
function createRedisBenchmark(): Drive {
  const perSecondOf = new Map<number, number>();
  return async ({ publication }, { connections, ms }) => {
    const { port, target } = publication;
    const guess = Math.round((perSecondOf.get(connections) ?? 0) * ms / 1000);
    const published = Math.max(guess, connections * LEAST_PER_CONNECTION);
    const flags = ["-p", String(port), "-c", String(connections), "-n", String(published), "--csv", "--precision", "3"];
    const args = [...flags, ...addWords(target, PAYLOAD)];
    await using child = new Child({ command: "redis-benchmark", args, reads: "stdout" });
    const names = cellsOf(await child.nextLine(GRACE_MS));
    const values = cellsOf(await child.nextLine(ms + GRACE_MS));
    const valueOf = (name: string) => Number(values[names.indexOf(name)]);
    const perSecond = valueOf("rps");
    perSecondOf.set(connections, perSecond);
    return {
      perSecond,
      published,
      p50Ms: valueOf("p50_latency_ms"),
      p99Ms: valueOf("p99_latency_ms"),
      generatorCores: undefined,
    };
  };
}

/** No cell contains a quotation mark. */
function cellsOf(line: string): string[] {
  return Array.from(line.matchAll(/"([^"]*)"/g), ([, cell]) => cell!);
}
