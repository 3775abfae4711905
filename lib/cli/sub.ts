/**
 * `msgbus sub` and `msgbus tail`: messages as they come, from now on or from a little earlier.
 *
 * @module
 */

import { BusError } from "../errors.ts";
import { parseTopicPattern } from "../topic_pattern.ts";
import { type Command, defineCommand } from "./command.ts";
import type { ValueFlag } from "./flags.ts";
import { MAX_VARIABLE_BYTES } from "./hook.ts";
import { COUNT, read, READER_FLAGS, SINCE } from "./reader.ts";

/** `msgbus sub`. */
export const sub: Command = defineCommand({
  name: "sub",
  alias: "reg",
  synopsis: "<topics> [command [args…]]",
  summary: "print messages as they come, or run a command for each",
  description: `Topics are one, several with commas between them, or wildcards: orders/* is every topic with one
more segment, orders/** with one or more. Wildcards need quotes, or the shell may take them.

Runs until it is interrupted (exit code 0), its only topic is deleted, or a flag ends it. If the
server can't be reached, it tries again after 1 to 2 s, then 2 to 4 s and so on up to 64 s, and
goes on where it was. It says on standard error when it does, and which messages were gone.

A command gets the message as JSON on its standard input, and in its environment MSGBUS_ID,
MSGBUS_TOPIC and, as text, MSGBUS_PAYLOAD; the last is missing for a payload with a zero byte or
of more than ${MAX_VARIABLE_BYTES} bytes. It runs once for each message, one after the other; when it fails,
that is said on standard error, and the next message follows: see msgbus work for what must not
get lost. All that stands after the command is its own; flags of msgbus stand before it.`,
  examples: [
    "msgbus sub hello",
    "msgbus sub --since 10m 'orders/**,returns'",
    "msgbus sub --format payload --count 1 --timeout 30s hello",
    "msgbus sub --format '{created} {topic} {payload}' hello",
    `msgbus sub hello sh -c 'echo "$MSGBUS_TOPIC: $MSGBUS_PAYLOAD"'`,
    "msgbus sub hello jq .payload",
  ],
  flags: { since: SINCE, count: COUNT, ...READER_FLAGS },
  words: [1, Infinity],
  wordsBeforeRest: 2,
  checkFirst: parseTopicPattern,
}, async ({ words: [topics, ...command], values, client, io }) => {
  return await read(client, io, { topics: topics!, command, ...values });
});

const DEFAULT_LINES = 10;

const LINES: ValueFlag<number | undefined> = {
  short: "n",
  value: "N",
  help: `begin with the last N messages (${DEFAULT_LINES})`,
  initial: undefined,
  wanted: "a whole number",
  read: (text) => /^(0|[1-9][0-9]{0,14})$/.test(text) ? Number(text) : undefined,
};

/** `msgbus tail`. */
export const tail: Command = defineCommand({
  name: "tail",
  synopsis: "<topics> [command [args…]]",
  summary: "print the last messages, and then messages as they come",
  description: `As msgbus sub, but begins with the last ${DEFAULT_LINES} messages that are retained.`,
  examples: ["msgbus tail hello", "msgbus tail -n 100 --timeout 1s hello", "msgbus tail 'orders/*'"],
  flags: {
    lines: LINES,
    since: { ...SINCE, help: "where to begin instead, as in sub" },
    count: { ...COUNT, short: undefined },
    ...READER_FLAGS,
  },
  words: [1, Infinity],
  wordsBeforeRest: 2,
  checkFirst: parseTopicPattern,
}, async ({ words: [topics, ...command], values: { lines, since, ...values }, client, io }) => {
  if (lines !== undefined && since !== undefined) {
    throw new BusError("bad_option", "Bad --since: it can't go with --lines; see msgbus help tail");
  }
  const begin = since ?? `last:${lines ?? DEFAULT_LINES}`;
  return await read(client, io, { topics: topics!, command, since: begin, ...values });
});
