/**
 * Looking at topics and deleting them: `GET /`, `HEAD /t`, `DELETE /t`.
 *
 * @module
 */

import type { TopicStats } from "../bus/answers.ts";
import type { MessageBus } from "../bus/bus.ts";
import { formatDuration } from "../wire/duration.ts";
import type { Head } from "./head.ts";
import { noTopic } from "./pull.ts";
import { emptyResponse, jsonResponse, prefersJson, respond, TEXT } from "./respond.ts";

/** Lists the topics: a name a line, or a JSON object by name if `Accept` prefers it. */
export function listTopics(bus: MessageBus, head: Head): Response {
  if (prefersJson(head.accept)) {
    const topics = bus.topics();
    // Written by hand because a topic may be called __proto__.
    return jsonResponse(
      200,
      `{${topics.map((topic) => `${JSON.stringify(topic.name)}:${encodeTopic(topic)}`).join(",")}}`,
    );
  }
  return respond(200, bus.names().map((name) => `${name}\n`).join(""), TEXT);
}

function encodeTopic({ name, ttlMs, createdMs, seq, length, pending, bytes, subscribers, groups }: TopicStats): string {
  const created = new Date(createdMs).toISOString();
  return JSON.stringify({ name, ttl: ttlMs * 1_000_000, seq, created, length, pending, bytes, subscribers, groups });
}

/** Describes a topic in headers. */
export function describeTopic(bus: MessageBus, name: string): Response {
  const topic = bus.topic(name);
  if (topic === undefined) throw noTopic(name);
  return emptyResponse(200, {
    "msgbus-seq": String(topic.seq),
    "msgbus-length": String(topic.length),
    "msgbus-pending": String(topic.pending),
    "msgbus-bytes": String(topic.bytes),
    "msgbus-subscribers": String(topic.subscribers),
    "msgbus-groups": String(topic.groups),
    "msgbus-ttl": formatDuration(topic.ttlMs),
    "msgbus-created": new Date(topic.createdMs).toISOString(),
    "msgbus-cursor": topic.cursor,
  });
}

/** Deletes a topic with everything in it. */
export async function deleteTopic(bus: MessageBus, name: string): Promise<Response> {
  if (!await bus.delete(name)) throw noTopic(name);
  return emptyResponse(204);
}
