/**
 * A reader of Prometheus's text format 0.0.4, written after its specification and strict wherever that says "must".
 *
 * @module
 */

import type { Labels } from "../../lib/metrics/exposition.ts";

/** A metric that was read. */
export interface ReadFamily {
  readonly type: string;
  readonly help: string;
  /** The values, with the names they had. */
  readonly samples: { readonly name: string; readonly labels: Labels; readonly value: number }[];
}

/** What was read, by name. */
export type Scrape = ReadonlyMap<string, ReadFamily>;

const NAME = "[a-zA-Z_:][a-zA-Z0-9_:]*";
const LABEL = '([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\\\\n]|\\\\["\\\\n])*)"';
const SAMPLE = new RegExp(`^(${NAME})(?:\\{((?:${LABEL}(?:,|(?=\\})))*)\\})? (\\S+)$`);
const HELP = new RegExp(`^# HELP (${NAME}) ((?:[^\\\\]|\\\\[\\\\n])*)$`);
const TYPE = new RegExp(`^# TYPE (${NAME}) (counter|gauge|histogram|summary|untyped)$`);
const NUMBER = /^[+-]?(?:[0-9]+(?:\.[0-9]*)?(?:e[+-]?[0-9]+)?|Inf)$|^NaN$/;

/** Reads a page of metrics. Throws an `Error` at anything that Prometheus might refuse. */
export function readScrape(text: string): Scrape {
  if (!text.endsWith("\n")) throw new Error("The last line has no end");
  const families = new Map<string, ReadFamily>();
  const series = new Set<string>();
  let current: { name: string; family: ReadFamily } | undefined;
  let help: { name: string; text: string } | undefined;
  for (const line of text.slice(0, -1).split("\n")) {
    const helpMatch = HELP.exec(line);
    const typeMatch = TYPE.exec(line);
    if (helpMatch !== null) {
      help = { name: helpMatch[1]!, text: unescape(helpMatch[2]!) };
    } else if (typeMatch !== null) {
      const [, name, type] = typeMatch as unknown as [string, string, string];
      if (help?.name !== name) throw new Error(`No help before ${line}`);
      if (families.has(name)) throw new Error(`A second time: ${line}`);
      families.set(name, (current = { name, family: { type, help: help.text, samples: [] } }).family);
    } else {
      const match = SAMPLE.exec(line);
      if (match === null) throw new Error(`Not a line of the format: ${line}`);
      const name = match[1]!;
      const labels = readLabels(match[2] ?? "");
      if (current === undefined || !belongs(name, current)) throw new Error(`Not where its metric is: ${line}`);
      const key = JSON.stringify([name, Object.entries(labels).sort()]);
      if (series.has(key)) throw new Error(`A second value: ${line}`);
      series.add(key);
      current.family.samples.push({ name, labels, value: readNumber(match.at(-1)!) });
    }
  }
  for (const [name, family] of families) checkFamily(name, family);
  return families;
}

/** The one value of `name` with exactly these labels; throws if there is none. */
export function valueOf(scrape: Scrape, name: string, labels: Labels = {}): number {
  const family = scrape.get(name) ?? scrape.get(name.replace(/_(bucket|sum|count)$/, ""));
  const wanted = JSON.stringify(Object.entries(labels).sort());
  const sample = family?.samples.find((sample) =>
    sample.name === name && JSON.stringify(Object.entries(sample.labels).sort()) === wanted
  );
  if (sample === undefined) throw new Error(`No value of ${name} ${wanted}`);
  return sample.value;
}

/** The values of `label` that the metric's values have. */
export function labelsOf(scrape: Scrape, name: string, label: string): string[] {
  return (scrape.get(name)?.samples ?? []).map(({ labels }) => labels[label]!);
}

function belongs(name: string, { name: family, family: { type } }: { name: string; family: ReadFamily }): boolean {
  if (type !== "histogram") return name === family;
  return [`${family}_bucket`, `${family}_sum`, `${family}_count`].includes(name);
}

function readLabels(text: string): Labels {
  const pairs = [...text.matchAll(new RegExp(LABEL, "g"))].map(([, name, value]) => [name!, unescape(value!)] as const);
  const labels = Object.fromEntries(pairs);
  if (Object.keys(labels).length !== pairs.length) throw new Error(`A label twice: ${text}`);
  return labels;
}

function unescape(text: string): string {
  return text.replace(/\\(.)/g, (_, c) => c === "n" ? "\n" : c);
}

function readNumber(text: string): number {
  if (!NUMBER.test(text)) throw new Error(`Not a number: ${text}`);
  return Number(text.replace("Inf", "Infinity"));
}

function checkFamily(name: string, { type, samples }: ReadFamily): void {
  if (samples.length === 0) throw new Error(`${name} has no value`);
  if (type === "counter" && samples.some(({ value }) => !(value >= 0))) throw new Error(`${name} counts below 0`);
  if (type === "histogram") checkHistogram(name, samples);
}

function checkHistogram(name: string, samples: ReadFamily["samples"]): void {
  const groups = Map.groupBy(samples, ({ labels: { le: _, ...rest } }) => JSON.stringify(Object.entries(rest)));
  for (const group of groups.values()) {
    const buckets = group.filter((sample) => sample.name === `${name}_bucket`);
    const bounds = buckets.map(({ labels }) => readNumber(labels.le!));
    const counts = buckets.map(({ value }) => value);
    const ascending = (values: number[]) => values.every((value, i) => i === 0 || value >= values[i - 1]!);
    if (!ascending(bounds) || !ascending(counts)) throw new Error(`The buckets of ${name} don't grow`);
    if (bounds.at(-1) !== Infinity) throw new Error(`${name} has no bucket +Inf`);
    const [count, sum] = ["_count", "_sum"].map((suffix) =>
      group.find((sample) => sample.name === name + suffix)?.value
    );
    if (count !== counts.at(-1) || sum === undefined) throw new Error(`${name} has no fitting count, or no sum`);
  }
}
