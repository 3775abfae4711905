/**
 * The text format that Prometheus reads, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats).
 *
 * @module
 */

/** The types of metrics there are here. */
export type MetricType = "counter" | "gauge" | "histogram";

/** Label values by label name. Names match `[a-zA-Z_][a-zA-Z0-9_]*`; values may be anything. */
export type Labels = Readonly<Record<string, string>>;

/** One value of a metric. */
export interface Sample {
  /** What tells it from the metric's other values. Default: nothing. */
  readonly labels?: Labels;
  /** What is appended to the metric's name; only in histograms. */
  readonly suffix?: "_bucket" | "_sum" | "_count";
  /** The value, which may be infinite or not a number. */
  readonly value: number;
}

/** A metric with all its values. */
export interface Family {
  /** The name: `[a-zA-Z_:][a-zA-Z0-9_:]*`, no other family's. */
  readonly name: string;
  /** What kind of values it has. */
  readonly type: MetricType;
  /** What it says, in one line. */
  readonly help: string;
  /** The values, each with other labels. */
  readonly samples: readonly Sample[];
}

/** Writes families in the text format; one without values is left out. */
export function encodeExposition(families: readonly Family[]): string {
  return families.filter(({ samples }) => samples.length > 0).map(encodeFamily).join("");
}

function encodeFamily({ name, type, help, samples }: Family): string {
  const lines = samples.map(({ suffix = "", labels = {}, value }) =>
    `${name}${suffix}${encodeLabels(labels)} ${encodeNumber(value)}\n`
  );
  return `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

function encodeLabels(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

/** Writes a number as the format has it, which is that of JavaScript but for infinity. */
export function encodeNumber(value: number): string {
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}

function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}
