/**
 * What a benchmark found out, for people and for programs.
 *
 * @module
 */

import { pluralOf } from "../../wire/count.ts";
import type { Histogram } from "./histogram.ts";

/** A figure: its name in JSON, in words, its value and its unit. */
export interface Figure {
  /** What JSON calls it. */
  readonly name: string;
  /** What the table calls it. */
  readonly label: string;
  /** Its value. */
  readonly value: number | string | boolean;
  /** What the table says instead of the value. */
  readonly words?: string;
  /** What the value counts; an empty text for messages and the like. */
  readonly unit: "" | "B" | "ms" | "/s" | "B/s";
}

/** The throughput of `count` messages of `size` bytes in `ms`. */
export function throughput(verb: string, count: number, ms: number, size: number): Figure[] {
  const perSecond = ms === 0 ? 0 : count * 1000 / ms;
  return [
    { name: verb, label: verb, value: count, unit: "" },
    { name: `${verb}PerSecond`, label: `${verb} a second`, value: perSecond, unit: "/s" },
    { name: `${verb}BytesPerSecond`, label: "payload a second", value: perSecond * size, unit: "B/s" },
  ];
}

/** Overdue by less than this, or by less than a percent, is a hiccup at the end, and no rate that was too high. */
const HICCUP_MS = 20;

/** How many messages were sent at a steady rate in `ms`, and whether it was the one that was asked for. */
export function steadiness(sent: number, ms: number, rate: number): Figure[] {
  const wantedMs = sent * 1000 / rate;
  const reached = wantedMs >= ms ? rate : sent * 1000 / ms;
  const kept = ms - wantedMs <= Math.max(HICCUP_MS, ms / 100);
  return [
    { name: "published", label: "published", value: sent, unit: "" },
    { name: "publishedPerSecond", label: "published a second", value: reached, unit: "/s" },
    {
      name: "rateKept",
      label: "rate kept",
      value: kept,
      words: kept ? "yes" : `no: reached ${grouped(reached)} of ${grouped(rate)} messages/s`,
      unit: "",
    },
  ];
}

/** The percentiles of times. */
export function times(what: string, histogram: Histogram): Figure[] {
  const figure = (name: string, value: number): Figure => {
    return { name: `${name}Ms`, label: `${what} ${name}`, value, unit: "ms" };
  };
  return [
    ...[50, 90, 99].map((percent) => figure(`p${percent}`, histogram.percentile(percent))),
    figure("max", histogram.maxMs),
  ];
}

/** Figures as one JSON object on a line. */
export function formatJson(figures: readonly Figure[]): string {
  const round = (value: Figure["value"]) => typeof value === "number" ? Number(value.toFixed(3)) : value;
  return `${JSON.stringify(Object.fromEntries(figures.map(({ name, value }) => [name, round(value)])))}\n`;
}

/** Figures as a table. */
export function formatTable(figures: readonly Figure[]): string {
  const width = Math.max(...figures.map(({ label }) => label.length));
  return figures.map((figure) => `${figure.label.padEnd(width)}  ${valueOf(figure)}\n`).join("");
}

function valueOf({ value, words, unit }: Figure): string {
  if (words !== undefined) return words;
  if (typeof value !== "number") return String(value);
  switch (unit) {
    case "ms":
      return value >= 1000 ? `${(value / 1000).toFixed(2)} s` : `${value.toFixed(value < 10 ? 2 : 1)} ms`;
    case "B/s":
      return `${(value / 1e6).toFixed(2)} MB`;
    case "B":
      return `${grouped(value)} ${pluralOf("byte", value)}`;
    default:
      return grouped(value);
  }
}

/** A number as everybody reads it, whatever the locale: `12,345`. */
export function grouped(value: number): string {
  return Math.round(value).toLocaleString("en-US");
}
