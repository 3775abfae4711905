/**
 * `msgbus topics`, `msgbus info` and `msgbus rm`: what topics there are.
 *
 * @module
 */

import { BusError, escapeControls, quote } from "../errors.ts";
import { type Command, defineCommand } from "./command.ts";
import { EXIT } from "./exit.ts";
import { formatTopicJson, formatTopicTable, recordFormat } from "./format.ts";
import { writeText } from "./io.ts";

/** `msgbus topics`. */
export const topics: Command = defineCommand({
  name: "topics",
  synopsis: "",
  summary: "list the topics",
  description: "Prints the names of all topics, one a line, sorted. Prints nothing if there are none.",
  examples: ["msgbus topics", "msgbus topics --format json"],
  flags: { format: recordFormat("print names, or all that is known of each topic as a line of JSON") },
  words: [0, 0],
}, async ({ values: { format }, client, io }) => {
  for (const topic of await client.topics()) {
    await writeText(io, format === "json" ? formatTopicJson(topic) : `${escapeControls(topic.name)}\n`);
  }
  return EXIT.done;
});

/** `msgbus info`. */
export const info: Command = defineCommand({
  name: "info",
  synopsis: "<topic>",
  summary: "tell what is known of a topic",
  description: `Takes nothing from the topic. Exits with 3 if there is no such topic.

seq is the id of the next message, length how many messages are retained, pending how many of
them no pull has taken, bytes what they take in memory.`,
  examples: ["msgbus info hello", "msgbus info hello --format json"],
  flags: { format: recordFormat("print a table, or a line of JSON") },
  words: [1, 1],
}, async ({ words: [name], values: { format }, client, io }) => {
  const topic = await client.topic(name!);
  if (topic === undefined) throw noTopic(name!);
  await writeText(io, format === "json" ? formatTopicJson(topic) : formatTopicTable(topic));
  return EXIT.done;
});

/** `msgbus rm`. */
export const rm: Command = defineCommand({
  name: "rm",
  synopsis: "<topic>",
  summary: "delete a topic",
  description: `Deletes the topic with all its messages and ends its subscriptions. Topics below it, such as
hello/world for hello, stay. Exits with 3 if there is no such topic.`,
  examples: ["msgbus rm hello"],
  flags: {},
  words: [1, 1],
}, async ({ words: [name], client }) => {
  if (!await client.delete(name!)) throw noTopic(name!);
  return EXIT.done;
});

function noTopic(name: string): BusError {
  return new BusError("no_topic", `No topic ${quote(name)}`);
}
