/**
 * Measures msgbus and prints tables: `deno task bench --help` tells how. What the figures mean is in
 * `docs/benchmarks.md`.
 *
 * @module
 */

import { parseArgs } from "../lib/deps/cli.ts";
import { Child, killChildren } from "./child.ts";
import { print, progress, readNames, readNumber } from "./command_line.ts";
import { type Generator, OwnGenerator, Wrk } from "./generator.ts";
import {
  formatHttp,
  formatSteps,
  HTTP_WORKLOADS,
  type HttpFigures,
  measureHttp,
  measureStep,
  type StepFigures,
} from "./http.ts";
import { IN_PROCESS } from "./in_process.ts";
import { formatMemory, measureMemory, type MemoryFigures } from "./memory.ts";
import { programOf } from "./server.ts";
import { STEPS } from "./steps.ts";
import { formatNumber, formatSummary, formatTable, summarise, type Summary } from "./summary.ts";

const HTTP_STEPS = "http-steps";
const MEMORY = "memory";

const HELP = `Measures msgbus and prints tables.

  deno task bench [--only NAME,NAME] [--quick] [--rounds N] [--seconds N] [--generator own|wrk] [--json]

  --only NAME,…     measure only these: ${Object.keys(IN_PROCESS).join(" ")}
                    ${Object.keys(HTTP_WORKLOADS).join(" ")};
                    only if named: ${HTTP_STEPS} (where the time of a request goes)
                    and ${MEMORY} (what msgbusd occupies when full)
  --quick           short rounds, to see that everything runs; the figures mean little
  --rounds N        rounds of each server over HTTP, fillings for ${MEMORY} (default 7, quick 2)
  --seconds N       how long such a round takes (default 2, quick 0.3)
  --generator wrk   make the HTTP load with wrk; needs --allow-run=wrk besides
  --json            print one JSON object instead of tables

For example: deno task bench --only put,http-publish --quick
`;

interface InProcessFigures {
  readonly name: string;
  readonly ns: Summary;
}

async function main(args: string[]): Promise<number> {
  const options = readOptions(args);
  if (typeof options === "string") return print(options);
  const { names, quick, json, plan } = options;
  const inProcess: InProcessFigures[] = [];
  for (const name of names.filter((name) => name in IN_PROCESS)) {
    progress(name);
    inProcess.push({ name, ns: summarise(await runInProcess(name, quick)) });
  }
  const http: HttpFigures[] = [];
  const steps: StepFigures[] = [];
  const workloads = names.filter((name) => name in HTTP_WORKLOADS);
  const stepNames = names.includes(HTTP_STEPS) ? Object.keys(STEPS) : [];
  if (workloads.length + stepNames.length > 0) {
    await using generator: Generator = options.generator === "wrk" ? new Wrk() : new OwnGenerator();
    for (const name of workloads) http.push(...await measureHttp(name, generator, { ...plan, progress }));
    for (const name of stepNames) steps.push(await measureStep(name, generator, { ...plan, progress }));
  }
  const memory: MemoryFigures[] = names.includes(MEMORY) ? await measureMemory({ rounds: plan.rounds, progress }) : [];
  const { os, arch } = Deno.build;
  const machine = { cores: navigator.hardwareConcurrency, os, arch, deno: Deno.version.deno, v8: Deno.version.v8 };
  if (json) {
    return print(`${JSON.stringify({ date: new Date().toISOString(), machine, inProcess, http, steps, memory })}\n`);
  }
  print(
    `Deno ${machine.deno} (V8 ${machine.v8}), ${os} ${arch}, ${machine.cores} cores; median (least–most) of rounds\n`,
  );
  if (inProcess.length > 0) print(`\n${formatInProcess(inProcess)}`);
  if (http.length > 0) print(`\n${formatHttp(http)}`);
  if (steps.length > 0) print(`\n${formatSteps(steps)}`);
  if (memory.length > 0) print(`\n${formatMemory(memory)}`);
  return 0;
}

/** Reads the arguments; a text is what to print instead of measuring. */
function readOptions(args: string[]) {
  const flags = parseArgs(args, {
    boolean: ["quick", "json", "help"],
    string: ["only", "rounds", "seconds", "generator"],
    alias: { help: "h" },
    unknown: (argument) => {
      throw new RangeError(`Unknown argument "${argument}"; see deno task bench --help`);
    },
  });
  if (flags.help) return HELP;
  const usual = [...Object.keys(IN_PROCESS), ...Object.keys(HTTP_WORKLOADS)];
  const all = [...usual, HTTP_STEPS, MEMORY];
  const names = readNames(flags.only, { all, usual });
  const generator: string = flags.generator ?? "own";
  if (generator !== "own" && generator !== "wrk") throw new RangeError(`No generator "${generator}": own or wrk`);
  const quick: boolean = flags.quick;
  const rounds = readNumber("rounds", flags.rounds, quick ? 2 : 7, 1, 1000);
  const seconds = readNumber("seconds", flags.seconds, quick ? 0.3 : 2, 0.1, 60);
  return { names, quick, json: flags.json as boolean, generator, plan: { rounds, roundMs: seconds * 1000 } };
}

const IN_PROCESS_DEADLINE_MS = 120_000;

async function runInProcess(name: string, quick: boolean): Promise<number[]> {
  const args = ["run", "--no-prompt", programOf("./in_process.ts"), name, ...(quick ? ["--quick"] : [])];
  await using child = new Child({ args, reads: "stdout" });
  return JSON.parse(await child.nextLine(IN_PROCESS_DEADLINE_MS));
}

function formatInProcess(figures: readonly InProcessFigures[]): string {
  return formatTable(
    ["in one process", "ns/operation"],
    figures.map(({ name, ns }) => [`${name}: ${IN_PROCESS[name]!.title}`, formatSummary(ns, formatNumber)]),
  );
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => {
    killChildren();
    Deno.exit(130);
  });
}
try {
  Deno.exit(await main(Deno.args));
} catch (error) {
  const line = error instanceof RangeError ? error.message : error instanceof Error ? error.stack : String(error);
  Deno.stderr.writeSync(new TextEncoder().encode(`bench: ${line}\n`));
  Deno.exit(1);
}
