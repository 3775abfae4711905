/**
 * Publish and pull over HTTP: msgbusd and the bare server in alternation, so that whatever else the machine does hits
 * both.
 *
 * @module
 */

import { DEFAULT_LIMITS } from "../lib/bus/limits.ts";
import type { Generator } from "./generator.ts";
import type { Load } from "./load.ts";
import { Server } from "./server.ts";
import { STEPS } from "./steps.ts";
import {
  formatNumber,
  formatShare,
  formatSummary,
  formatTable,
  lowerQuartile,
  summarise,
  summariseKnown,
  type Summary,
} from "./summary.ts";

/** How long and how often to measure, over HTTP. */
export interface HttpPlan {
  /** Rounds of each server. */
  readonly rounds: number;
  /** How long a round takes. */
  readonly roundMs: number;
  /** Told what is going on. */
  readonly progress: (line: string) => void;
}

/** The figures of one server under one workload. */
export interface HttpFigures {
  /** For example `http-publish`. */
  readonly name: string;
  /** Which server. */
  readonly server: "bare" | "msgbusd";
  /** Requests answered in a second. */
  readonly perSecond: Summary;
  /** The same in relation to the bare server's round just before. */
  readonly ofBare: Summary;
  /** Processor time of the server, all threads, in microseconds; `undefined` where it can't be read. */
  readonly cpuUsPerRequest: Summary | undefined;
  /** How much of one core the load generator used; `undefined` if it doesn't say. */
  readonly generatorCores: Summary | undefined;
}

const CONNECTIONS = 32;
const MESSAGE = "x".repeat(128);
const WARM_UP_MS = 1500;
const DRAIN_PER_SECOND = 120_000;
const FILL_LINES = 4096;

interface Workload {
  readonly method: string;
  readonly body: string;
  /** The paths to use in a round of this length. */
  paths(ms: number): string[];
  /** What must have happened before a round of msgbusd. */
  prepare(port: number, paths: readonly string[]): Promise<void>;
}

/** The workloads by name. */
export const HTTP_WORKLOADS: Readonly<Record<string, Workload>> = {
  "http-publish": {
    method: "POST",
    body: MESSAGE,
    paths: () => ["/bench"],
    prepare: async () => {},
  },
  "http-pull": {
    method: "GET",
    body: "",
    // Full queues of the default size, and enough of them that none runs empty: a 404 would end the round.
    paths: (ms) =>
      Array.from(
        { length: Math.ceil(ms / 1000 * DRAIN_PER_SECOND / DEFAULT_LIMITS.maxMessages) },
        (_, i) => `/bench/${i}`,
      ),
    prepare: async (port, paths) => {
      for (const path of paths) await fill(port, path);
    },
  },
};

async function fill(port: number, path: string): Promise<void> {
  const body = `${MESSAGE}\n`.repeat(FILL_LINES);
  for (let count = 0; count < DEFAULT_LIMITS.maxMessages; count += FILL_LINES) {
    const response = await fetch(`http://localhost:${port}${path}?split=lines`, { method: "POST", body });
    const text = await response.text();
    if (response.status !== 202) throw new Error(`Cannot fill ${path}: ${text}`);
  }
}

interface Round {
  readonly perSecond: number;
  readonly cpuUsPerRequest: number | undefined;
  readonly generatorCores: number | undefined;
}

/** Measures one workload. */
export async function measureHttp(name: string, generator: Generator, plan: HttpPlan): Promise<HttpFigures[]> {
  const workload = HTTP_WORKLOADS[name]!;
  await using bare = await Server.bare();
  await using msgbusd = await Server.msgbusd();
  const round = async (server: Server, ms: number): Promise<Round> => {
    const paths = workload.paths(ms);
    if (server === msgbusd) await workload.prepare(server.port, paths);
    const { method, body } = workload;
    return await drive(server, generator, { port: server.port, method, body, paths, connections: CONNECTIONS, ms });
  };
  const warmUpMs = Math.min(WARM_UP_MS, plan.roundMs);
  for (const server of [bare, msgbusd]) await round(server, warmUpMs);
  const rounds: { bare: Round; msgbusd: Round }[] = [];
  for (let i = 1; i <= plan.rounds; i++) {
    const both = { bare: await round(bare, plan.roundMs), msgbusd: await round(msgbusd, plan.roundMs) };
    rounds.push(both);
    plan.progress(`${name} ${i}/${plan.rounds}: ${formatShare(both.msgbusd.perSecond / both.bare.perSecond)} of bare`);
  }
  return (["bare", "msgbusd"] as const).map((server) => ({
    name,
    server,
    perSecond: summarise(rounds.map((round) => round[server].perSecond)),
    ofBare: summarise(rounds.map((round) => round[server].perSecond / round.bare.perSecond)),
    cpuUsPerRequest: summariseKnown(rounds.map((round) => round[server].cpuUsPerRequest)),
    generatorCores: summariseKnown(rounds.map((round) => round[server].generatorCores)),
  }));
}

async function drive(server: Server, generator: Generator, load: Load): Promise<Round> {
  const cpuBeforeMs = await server.cpuMs();
  const { requests, ms, cpuMs } = await generator.drive(load);
  const cpuAfterMs = await server.cpuMs();
  return {
    perSecond: requests / ms * 1000,
    cpuUsPerRequest: cpuBeforeMs === undefined || cpuAfterMs === undefined
      ? undefined
      : (cpuAfterMs - cpuBeforeMs) / requests * 1000,
    generatorCores: cpuMs === undefined ? undefined : cpuMs / ms,
  };
}

/** What one step adds to a request. */
export interface StepFigures {
  /** Which, of `steps.ts`. */
  readonly name: string;
  /**
   * Processor time of the server with it, all threads, less that of the one it is compared with, in microseconds: the
   * lower quartiles of all rounds, because whatever else the machine does only ever adds to a round.
   */
  readonly addedCpuUs: number | undefined;
  /** The same of each pair of rounds: how far they are apart. */
  readonly byRound: Summary | undefined;
}

/** Measures one step: a server with it and one without in alternation, both published to. */
export async function measureStep(name: string, generator: Generator, plan: HttpPlan): Promise<StepFigures> {
  const { against } = STEPS[name]!;
  await using without = against === undefined ? await Server.bare() : await Server.step(against);
  await using withIt = await Server.step(name);
  const cpuUs = async (server: Server, ms: number): Promise<number | undefined> => {
    const load = { method: "POST", body: MESSAGE, paths: ["/bench"], connections: CONNECTIONS };
    return (await drive(server, generator, { port: server.port, ...load, ms })).cpuUsPerRequest;
  };
  const warmUpMs = Math.min(WARM_UP_MS, plan.roundMs);
  for (const server of [without, withIt]) await cpuUs(server, warmUpMs);
  const rounds: { without: number; withIt: number }[] = [];
  for (let i = 1; i <= plan.rounds; i++) {
    const pair = { without: await cpuUs(without, plan.roundMs), withIt: await cpuUs(withIt, plan.roundMs) };
    if (pair.without === undefined || pair.withIt === undefined) break;
    rounds.push({ without: pair.without, withIt: pair.withIt });
    plan.progress(`${name} ${i}/${plan.rounds}`);
  }
  if (rounds.length === 0) return { name, addedCpuUs: undefined, byRound: undefined };
  return {
    name,
    addedCpuUs: lowerQuartile(rounds.map((round) => round.withIt)) -
      lowerQuartile(rounds.map((round) => round.without)),
    byRound: summarise(rounds.map((round) => round.withIt - round.without)),
  };
}

/** Writes figures as a table. */
export function formatHttp(figures: readonly HttpFigures[]): string {
  const header = ["over HTTP", "requests/s", "of bare", "server CPU µs/request", "load generator, cores"];
  return formatTable(
    header,
    figures.map(({ name, server, perSecond, ofBare, cpuUsPerRequest, generatorCores }) => [
      `${name}, ${server}`,
      formatSummary(perSecond, formatNumber),
      server === "bare" ? "" : formatSummary(ofBare, formatShare),
      formatSummary(cpuUsPerRequest, formatNumber),
      generatorCores === undefined ? "–" : formatNumber(generatorCores.median),
    ]),
  );
}

/** Writes what steps add as a table. */
export function formatSteps(figures: readonly StepFigures[]): string {
  return formatTable(
    ["one step of a request", "compared with", "added µs/request", "by round"],
    figures.map(({ name, addedCpuUs, byRound }) => {
      const { title, against = "bare" } = STEPS[name]!;
      const format = (us: number) => us.toFixed(1);
      return [
        `${name}: ${title}`,
        against,
        addedCpuUs === undefined ? "–" : format(addedCpuUs),
        formatSummary(byRound, format),
      ];
    }),
  );
}
