/**
 * Measures publishes that are kept before they are acknowledged: `deno task bench:durable --help` tells how. What the
 * figures mean is in `docs/benchmarks.md`.
 *
 * @module
 */

import { parseArgs } from "../../lib/deps/cli.ts";
import { endChildren } from "../child.ts";
import { print, progress, readNames, readNumber, say } from "../command_line.ts";
import { machineNow, today } from "../machine.ts";
import type { FanOutFigures } from "../peers/fan_out.ts";
import { survey } from "../peers/lineup.ts";
import { LoadProcess } from "../peers/load_process.ts";
import { writePage } from "../peers/page.ts";
import { diskOf, measureSync } from "./disk.ts";
import { Drives, type GeneratorName, GENERATORS } from "./drives.ts";
import { FAN_OUT, measureDurableFanOut } from "./fan_out.ts";
import { CONTENDERS } from "./lineup.ts";
import type { DurablePlan } from "./plan.ts";
import { measurePublish } from "./publish.ts";
import { formatReport } from "./report.ts";
import type { DurableResults } from "./results.ts";

const PUBLISH = "publish";
const NAMES = [PUBLISH, ...Object.keys(FAN_OUT)];

const HELP = `Measures publishes that are kept before they are acknowledged, next to redis and nats-server.

  deno task bench:durable [--dir DIR] [--only NAME,NAME] [--connections N,N] [--subscribers N,N] [--generator NAME]
                          [--quick] [--rounds N] [--seconds N] [--json] [--write]

  --dir DIR           keep everything in a temporary directory in this one, on the disk that is to be measured
                      (default where temporary files are)
  --only NAME,…       measure only these: ${NAMES.join(" ")}
  --connections N,…   how many connections publish (default 1,32,64,256)
  --subscribers N,…   how many subscribers a message goes to (default 10,100)
  --generator NAME    ${
  Object.entries(GENERATORS).map(([name, { title }]) => `${name}: ${title}`).join(`\n${" ".repeat(22)}`)
}
                      (default mixed)
  --quick             short rounds, to see that everything runs; the figures mean little
  --rounds N          rounds of each server (default 5, quick 1)
  --seconds N         how long a round takes (default 2, quick 0.3)
  --json              print one JSON object instead of tables
  --write             put the tables into docs/benchmarks.md, too

For example: deno task bench:durable --only publish --connections 64 --rounds 3
`;

type RunOptions = Exclude<ReturnType<typeof readOptions>, string>;

async function measure(options: RunOptions, directory: string): Promise<DurableResults> {
  const { names, generator, rounds, roundMs } = options;
  const disk = await diskOf(directory);
  const { present, missing } = await survey(CONTENDERS, directory);
  for (const { name, why, install } of missing) {
    say(`left out: ${name}: ${why}${install === undefined ? "" : `; try: ${install}`}`);
  }
  const machine = await machineNow();
  const sync = [measureSync(directory)];
  await using load = new LoadProcess();
  const drives = new Drives(generator, load);
  const plan: DurablePlan = { ...options, contenders: present, load, drives, directory, progress };
  const published = names.includes(PUBLISH) ? await measurePublish(plan) : { publish: [], sync: [] };
  const fanOut: FanOutFigures[] = [];
  for (const name of names.filter((name) => name in FAN_OUT)) fanOut.push(...await measureDurableFanOut(name, plan));
  return {
    date: today(),
    machine,
    disk,
    sync: [...sync, ...published.sync],
    servers: present.map(({ name, version, setting }) => ({ name, version, setting })),
    generator: GENERATORS[generator].title,
    rounds: { count: rounds, seconds: roundMs / 1000 },
    publish: published.publish,
    fanOut,
  };
}

/** Reads the arguments; a text is what to print instead of measuring. */
function readOptions(args: string[]) {
  const flags = parseArgs(args, {
    boolean: ["quick", "json", "write", "help"],
    string: ["dir", "only", "connections", "subscribers", "generator", "rounds", "seconds"],
    alias: { help: "h" },
    unknown: (argument) => {
      throw new RangeError(`Unknown argument "${argument}"; see deno task bench:durable --help`);
    },
  });
  if (flags.help) return HELP;
  const names = readNames(flags.only, { all: NAMES });
  const generator: string = flags.generator ?? "mixed";
  if (!Object.hasOwn(GENERATORS, generator)) throw new RangeError(`No generator "${generator}"`);
  const quick: boolean = flags.quick;
  const readList = (name: "connections" | "subscribers", fallback: string) =>
    (flags[name] as string ?? fallback).split(",").map((text) => readNumber(name, text, 1, 1, 10_000));
  return {
    dir: flags.dir as string | undefined,
    names,
    generator: generator as GeneratorName,
    json: flags.json as boolean,
    write: flags.write as boolean,
    connections: readList("connections", "1,32,64,256"),
    subscribers: readList("subscribers", "10,100"),
    rounds: readNumber("rounds", flags.rounds, quick ? 1 : 5, 1, 1000),
    roundMs: readNumber("seconds", flags.seconds, quick ? 0.3 : 2, 0.1, 60) * 1000,
  };
}

async function main(args: string[]): Promise<number> {
  const options = readOptions(args);
  if (typeof options === "string") return print(options);
  const directory = await Deno.makeTempDir({ dir: options.dir, prefix: "msgbus-durable-" });
  const interrupted = Promise.withResolvers<130>();
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, () => interrupted.resolve(130));
  try {
    const results = await Promise.race([measure(options, directory), interrupted.promise]);
    if (results === 130) return results;
    const report = formatReport(results);
    if (options.write) await writePage("durable", report);
    return print(options.json ? `${JSON.stringify(results)}\n` : report);
  } finally {
    await endChildren();
    await Deno.remove(directory, { recursive: true });
  }
}

try {
  Deno.exit(await main(Deno.args));
} catch (error) {
  say(`bench: ${error instanceof RangeError ? error.message : error instanceof Error ? error.stack : String(error)}`);
  Deno.exit(1);
}
