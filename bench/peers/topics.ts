/**
 * Whether a publish costs more when there are many topics.
 *
 * @module
 */

import { summarise, summariseKnown, type Summary } from "../summary.ts";
import type { RunningContender } from "./contender.ts";
import { encodePost } from "./http.ts";
import { payloadAt } from "./message.ts";
import { startMsgbusd } from "./msgbusd.ts";
import { type Plan, PUBLISHERS } from "./plan.ts";
import { Publisher } from "./publisher.ts";

/** The figures of msgbusd with so many topics. */
export interface TopicsFigures {
  /** How many topics there are besides the one that is published to. */
  readonly topics: number;
  /** Messages that were published and acknowledged in a second. */
  readonly publishesPerSecond: Summary;
  /** The same in relation to the round just before, with no other topic. */
  readonly ofOne: Summary;
  /** Processor time of the server for each of them; `undefined` without `/proc`. */
  readonly cpuUsPerPublish: Summary | undefined;
}

// Nothing may expire on the way.
const FLAGS = ["--ttl=0"];
const WARM_UP_MS = 1500;

interface Round {
  readonly perSecond: number;
  readonly cpuUs: number | undefined;
}

/** Measures a server with one topic and one with many in alternation. */
export async function measureTopics(plan: Plan): Promise<TopicsFigures[]> {
  await using one = await startMsgbusd({ flags: FLAGS });
  await using many = await startMsgbusd({ flags: FLAGS });
  await fill(many, plan.topics);
  const warmUpMs = Math.min(WARM_UP_MS, plan.roundMs);
  for (const server of [one, many]) await round(server, warmUpMs, plan);
  const found: (readonly [Round, Round])[] = [];
  for (let i = 1; i <= plan.rounds; i++) {
    found.push([await round(one, plan.roundMs, plan), await round(many, plan.roundMs, plan)] as const);
    plan.progress(`topics: ${i}/${plan.rounds}`);
  }
  return ([0, 1] as const).map((which) => ({
    topics: which === 0 ? 0 : plan.topics,
    publishesPerSecond: summarise(found.map((pair) => pair[which].perSecond)),
    ofOne: summarise(found.map((pair) => pair[which].perSecond / pair[0].perSecond)),
    cpuUsPerPublish: summariseKnown(found.map((pair) => pair[which].cpuUs)),
  }));
}

/** Publishes one message to each of so many topics. */
async function fill({ publication }: RunningContender, topics: number): Promise<void> {
  await Promise.all(Array.from({ length: PUBLISHERS }, async (_, first) => {
    const publisher = await Publisher.connect(publication, "");
    for (let i = first; i < topics; i += PUBLISHERS) {
      await publisher.send(encodePost(publication.port, `/many/${i}`, payloadAt(0)));
      await publisher.acknowledgement();
    }
    publisher.close();
  }));
}

async function round(
  server: RunningContender,
  ms: number,
  { load }: Plan,
): Promise<Round> {
  await load.open({ publication: server.publication, publishers: PUBLISHERS, subscribers: 0 });
  const cpuBeforeMs = await server.cpuMs();
  const { published, publishMs } = await load.publishInTurn(ms);
  const cpuAfterMs = await server.cpuMs();
  await load.close();
  return {
    perSecond: published / publishMs * 1000,
    cpuUs: cpuBeforeMs === undefined || cpuAfterMs === undefined
      ? undefined
      : (cpuAfterMs - cpuBeforeMs) / published * 1000,
  };
}
