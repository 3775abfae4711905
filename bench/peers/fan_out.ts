/**
 * Publishers that publish as fast as they are acknowledged, and subscribers who all get everything.
 *
 * @module
 */

import { summarise, summariseKnown, type Summary } from "../summary.ts";
import type { RunningContender, Way } from "./contender.ts";
import { Lineup } from "./lineup.ts";
import { type Plan, PUBLISHERS } from "./plan.ts";
import type { SubscriptionPlan } from "./subscriber.ts";

/** The figures of one server with so many subscribers. */
export interface FanOutFigures {
  /** One of {@linkcode FAN_OUT_WORKLOADS}. */
  readonly workload: string;
  /** How many subscribers. */
  readonly subscribers: number;
  /** Which server. */
  readonly server: string;
  /** Messages that arrived in a second, at all subscribers together. */
  readonly deliveriesPerSecond: Summary;
  /** The same in relation to the round of msgbusd just before. */
  readonly ofMsgbusd: Summary;
  /** Messages that were published and acknowledged in a second. */
  readonly publishesPerSecond: Summary;
  /** Processor time of the server for each message that arrived, publishing included; `undefined` without `/proc`. */
  readonly cpuUsPerDelivery: Summary | undefined;
  /** How much of one core the load generator used. */
  readonly generatorCores: Summary;
  /** The share of what should have arrived that didn't, of all rounds. */
  readonly lost: number;
}

/** How the first contender is subscribed to, which is msgbusd, and how its peers are. */
export interface Ways {
  readonly msgbusd: Way;
  readonly peers?: Way;
}

/** What of a {@linkcode Plan} is needed. */
export type FanOutPlan = Omit<Plan, "idleSubscribers" | "topics">;

/** The workloads by name. */
export const FAN_OUT_WORKLOADS: Readonly<Record<string, Ways>> = {
  "sse": { msgbusd: "sse", peers: "sse" },
  "ws-ndjson": { msgbusd: "ndjson", peers: "frame" },
  "ws-plain": { msgbusd: "frame" },
};

const WARM_UP_MS = 1500;
const WARM_UP_SUBSCRIBERS = 10;
const SESSION_WARM_UP_MS = 300;

interface Entry {
  readonly server: RunningContender;
  readonly subscription: SubscriptionPlan;
}

interface Round {
  readonly deliveriesPerSecond: number;
  readonly publishesPerSecond: number;
  readonly cpuUsPerDelivery: number | undefined;
  readonly generatorCores: number;
  readonly expected: number;
  readonly deliveries: number;
}

/** Measures one workload, of {@linkcode FAN_OUT_WORKLOADS} or of these ways to subscribe. */
export async function measureFanOut(
  workload: string,
  plan: FanOutPlan,
  ways: Ways = FAN_OUT_WORKLOADS[workload]!,
): Promise<FanOutFigures[]> {
  const { rounds, roundMs, progress } = plan;
  await using lineup = await Lineup.start(plan.contenders, plan.directory);
  const entries = entriesOf(ways, lineup);
  const figures: FanOutFigures[] = [];
  for (const entry of entries) await round(entry, WARM_UP_SUBSCRIBERS, Math.min(WARM_UP_MS, roundMs), plan);
  for (const subscribers of plan.subscribers) {
    const found: Round[][] = [];
    for (let i = 1; i <= rounds; i++) {
      const together = [];
      for (const entry of entries) together.push(await round(entry, subscribers, roundMs, plan));
      found.push(together);
      progress(`${workload}, ${subscribers} subscribers: ${i}/${rounds}`);
    }
    for (const [i, { server }] of entries.entries()) {
      const of = <T>(value: (round: Round, msgbusd: Round) => T) => found.map((round) => value(round[i]!, round[0]!));
      figures.push({
        workload,
        subscribers,
        server: server.name,
        deliveriesPerSecond: summarise(of((round) => round.deliveriesPerSecond)),
        ofMsgbusd: summarise(of((round, msgbusd) => round.deliveriesPerSecond / msgbusd.deliveriesPerSecond)),
        publishesPerSecond: summarise(of((round) => round.publishesPerSecond)),
        cpuUsPerDelivery: summariseKnown(of((round) => round.cpuUsPerDelivery)),
        generatorCores: summarise(of((round) => round.generatorCores)),
        lost: 1 - sum(of((round) => round.deliveries)) / sum(of((round) => round.expected)),
      });
    }
  }
  return figures;
}

function entriesOf(ways: Ways, { running }: Lineup): Entry[] {
  return running.flatMap((server, i) => {
    const way = i === 0 ? ways.msgbusd : ways.peers;
    const subscription = way === undefined ? undefined : server.subscription(way);
    return subscription === undefined ? [] : [{ server, subscription }];
  });
}

async function round(
  { server, subscription }: Entry,
  subscribers: number,
  ms: number,
  { load }: FanOutPlan,
): Promise<Round> {
  await load.open({ publication: server.publication, publishers: PUBLISHERS, subscription, subscribers });
  await load.publishInTurn(Math.min(SESSION_WARM_UP_MS, ms));
  const cpuBeforeMs = await server.cpuMs();
  const result = await load.publishInTurn(ms);
  const cpuAfterMs = await server.cpuMs();
  await load.close();
  return {
    deliveriesPerSecond: result.deliveries / result.ms * 1000,
    publishesPerSecond: result.published / result.publishMs * 1000,
    cpuUsPerDelivery: cpuBeforeMs === undefined || cpuAfterMs === undefined
      ? undefined
      : (cpuAfterMs - cpuBeforeMs) / result.deliveries * 1000,
    generatorCores: result.cpuMs / result.ms,
    expected: result.published * subscribers,
    deliveries: result.deliveries,
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
