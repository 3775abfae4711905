/**
 * The metrics, each in one place: name, type, labels, help, and where its values come from. The table in
 * `docs/operations.md` is the same.
 *
 * @module
 */

import type { BusTotals, TopicStats } from "../bus/answers.ts";
import type { MessageBus } from "../bus/bus.ts";
import { VERSION } from "../version.ts";
import { encodeExposition, type MetricType, type Sample } from "./exposition.ts";
import type { Metrics } from "./metrics.ts";
import type { ProcessState } from "./process.ts";

/** What {@linkcode encodeMetrics} writes about. */
export interface MetricsSource {
  /** The bus. */
  readonly bus: MessageBus;
  /** What has been counted of it: its observer. */
  readonly metrics: Metrics;
  /** How many topics, the busiest, get values of their own. */
  readonly topics: number;
  /** Whether nothing can be kept now. Default: it can. */
  readonly refuses?: boolean;
  /** The process; without it what is said of it is left out. */
  readonly process?: ProcessState;
}

/** Everything at one moment. */
interface Snapshot {
  readonly totals: BusTotals;
  readonly busiest: readonly TopicStats[];
  readonly metrics: Metrics;
  readonly refuses: boolean;
  readonly process: ProcessState | undefined;
}

/** One metric. */
export interface FamilySpec {
  /** Its name. */
  readonly name: string;
  /** What kind of values it has. */
  readonly type: MetricType;
  /** The labels of its values. */
  readonly labels?: readonly string[];
  /** What it says, in one line. */
  readonly help: string;
  /** Its value now, or its values; `undefined` if it has none. */
  read(snapshot: Snapshot): number | readonly Sample[] | undefined;
}

/** All metrics, in the order in which they are written. */
export const FAMILIES: readonly FamilySpec[] = [
  {
    name: "msgbus_info",
    type: "gauge",
    labels: ["version"],
    help: "Always 1; the version is its label",
    read: () => [{ labels: { version: VERSION }, value: 1 }],
  },
  gauge("msgbus_topics", "Topics", ({ totals }) => totals.topics),
  gauge("msgbus_subscriptions", "Subscriptions", ({ totals }) => totals.subscriptions),
  gauge("msgbus_messages_retained", "Messages in the logs of all topics", ({ totals }) => totals.messages),
  gauge("msgbus_bytes_retained", "Bytes in the logs of all topics, as limits count them", ({ totals }) => totals.bytes),
  gauge(
    "msgbus_bytes_resident",
    "Bytes of messages in memory, counted alike, those to be published later among them",
    ({ totals }) => totals.residentBytes,
  ),
  counter("msgbus_messages_published_total", "Messages published", ({ totals }) => totals.published),
  counter("msgbus_published_bytes_total", "Bytes of their payloads", ({ metrics }) => metrics.publishedBytes),
  gauge("msgbus_messages_scheduled", "Messages to be published later", ({ totals }) => totals.scheduled),
  gauge("msgbus_bytes_scheduled", "Bytes that limits count for them", ({ totals }) => totals.scheduledBytes),
  counter(
    "msgbus_messages_postponed_total",
    "Times a scheduled message was due and could not be published, each tried again",
    ({ metrics }) => metrics.postponements,
  ),
  counter(
    "msgbus_publishes_repeated_total",
    "Publishes known as repeats by their Idempotency-Key, which published nothing",
    ({ totals }) => totals.duplicates,
  ),
  counter(
    "msgbus_idempotency_keys_forgotten_total",
    "Idempotency keys forgotten before their time because there were too many",
    ({ totals }) => totals.forgottenKeys,
  ),
  counter("msgbus_messages_pulled_total", "Messages handed out by queues and groups", ({ totals }) => totals.pulled),
  counter(
    "msgbus_messages_redelivered_total",
    "Messages handed out that had been handed out before",
    ({ totals }) => totals.redelivered,
  ),
  gauge("msgbus_leases", "Leases that can be settled now", ({ totals }) => totals.leased),
  {
    name: "msgbus_leases_settled_total",
    type: "counter",
    labels: ["by"],
    help: "Leases that were acknowledged, or handed back",
    read: ({ totals }) => each("by", { ack: totals.acked, nack: totals.nacked }),
  },
  counter("msgbus_dead_letters_total", "Messages that became dead letters", ({ totals }) => totals.dead),
  counter(
    "msgbus_dead_letters_redriven_total",
    "Dead letters published to their topics again",
    ({ totals }) => totals.redriven,
  ),
  counter(
    "msgbus_messages_delivered_total",
    "Messages taken by subscriptions; one that two take counts twice",
    ({ totals }) => totals.delivered,
  ),
  {
    name: "msgbus_messages_dropped_total",
    type: "counter",
    labels: ["reason"],
    help:
      "Messages that left their log because they expired, because of a limit or because they are damaged, read or not",
    read: ({ totals: { expired, dropped, damaged } }) => each("reason", { expired, limit: dropped, damaged }),
  },
  {
    name: "msgbus_gaps_total",
    type: "counter",
    labels: ["reason"],
    help: "Times a reader was told that messages it wanted are gone",
    read: ({ metrics }) => each("reason", metrics.gaps),
  },
  {
    name: "msgbus_messages_missed_total",
    type: "counter",
    labels: ["reason"],
    help: "Messages they were, as far as their number is known; one that two readers miss counts twice",
    read: ({ metrics }) => each("reason", metrics.missed),
  },
  {
    name: "msgbus_subscriptions_ended_total",
    type: "counter",
    labels: ["reason"],
    help: "Subscriptions that have ended",
    read: ({ metrics }) => each("reason", metrics.ended),
  },
  {
    name: "msgbus_http_requests_total",
    type: "counter",
    labels: ["method", "code"],
    help: "Requests answered; an unknown method is other",
    read: ({ metrics }) => metrics.answers(),
  },
  {
    name: "msgbus_http_request_duration_seconds",
    type: "histogram",
    labels: ["route"],
    help: "Time from the head of a request to its answer, for a subscription to the beginning of it",
    read: ({ metrics }) => metrics.durations(),
  },
  {
    name: "msgbus_errors_total",
    type: "counter",
    labels: ["code"],
    help: "Requests and messages over WebSockets answered with an error, by its code",
    read: ({ metrics }) => each("code", metrics.errors),
  },
  {
    name: "msgbus_event_loop_lag_seconds",
    type: "histogram",
    help: "How late a timer ran, tried once a second",
    read: ({ metrics }) => metrics.lags(),
  },
  {
    name: "msgbus_journal_commit_seconds",
    type: "histogram",
    help: "Time until a transaction of --data was on the disk, fsync included",
    read: ({ metrics }) => metrics.commits(),
  },
  counter("msgbus_journal_changes_total", "Changes in those transactions", ({ metrics }) => metrics.changes),
  gauge(
    "msgbus_journal_refuses",
    "1 while --data can't be written, such as on a full disk, else 0",
    ({ refuses }) => refuses ? 1 : 0,
  ),
  ofTopics("counter", "msgbus_topic_messages_published_total", "Messages a busy topic has had", ({ seq }) => seq),
  ofTopics("gauge", "msgbus_topic_messages_retained", "Messages in the log of a busy topic", ({ length }) => length),
  ofTopics(
    "gauge",
    "msgbus_topic_bytes_retained",
    "Bytes in the log of a busy topic, as limits count them",
    ({ bytes }) => bytes,
  ),
  ofTopics("gauge", "msgbus_topic_subscriptions", "Subscriptions of a busy topic", ({ subscribers }) => subscribers),
  ofTopics(
    "gauge",
    "msgbus_queue_len",
    "Messages in the log of a busy topic that its queue has not handed out",
    ({ pending }) => pending,
  ),
  gauge("process_resident_memory_bytes", "Memory occupied", ({ process }) => process?.residentBytes),
  gauge("process_start_time_seconds", "When it started, since the Unix epoch", ({ process }) => process?.startSeconds),
  counter("process_cpu_seconds_total", "Processor time of all threads", ({ process }) => process?.cpuSeconds),
  // The names of the original, which dashboards may still have.
  counter("msgbus_bus_messages", "Original name: messages published", ({ totals }) => totals.published),
  counter("msgbus_bus_delivered", "Original name: messages taken by subscriptions", ({ totals }) => totals.delivered),
  counter("msgbus_bus_fetched", "Original name: messages pulled", ({ totals }) => totals.pulled),
  counter(
    "msgbus_bus_dropped",
    "Original name: messages that subscribers did not get, the sum of msgbus_messages_missed_total",
    ({ metrics }) => sum(metrics.missed),
  ),
  gauge("msgbus_bus_topics", "Original name: topics", ({ totals }) => totals.topics),
  gauge("msgbus_bus_subscribers", "Original name: subscriptions", ({ totals }) => totals.subscriptions),
  counter("msgbus_server_requests", "Original name: requests answered", ({ metrics }) => metrics.requests),
  counter(
    "msgbus_server_uptime",
    "Original name: nanoseconds it has run",
    ({ process }) => process === undefined ? undefined : Math.round(process.uptimeSeconds * 1e9),
  ),
];

/** Writes all metrics as they are now, in the text format of Prometheus. */
export function encodeMetrics({ bus, metrics, topics, refuses = false, process }: MetricsSource): string {
  // Looking at a topic drops what has expired in it, which the totals then count.
  const busiest = bus.busiest(topics);
  const snapshot: Snapshot = { totals: bus.totals(), busiest, metrics, refuses, process };
  return encodeExposition(FAMILIES.map(({ name, type, help, read }) => {
    const found = read(snapshot);
    return { name, type, help, samples: typeof found === "number" ? [{ value: found }] : found ?? [] };
  }));
}

type Read = (snapshot: Snapshot) => number | undefined;

function counter(name: string, help: string, read: Read): FamilySpec {
  return { name, type: "counter", help, read };
}

function gauge(name: string, help: string, read: Read): FamilySpec {
  return { name, type: "gauge", help, read };
}

function ofTopics(
  type: "counter" | "gauge",
  name: string,
  help: string,
  valueOf: (topic: TopicStats) => number,
): FamilySpec {
  const read = ({ busiest }: Snapshot) =>
    busiest.map((topic) => ({ labels: { topic: topic.name }, value: valueOf(topic) }));
  return { name, type, labels: ["topic"], help, read };
}

/** A value for each member, under its name. */
function each(label: string, values: Readonly<Record<string, number>>): Sample[] {
  return Object.entries(values).map(([name, value]) => ({ labels: { [label]: name }, value }));
}

function sum(values: Readonly<Record<string, number>>): number {
  return Object.values(values).reduce((sum, value) => sum + value, 0);
}
