/**
 * Measures msgbusd next to servers that do the same: `deno task bench:peers --help` tells how. What the figures mean is
 * in `docs/benchmarks.md`.
 *
 * @module
 */

import { parseArgs } from "../../lib/deps/cli.ts";
import { killChildren } from "../child.ts";
import { print, progress, readNames, readNumber, say } from "../command_line.ts";
import { machineNow, today } from "../machine.ts";
import { FAN_OUT_WORKLOADS, type FanOutFigures, measureFanOut } from "./fan_out.ts";
import { measureIdle } from "./idle.ts";
import { measureLatency } from "./latency.ts";
import { CONTENDERS, survey } from "./lineup.ts";
import { LoadProcess } from "./load_process.ts";
import { writePage } from "./page.ts";
import type { Plan } from "./plan.ts";
import { formatReport } from "./report.ts";
import type { Results } from "./results.ts";
import { measureTopics } from "./topics.ts";

const LATENCY = "latency";
const IDLE = "idle";
const TOPICS = "topics";
const NAMES = [...Object.keys(FAN_OUT_WORKLOADS), LATENCY, IDLE, TOPICS];

const HELP = `Measures msgbusd next to servers that do the same, as far as they are installed.

  deno task bench:peers [--only NAME,NAME] [--subscribers N,N] [--quick] [--rounds N] [--seconds N] [--json] [--write]

  --only NAME,…       measure only these: ${NAMES.join(" ")}
  --subscribers N,…   how many subscribers a message goes to (default 1,10,100,500)
  --quick             short rounds, to see that everything runs; the figures mean little
  --rounds N          rounds of each server (default 5, quick 1)
  --seconds N         how long a round takes (default 2, quick 0.3)
  --json              print one JSON object instead of tables
  --write             put the tables into docs/benchmarks.md, too

For example: deno task bench:peers --only sse --subscribers 100 --rounds 3
`;

async function main(args: string[], directory: string): Promise<number> {
  const options = readOptions(args);
  if (typeof options === "string") return print(options);
  const { present, missing } = await survey(CONTENDERS, directory);
  for (const { name, why, install } of missing) say(`left out: ${name}: ${why}; try: ${install}`);
  const machine = await machineNow();
  await using load = new LoadProcess();
  const plan: Plan = { ...options, contenders: present, load, directory, progress };
  const { names } = options;
  const fanOut: FanOutFigures[] = [];
  for (const name of names.filter((name) => name in FAN_OUT_WORKLOADS)) fanOut.push(...await measureFanOut(name, plan));
  const results: Results = {
    date: today(),
    machine,
    servers: present.map(({ name, version, setting }) => ({ name, version, setting })),
    rounds: { count: options.rounds, seconds: options.roundMs / 1000 },
    fanOut,
    latency: names.includes(LATENCY) ? await measureLatency(plan) : [],
    idle: names.includes(IDLE) ? await measureIdle(plan) : [],
    topics: names.includes(TOPICS) ? await measureTopics(plan) : [],
  };
  const report = formatReport(results);
  if (options.write) await writePage("peers", report);
  return print(options.json ? `${JSON.stringify(results)}\n` : report);
}

/** Reads the arguments; a text is what to print instead of measuring. */
function readOptions(args: string[]) {
  const flags = parseArgs(args, {
    boolean: ["quick", "json", "write", "help"],
    string: ["only", "subscribers", "rounds", "seconds"],
    alias: { help: "h" },
    unknown: (argument) => {
      throw new RangeError(`Unknown argument "${argument}"; see deno task bench:peers --help`);
    },
  });
  if (flags.help) return HELP;
  const names = readNames(flags.only, { all: NAMES });
  const quick: boolean = flags.quick;
  const subscribers: string = flags.subscribers ?? "1,10,100,500";
  return {
    names,
    json: flags.json as boolean,
    write: flags.write as boolean,
    subscribers: subscribers.split(",").map((text) => readNumber("subscribers", text, 1, 1, 10_000)),
    rounds: readNumber("rounds", flags.rounds, quick ? 1 : 5, 1, 1000),
    roundMs: readNumber("seconds", flags.seconds, quick ? 0.3 : 2, 0.1, 60) * 1000,
    idleSubscribers: quick ? 500 : 10_000,
    topics: quick ? 5000 : 50_000,
  };
}

const directory = await Deno.makeTempDir({ prefix: "msgbus-peers-" });
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => {
    // Not harder: nginx has a child, which would stay.
    killChildren("SIGTERM");
    Deno.removeSync(directory, { recursive: true });
    Deno.exit(130);
  });
}
let code = 1;
try {
  code = await main(Deno.args, directory);
} catch (error) {
  say(`bench: ${error instanceof RangeError ? error.message : error instanceof Error ? error.stack : String(error)}`);
}
await Deno.remove(directory, { recursive: true });
Deno.exit(code);
