/**
 * Results as Markdown.
 *
 * @module
 */

import { formatGoals } from "../goal.ts";
import { formatMachine } from "../machine.ts";
import type { FanOutFigures } from "../peers/fan_out.ts";
import { formatServers } from "../peers/lineup.ts";
import { formatNumber, formatShare, formatSummary, formatTable, summarise } from "../summary.ts";
import { GOALS } from "./goals.ts";
import { MEMORY, REDIS } from "./lineup.ts";
import type { PublishFigures } from "./publish.ts";
import type { DurableResults } from "./results.ts";

/** Writes all of it: what ran, the goals, the tables. */
export function formatReport(results: DurableResults): string {
  const { publish, fanOut } = results;
  return [
    formatCircumstances(results),
    formatGoals(GOALS, results),
    ...publish.length > 0 ? [formatPublish(publish)] : [],
    ...fanOut.length > 0 ? [formatFanOut(fanOut)] : [],
  ].join("\n");
}

function formatCircumstances({ date, machine, disk, sync, servers, generator, rounds }: DurableResults): string {
  const times = (name: keyof typeof sync[number]) => formatSummary(summarise(sync.map((each) => each[name])), formatMs);
  return `${formatMachine(machine, date)}. One run, median (least–most) of ${rounds.count} rounds of ` +
    `${rounds.seconds} s each, servers in alternation; ${generator}.\n\n` +
    `The disk (${disk.filesystem} on ${disk.device}) alone, 4 KiB and \`fdatasync\`: ${
      times("overwriteMs")
    } ms in place, ` +
    `${times("appendMs")} ms at the end of a file, 99th percentile ${times("p99Ms")} ms.\n\n` + formatServers(servers);
}

function formatPublish(figures: readonly PublishFigures[]): string {
  return formatTable(
    [
      "publish: connections, server",
      "publishes/s",
      "of redis",
      "median, ms",
      "99th percentile, ms",
      "server CPU µs/publish",
      "load generator, cores",
    ],
    figures.map((row) => [
      `${row.connections}, ${row.server}`,
      formatSummary(row.perSecond, formatNumber),
      row.server === REDIS || row.ofRedis === undefined ? "" : formatSummary(row.ofRedis, formatShare),
      formatSummary(row.p50Ms, formatMs),
      formatSummary(row.p99Ms, formatMs),
      formatSummary(row.cpuUsPerPublish, formatNumber),
      row.generatorCores === undefined ? "–" : formatNumber(row.generatorCores.median),
    ]),
  );
}

function formatFanOut(figures: readonly FanOutFigures[]): string {
  return formatTable(
    [
      "fan-out: to how many, from whom",
      "deliveries/s",
      "of memory",
      "messages/s",
      "server CPU µs/delivery",
      "load generator, cores",
      "lost",
    ],
    figures.map((row) => [
      `${row.workload} to ${row.subscribers}, ${row.server}`,
      formatSummary(row.deliveriesPerSecond, formatNumber),
      row.server === MEMORY ? "" : formatSummary(row.ofMsgbusd, formatShare),
      formatNumber(row.publishesPerSecond.median),
      formatSummary(row.cpuUsPerDelivery, formatNumber),
      formatNumber(row.generatorCores.median),
      row.lost > 0 ? formatShare(row.lost) : "none",
    ]),
  );
}

function formatMs(ms: number): string {
  return String(Number(ms.toPrecision(3)));
}
