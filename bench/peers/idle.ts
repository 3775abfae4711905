/**
 * What subscribers who get nothing occupy.
 *
 * @module
 */

import { summarise, type Summary } from "../summary.ts";
import type { Contender, Way } from "./contender.ts";
import { startContender } from "./lineup.ts";
import type { Plan } from "./plan.ts";

/** The figures of one server. */
export interface IdleFigures {
  /** Which server. */
  readonly server: string;
  /** How it was subscribed to. */
  readonly way: Way;
  /** How many subscribers. */
  readonly subscribers: number;
  /** Resident memory for each of them, in bytes, without what the kernel keeps for a connection. */
  readonly bytesEach: Summary;
}

const WAYS: readonly Way[] = ["frame", "sse"];
const FIRST_SUBSCRIBERS = 200;
const SETTLE_MS = 2000;
const SPARE_FILES = 100;
// Memory differs little from round to round, and a round takes long.
const MAX_ROUNDS = 3;

/** Measures all ways of all servers, each round with a server of its own. */
export async function measureIdle(plan: Plan): Promise<IdleFigures[]> {
  await assertFiles(plan.idleSubscribers + SPARE_FILES);
  const rounds = Math.min(plan.rounds, MAX_ROUNDS);
  const figures: IdleFigures[] = [];
  for (const contender of plan.contenders) {
    for (const way of WAYS) {
      const found: number[] = [];
      for (let i = 1; i <= rounds; i++) {
        const bytes = await round(contender, way, plan);
        if (bytes === undefined) break;
        found.push(bytes);
        plan.progress(`idle, ${contender.name}, ${way}: ${i}/${rounds}`);
      }
      if (found.length === 0) continue;
      figures.push({
        server: contender.name,
        way,
        subscribers: plan.idleSubscribers,
        bytesEach: summarise(found),
      });
    }
  }
  return figures;
}

async function round(contender: Contender, way: Way, plan: Plan): Promise<number | undefined> {
  const { load, idleSubscribers } = plan;
  await using server = await startContender(contender, plan.directory);
  const { publication } = server;
  const subscription = server.subscription(way);
  if (subscription === undefined) return undefined;
  // What the first ones need is not counted: code that is compiled, buffers that all share.
  await load.open({ publication, publishers: 1, subscription, subscribers: FIRST_SUBSCRIBERS });
  await load.publishInTurn(0);
  await load.close();
  await settle();
  const before = await server.memory();
  await load.open({ publication, publishers: 1, subscription, subscribers: idleSubscribers });
  await settle();
  const after = await server.memory();
  const { deliveries } = await load.publishInTurn(0);
  await load.close();
  if (deliveries !== idleSubscribers) {
    throw new Error(`${contender.name}: ${deliveries} of ${idleSubscribers} subscribe`);
  }
  return before === undefined || after === undefined ? undefined : (after.nowBytes - before.nowBytes) / idleSubscribers;
}

function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
}

/** Throws a `RangeError` if a process of this user may not have so many files open; unknown is enough. */
async function assertFiles(count: number): Promise<void> {
  let limits: string;
  try {
    limits = new TextDecoder().decode((await new Deno.Command("cat", { args: ["/proc/self/limits"] }).output()).stdout);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable) return;
    throw error;
  }
  const hard = Number(/^Max open files\s+\d+\s+(\d+)/m.exec(limits)?.[1] ?? Infinity);
  if (hard < count) throw new RangeError(`idle needs ${count} open files, ${hard} are allowed: raise ulimit -n`);
}
