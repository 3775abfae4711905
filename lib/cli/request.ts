/**
 * `msgbus request` and `msgbus reply`: a question, and its answer.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import { formatDuration } from "../wire/duration.ts";
import { ATTRIBUTE_FLAGS, attributesOfFlags, textFlag } from "./attributes.ts";
import { type Command, defineCommand } from "./command.ts";
import { durationFlag } from "./durations.ts";
import { EXIT } from "./exit.ts";
import { payloadOf } from "./pub.ts";

const DEFAULT_TIMEOUT_MS = 10_000;

/** `msgbus request`. */
export const request: Command = defineCommand({
  name: "request",
  synopsis: "<topic> [message…]",
  summary: "publish a message and print the reply to it",
  description: `The message is as in msgbus pub. Whoever handles it finds a token in its header msgbus-reply-to,
which msgbus reply takes. The reply is printed byte for byte. Exits with 3 if there is none in
time; the message stays published.`,
  examples: ["msgbus request square 12", "msgbus request thumbnails --timeout 1m < picture.png > small.png"],
  flags: {
    timeout: durationFlag({
      short: "t",
      help: "how long to wait for the reply, up to 5m (10s)",
      initial: undefined,
      maxMs: 5 * 60_000,
    }),
    ...ATTRIBUTE_FLAGS,
  },
  words: [1, Infinity],
}, async ({ words: [topic, ...message], values, client, io }) => {
  const { timeout: timeoutMs = DEFAULT_TIMEOUT_MS } = values;
  const options = { ...attributesOfFlags(values), timeoutMs };
  const reply = await client.request(topic!, await payloadOf(message, io), options);
  if (reply === undefined) {
    throw new BusError("reply_timeout", `No reply to ${quote(topic!)} within ${formatDuration(timeoutMs)}`);
  }
  await io.write(reply.payload);
  return EXIT.done;
});

/** `msgbus reply`. */
export const reply: Command = defineCommand({
  name: "reply",
  synopsis: "<token> [message…]",
  summary: "reply to a message that is a request",
  description: `The token is in the header msgbus-reply-to of the message, and in MSGBUS_REPLY_TO for the command
of msgbus work. The reply is given as the message of msgbus pub. Fails if nobody waits for it any
more: only the first one is given, and only in time.`,
  examples: [
    "msgbus reply Vq3sYgWcTbG0y2mXnJ5kRe 144",
    `msgbus work square -- sh -c 'expr $(cat) \\* 2 | msgbus reply "$MSGBUS_REPLY_TO"'`,
  ],
  flags: {
    "content-type": textFlag({ value: "TYPE", help: "what the reply is, such as application/json" }),
  },
  words: [1, Infinity],
  checkFirst: () => {},
}, async ({ words: [token, ...message], values: { "content-type": contentType }, client, io }) => {
  if (token === "") throw new BusError("bad_option", "Cannot reply: the token is empty, so the message is no request");
  await client.reply(token!, await payloadOf(message, io), { contentType });
  return EXIT.done;
});
