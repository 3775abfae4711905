/**
 * Results as Markdown.
 *
 * @module
 */

import { formatGoals } from "../goal.ts";
import { formatMachine } from "../machine.ts";
import { formatNumber, formatShare, formatSummary, formatTable } from "../summary.ts";
import type { Way } from "./contender.ts";
import type { FanOutFigures } from "./fan_out.ts";
import { GOALS } from "./goals.ts";
import type { IdleFigures } from "./idle.ts";
import { formatServers } from "./lineup.ts";
import { LATENCY_PER_SECOND, LATENCY_SUBSCRIBERS, type LatencyFigures } from "./latency.ts";
import type { Results } from "./results.ts";
import type { TopicsFigures } from "./topics.ts";

const KIB = 1024;
const GENERATOR_LIMIT = 0.9;
const GENERATOR_MARK = " ¹";
const LOST_MARK = " ²";

/** Writes all of it: what ran, the goals, the tables. */
export function formatReport(results: Results): string {
  const { fanOut, latency, idle, topics } = results;
  return [
    formatCircumstances(results),
    formatGoals(GOALS, results),
    ...fanOut.length > 0 ? [formatFanOut(fanOut), ...formatNotes(fanOut)] : [],
    ...latency.length > 0 ? [formatLatency(latency)] : [],
    ...idle.length > 0 ? [formatIdle(idle)] : [],
    ...topics.length > 0 ? [formatTopics(topics)] : [],
  ].join("\n");
}

function formatCircumstances({ date, machine, servers, rounds }: Results): string {
  const head = `${formatMachine(machine, date)}. One run, median (least–most) of ${rounds.count} rounds of ` +
    `${rounds.seconds} s each, servers in alternation.\n\n`;
  return head + formatServers(servers);
}

function formatFanOut(figures: readonly FanOutFigures[]): string {
  return formatTable(
    [
      "fan-out: to how many, from whom",
      "deliveries/s",
      "of msgbusd",
      "publishes/s",
      "server CPU µs/delivery",
      "load generator, cores",
    ],
    figures.map((row) => [
      `${row.workload} to ${row.subscribers}, ${row.server}`,
      formatSummary(row.deliveriesPerSecond, formatNumber) + (row.lost > 0 ? LOST_MARK : ""),
      row.server === "msgbusd" ? "" : formatSummary(row.ofMsgbusd, formatShare),
      formatNumber(row.publishesPerSecond.median),
      formatSummary(row.cpuUsPerDelivery, formatNumber),
      formatNumber(row.generatorCores.median) + (isGeneratorLimit(row) ? GENERATOR_MARK : ""),
    ]),
  );
}

function isGeneratorLimit({ generatorCores }: FanOutFigures): boolean {
  return generatorCores.median >= GENERATOR_LIMIT;
}

function formatNotes(figures: readonly FanOutFigures[]): string[] {
  const lost = figures.filter(({ lost }) => lost > 0);
  const list = lost.map((row) => `${row.workload} to ${row.subscribers}, ${row.server}: ${formatLost(row.lost)}`);
  return [
    ...figures.some(isGeneratorLimit)
      ? [`${GENERATOR_MARK.trim()} The load generator was near its limit: the server may be able to do more.\n`]
      : [],
    ...lost.length > 0
      ? [`${LOST_MARK.trim()} Not everything that was acknowledged arrived; lost: ${list.join("; ")}.\n`]
      : ["Everything that was acknowledged arrived at every subscriber.\n"],
  ];
}

function formatLost(share: number): string {
  return `${(share * 100).toPrecision(2)} %`;
}

function nameOf(way: Way, server: string): string {
  return `${{ sse: "sse", ndjson: "ws-ndjson", frame: "ws-plain" }[way]}, ${server}`;
}

function formatLatency(figures: readonly LatencyFigures[]): string {
  const title = `latency: ${LATENCY_PER_SECOND} messages/s to ${LATENCY_SUBSCRIBERS} subscribers`;
  return formatTable(
    [title, "median, ms", "99th percentile, ms"],
    figures.map(({ server, way, p50Ms, p99Ms }) => [
      nameOf(way, server),
      formatSummary(p50Ms, formatNumber),
      formatSummary(p99Ms, formatNumber),
    ]),
  );
}

function formatIdle(figures: readonly IdleFigures[]): string {
  const count = figures[0]!.subscribers;
  return formatTable(
    [`idle: ${formatNumber(count)} subscribers`, "resident memory each, KiB"],
    figures.map(({ server, way, bytesEach }) => [
      nameOf(way, server),
      formatSummary(bytesEach, (bytes) => formatNumber(bytes / KIB)),
    ]),
  );
}

function formatTopics(figures: readonly TopicsFigures[]): string {
  return formatTable(
    ["topics: publishing to one, besides …", "publishes/s", "of none besides", "server CPU µs/publish"],
    figures.map(({ topics, publishesPerSecond, ofOne, cpuUsPerPublish }) => [
      topics === 0 ? "no other" : `${formatNumber(topics)} others`,
      formatSummary(publishesPerSecond, formatNumber),
      topics === 0 ? "" : formatSummary(ofOne, formatShare),
      formatSummary(cpuUsPerPublish, formatNumber),
    ]),
  );
}
