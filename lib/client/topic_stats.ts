/**
 * What a server tells of its topics.
 *
 * @module
 */

import type { TopicStats } from "../bus/answers.ts";
import { epochOf, formatCursor } from "../message.ts";
import { parseDuration } from "../wire/duration.ts";

const NS_PER_MS = 1_000_000;

interface WireTopic extends Omit<TopicStats, "ttlMs" | "createdMs" | "cursor"> {
  readonly ttl: number;
  readonly created: string;
}

/** The topics of the answer to `GET /`, sorted by name; `undefined` if it is none. */
export function topicsOfList(list: unknown): TopicStats[] | undefined {
  if (typeof list !== "object" || list === null) return undefined;
  const topics = Object.values(list);
  if (!topics.every(isWireTopic)) return undefined;
  return topics.map(({ name, ttl, created, seq, length, pending, bytes, subscribers, groups = 0 }) => {
    const createdMs = Date.parse(created);
    const cursor = formatCursor(seq, epochOf(createdMs));
    return { name, ttlMs: ttl / NS_PER_MS, createdMs, seq, cursor, length, pending, bytes, subscribers, groups };
  }).sort((a, b) => a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
}

/** The topic of the answer to `HEAD`; `undefined` if it is none. */
export function topicOfHead(name: string, headers: Headers): TopicStats | undefined {
  const text = (header: string) => headers.get(`msgbus-${header}`) ?? "";
  const number = (header: string) => /^[0-9]+$/.test(text(header)) ? Number(text(header)) : NaN;
  const topic: TopicStats = {
    name,
    ttlMs: parseDuration(text("ttl")) ?? NaN,
    createdMs: Date.parse(text("created")),
    seq: number("seq"),
    cursor: text("cursor"),
    length: number("length"),
    pending: number("pending"),
    bytes: number("bytes"),
    subscribers: number("subscribers"),
    // Older servers have none.
    groups: text("groups") === "" ? 0 : number("groups"),
  };
  return Object.values(topic).some(Number.isNaN) ? undefined : topic;
}

function isWireTopic(value: unknown): value is WireTopic {
  if (typeof value !== "object" || value === null) return false;
  const { name, ttl, seq, created } = value as Record<string, unknown>;
  return typeof name === "string" && typeof ttl === "number" && Number.isInteger(seq) && typeof created === "string";
}
