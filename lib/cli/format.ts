/**
 * How messages and topics are printed.
 *
 * @module
 */

import type { TopicStats } from "../bus/answers.ts";
import { escapeControls } from "../errors.ts";
import type { Message } from "../message.ts";
import { formatDuration } from "../wire/duration.ts";
import { encodeEnvelope } from "../wire/json.ts";
import { formatTime } from "../wire/time.ts";
import type { ValueFlag } from "./flags.ts";
import { parseTemplate, type Template } from "./template.ts";

/** How to print messages. */
export type MessageFormat = "log" | "json" | "payload" | Template;
/** How to print what is not a message. */
export type RecordFormat = "log" | "json";

const NAMED = ["log", "json", "payload"] as const;

/** `--format` of the commands that print messages. */
export const MESSAGE_FORMAT: ValueFlag<MessageFormat> = {
  short: "f",
  value: "FORMAT",
  help: "how to print a message: log, json, payload, or a template such as '{id} {payload}'",
  initial: "log",
  wanted: "one of log, json, payload, or a template such as '{id} {payload}'",
  read: (text) => NAMED.find((name) => name === text) ?? (/[{\\]/.test(text) ? parseTemplate(text) : undefined),
};

/** `--format` of the commands that print something else. */
export function recordFormat(help: string): ValueFlag<RecordFormat> {
  return formatFlag(["log", "json"], help);
}

function formatFlag<const T extends string>(values: readonly [T, ...T[]], help: string): ValueFlag<T> {
  return {
    short: "f",
    value: values.join("|"),
    help,
    initial: values[0],
    wanted: `one of ${values.join(", ")}`,
    read: (text) => values.find((value) => value === text),
  };
}

const encoder = new TextEncoder();
const NEWLINE = 0x0a;

/**
 * A message as it is printed, its line end included. `log` is the original's line with the local time at which the
 * message was published, `2017/08/07 01:11:22 [msgbus] received message: id=0 topic=foo payload=hi`; what could end the
 * line or confuse a terminal is escaped there, and in a template. Of a leased message the line has the lease, too.
 */
export function formatMessage(message: Message, format: MessageFormat): Uint8Array {
  if (typeof format === "object") return encoder.encode(format.fill(message));
  switch (format) {
    case "json":
      return encoder.encode(`${encodeEnvelope(message)}\n`);
    case "payload": {
      const line = new Uint8Array(message.payload.length + 1);
      line.set(message.payload);
      line[message.payload.length] = NEWLINE;
      return line;
    }
    case "log": {
      const { id, topic, attempt, lease } = message;
      const leased = lease === undefined ? "" : `attempt=${attempt} lease=${lease} `;
      const said = `id=${id} topic=${topic.name} ${leased}payload=${message.text()}`;
      return encoder.encode(
        `${formatTime(new Date(message.createdMs))} [msgbus] received message: ${escapeControls(said)}\n`,
      );
    }
  }
}

/** A topic as a line of JSON, in the members of `GET /`. */
export function formatTopicJson({ ttlMs, createdMs, ...topic }: TopicStats): string {
  const { name, seq, length, pending, bytes, subscribers, groups, cursor } = topic;
  const created = new Date(createdMs).toISOString();
  const ttl = ttlMs * 1_000_000;
  return `${JSON.stringify({ name, ttl, seq, created, length, pending, bytes, subscribers, groups, cursor })}\n`;
}

/** A topic as a table. */
export function formatTopicTable(topic: TopicStats): string {
  const rows: [string, string | number][] = [
    ["name", escapeControls(topic.name)],
    ["created", new Date(topic.createdMs).toISOString()],
    ["ttl", topic.ttlMs === 0 ? "none" : formatDuration(topic.ttlMs)],
    ["seq", topic.seq],
    ["length", topic.length],
    ["pending", topic.pending],
    ["bytes", topic.bytes],
    ["subscribers", topic.subscribers],
    ["groups", topic.groups],
    ["cursor", topic.cursor],
  ];
  return rows.map(([name, value]) => `${name.padEnd(13)}${value}\n`).join("");
}
