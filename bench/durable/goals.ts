/**
 * What msgbusd with a journal should reach.
 *
 * @module
 */

import type { Goal } from "../goal.ts";
import { DATA } from "./lineup.ts";
import type { PublishFigures } from "./publish.ts";
import type { DurableResults } from "./results.ts";

/** All goals. */
export const GOALS: readonly Goal<DurableResults>[] = [
  ...[32, 64].flatMap((connections): Goal<DurableResults>[] => [
    {
      title: `${connections} connections, publishes/s in relation to redis`,
      bound: { atLeast: 1 },
      unit: " ×",
      measure: (results) => find(results, connections)?.ofRedis?.median,
    },
    {
      title: `${connections} connections, 99th percentile of a publish`,
      bound: { atMost: 15 },
      unit: " ms",
      measure: (results) => find(results, connections)?.p99Ms.median,
    },
  ]),
  ...["fan-out", "fan-out-lines"].map((workload): Goal<DurableResults> => ({
    title: `${workload} to 100 subscribers, deliveries/s in relation to memory`,
    bound: { atLeast: 0.75 },
    unit: " ×",
    measure: ({ fanOut }) =>
      fanOut.find((figures) => figures.workload === workload && figures.subscribers === 100 && figures.server === DATA)
        ?.ofMsgbusd.median,
  })),
];

function find({ publish }: DurableResults, connections: number): PublishFigures | undefined {
  return publish.find((figures) => figures.server === DATA && figures.connections === connections);
}
