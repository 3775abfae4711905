/**
 * `msgbus scheduled` and `msgbus cancel`: messages that are to be published later.
 *
 * @module
 */

import { BusError, escapeControls, quote } from "../errors.ts";
import { type Command, defineCommand } from "./command.ts";
import { EXIT } from "./exit.ts";
import { recordFormat } from "./format.ts";
import { writeText } from "./io.ts";

/** `msgbus scheduled`. */
export const scheduled: Command = defineCommand({
  name: "scheduled",
  synopsis: "<topic>",
  summary: "list the messages that are to be published later",
  description: `Prints when, the token that cancels it, the length in bytes, and the key. Prints nothing if there
are none.`,
  examples: ["msgbus scheduled jobs", "msgbus scheduled jobs --format json"],
  flags: { format: recordFormat("print a line each, or a line of JSON") },
  words: [1, 1],
}, async ({ words: [topic], values: { format }, client, io }) => {
  for (const { token, dueMs, bytes, ttlMs, attributes } of await client.scheduled(topic!)) {
    const due = new Date(dueMs).toISOString();
    await writeText(
      io,
      format === "json"
        ? `${JSON.stringify({ token, due, bytes, ttlMs, ...attributes })}\n`
        : `${due} ${token} ${bytes} ${escapeControls(attributes?.key ?? "")}`.trimEnd() + "\n",
    );
  }
  return EXIT.done;
});

/** `msgbus cancel`. */
export const cancel: Command = defineCommand({
  name: "cancel",
  synopsis: "<topic> <token>",
  summary: "cancel a message that is to be published later",
  description: "The token is what msgbus scheduled shows. Exits with 3 if there is no such message any more.",
  examples: ["msgbus cancel jobs Vq3sYgWcTbG0y2mXnJ5kRe"],
  flags: {},
  words: [2, 2],
}, async ({ words: [topic, token], client }) => {
  if (await client.cancel(topic!, token!)) return EXIT.done;
  throw new BusError("no_scheduled", `Nothing scheduled for ${quote(topic!)} with token ${quote(token!)}`);
});
