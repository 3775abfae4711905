/**
 * Whether subscribers get less because what they get is kept first.
 *
 * @module
 */

import type { Contender } from "../peers/contender.ts";
import { type FanOutFigures, measureFanOut } from "../peers/fan_out.ts";
import { msgbusdTwice } from "./lineup.ts";
import type { DurablePlan } from "./plan.ts";

/** The workloads by name: how many messages a publish has. */
export const FAN_OUT: Readonly<Record<string, number | undefined>> = { "fan-out": undefined, "fan-out-lines": 32 };

/**
 * The defaults differ with and without a journal. These are the same, and enough for all that publishers are ahead of
 * subscribers: what a limit drops is not delivered.
 */
const FLAGS = ["--ttl=1m", "--max-queue-size=2000000", "--max-topic-bytes=512MiB", "--max-memory=1GiB"];

/** Measures one workload, of those servers that are there; in relation to memory. */
export async function measureDurableFanOut(name: string, plan: DurablePlan): Promise<FanOutFigures[]> {
  const isPresent = ({ name }: Contender) => plan.contenders.some((contender) => contender.name === name);
  const contenders = msgbusdTwice({ flags: FLAGS, lines: FAN_OUT[name] }).filter(isPresent);
  return await measureFanOut(name, { ...plan, contenders }, { msgbusd: "ndjson", peers: "ndjson" });
}
