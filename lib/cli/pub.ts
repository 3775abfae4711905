/**
 * `msgbus pub`: publishes.
 *
 * @module
 */

import { MAX_DELAY_MS } from "../bus/delayed.ts";
import type { Client } from "../client/client.ts";
import type { ClientPublishOptions } from "../client/publishing.ts";
import { BusError, type ErrorCode } from "../errors.ts";
import { parseCursor, type Position } from "../message.ts";
import { formatCount } from "../wire/count.ts";
import { ATTRIBUTE_FLAGS, attributesOfFlags, textFlag } from "./attributes.ts";
import { type Command, defineCommand } from "./command.ts";
import { durationFlag, timeFlag } from "./durations.ts";
import { EXIT } from "./exit.ts";
import type { ValueFlag } from "./flags.ts";
import { recordFormat } from "./format.ts";
import { type Io, readAll, writeText } from "./io.ts";
import { blocksOfLines, halve, MAX_LINE_BYTES, withoutEnd } from "./lines.ts";

/** `msgbus pub`. */
export const pub: Command = defineCommand({
  name: "pub",
  alias: "put",
  synopsis: "<topic> [message…]",
  summary: "publish a message, now or later",
  description: `The words of the message are joined by spaces, as echo does. Without a message, or with - for
it, standard input to its end is the message, byte for byte, its last newline included.

With --lines each line of standard input is a message of its own, without its line end; empty
lines are left out. Lines are sent as they come, those that came together in one request, in
their order. If the server refuses some, those before them stay published.

With --delay or --at the message is published later. Until then msgbus scheduled shows it, and
msgbus cancel takes the token that --format json prints. With --idempotency-key it is safe to run
the same command again when it is not known whether it has worked.

A message that begins with - needs -- before it.`,
  examples: [
    "msgbus pub hello 'Hello World!'",
    "msgbus pub hello < picture.png",
    "tail -f access.log | msgbus pub --lines access",
    "msgbus pub jobs --key customer-7 --ttl 1d --header 'trace: 1a2b' 'send the invoice'",
    "msgbus pub jobs --delay 10m --idempotency-key reminder-42 'remind them'",
    "msgbus pub hello -- -1",
  ],
  flags: {
    lines: { help: "publish each line of standard input as a message", initial: false },
    ...ATTRIBUTE_FLAGS,
    delay: durationFlag({ short: "d", help: "publish it after this time", initial: undefined, maxMs: MAX_DELAY_MS }),
    at: timeFlag({ help: "publish it at this time" }),
    "idempotency-key": textFlag({ value: "KEY", help: "publish it once, however often this is run (for 2 minutes)" }),
    "if-match": {
      value: "CURSOR",
      help: "publish it only if the topic ends here: a seq or a cursor, 0 if there is no topic",
      initial: undefined,
      wanted: "an id such as 42, or a cursor such as 42@jf6ynu4k",
      read: (text: string) => parseCursor(text),
    } satisfies ValueFlag<Position | undefined>,
    format: recordFormat("print nothing, or the receipt as a line of JSON"),
  },
  words: [1, Infinity],
}, async ({ words: [topic, ...message], values, client, io }) => {
  const { lines, format, delay: delayMs, at: atMs, "idempotency-key": idempotencyKey, "if-match": ifMatch } = values;
  const fromInput = isInput(message);
  if (lines && !fromInput) {
    throw new BusError("bad_option", "Unexpected message: --lines reads standard input; see msgbus help pub");
  }
  assertAlone(values, ["lines"], ["delay", "at", "idempotency-key", "if-match"]);
  assertAlone(values, ["delay", "at"], ["delay", "at", "if-match"]);
  const report = async (receipt: unknown) => {
    if (format === "json") await writeText(io, `${JSON.stringify(receipt)}\n`);
  };
  const options = attributesOfFlags(values);
  if (lines) await publishLines({ client, topic: topic!, io, options, report });
  else {
    const payload = await payloadOf(message, io);
    const later = delayMs !== undefined || atMs !== undefined;
    const receipt = later
      ? await client.schedule(topic!, payload, { ...options, idempotencyKey, delayMs, atMs })
      : await client.publish(topic!, payload, { ...options, idempotencyKey, ifMatch });
    await report(receipt);
  }
  return EXIT.done;
});

/** Refuses flags that make no sense together. */
function assertAlone(values: Readonly<Record<string, unknown>>, some: readonly string[], others: readonly string[]) {
  const isGiven = (name: string) => values[name] !== undefined && values[name] !== false;
  const first = some.find(isGiven);
  const second = others.find((name) => name !== first && isGiven(name));
  if (first === undefined || second === undefined) return;
  throw new BusError("bad_option", `Bad --${second}: it can't go with --${first}; see msgbus help pub`);
}

/** Whether what is to be published comes from standard input. */
function isInput(message: readonly string[]): boolean {
  return message.length === 0 || (message.length === 1 && message[0] === "-");
}

/** What is to be published: the words, or standard input to its end. */
export async function payloadOf(message: readonly string[], io: Io): Promise<string | Uint8Array> {
  return isInput(message) ? await readAll(io, MAX_LINE_BYTES) : message.join(" ");
}

const MAY_FIT_HALVED: readonly ErrorCode[] = ["too_large", "topic_full", "overloaded"];

/** Publishes each line of standard input, and says how far it came if it doesn't come to the end. */
async function publishLines({ client, topic, io, options, report }: {
  readonly client: Client;
  readonly topic: string;
  readonly io: Io;
  readonly options: ClientPublishOptions;
  readonly report: (receipt: unknown) => Promise<void>;
}): Promise<void> {
  let published = 0;
  async function publishOnce(payload: Uint8Array, split?: "lines"): Promise<void> {
    const receipt = await client.publish(topic, payload, { ...options, split });
    published += receipt.count;
    await report(receipt);
  }
  async function publishBlock(block: Uint8Array): Promise<void> {
    try {
      await publishOnce(block, "lines");
    } catch (error) {
      if (!(error instanceof BusError) || !MAY_FIT_HALVED.includes(error.code)) throw error;
      // The server takes no larger body than message, line ends included, and no more lines than a topic retains; and
      // it has taken nothing of this one.
      const halves = halve(block);
      if (halves === undefined && error.code === "too_large") return await publishOnce(withoutEnd(block));
      if (halves === undefined) throw error;
      for (const half of halves) await publishBlock(half);
    }
  }
  try {
    for await (const block of blocksOfLines(io.stdin)) await publishBlock(block);
  } catch (error) {
    if (!(error instanceof BusError) || published === 0) throw error;
    const count = formatCount(published, "message");
    // Without an answer nobody knows about the lines that were on their way.
    const before = error.code === "unreachable" ? `at least ${count} published` : `after ${count} published`;
    throw new BusError(error.code, `${error.message} (${before})`, { cause: error });
  }
}
