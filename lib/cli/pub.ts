/**
 * `msgbus pub`: publishes.
 *
 * @module
 */

import type { Client } from "../client/client.ts";
import type { ClientPublishOptions } from "../client/publishing.ts";
import { BusError, type ErrorCode } from "../errors.ts";
import { type Command, defineCommand } from "./command.ts";
import { EXIT } from "./exit.ts";
import { recordFormat } from "./format.ts";
import { type Io, readAll, writeText } from "./io.ts";
import { blocksOfLines, halve, MAX_LINE_BYTES, withoutEnd } from "./lines.ts";

/** `msgbus pub`. */
export const pub: Command = defineCommand({
  name: "pub",
  alias: "put",
  synopsis: "<topic> [message…]",
  summary: "publish a message",
  description: `The words of the message are joined by spaces, as echo does. Without a message, or with - for
it, standard input to its end is the message, byte for byte, its last newline included.

With --lines each line of standard input is a message of its own, without its line end; empty
lines are left out. Lines are sent as they come, those that came together in one request, in
their order. If the server refuses some, those before them stay published.

A message that begins with - needs -- before it.`,
  examples: [
    "msgbus pub hello 'Hello World!'",
    "msgbus pub hello < picture.png",
    "tail -f access.log | msgbus pub --lines access",
    "msgbus pub hello -- -1",
  ],
  flags: {
    lines: { help: "publish each line of standard input as a message", initial: false },
    format: recordFormat("print nothing, or the server's receipt as a line of JSON"),
  },
  words: [1, Infinity],
}, async ({ words: [topic, ...message], values: { lines, format }, client, io }) => {
  const fromInput = message.length === 0 || (message.length === 1 && message[0] === "-");
  if (lines && !fromInput) {
    throw new BusError("bad_option", "Unexpected message: --lines reads standard input; see msgbus help pub");
  }
  const report = async (receipt: unknown) => {
    if (format === "json") await writeText(io, `${JSON.stringify(receipt)}\n`);
  };
  if (lines) await publishLines(client, topic!, io, report);
  else await report(await client.publish(topic!, fromInput ? await readAll(io, MAX_LINE_BYTES) : message.join(" ")));
  return EXIT.done;
});

const MAY_FIT_HALVED: readonly ErrorCode[] = ["too_large", "topic_full", "overloaded"];

/** Publishes each line of standard input, and says how far it came if it doesn't come to the end. */
async function publishLines(
  client: Client,
  topic: string,
  io: Io,
  report: (receipt: unknown) => Promise<void>,
): Promise<void> {
  let published = 0;
  async function publishOnce(payload: Uint8Array, options?: ClientPublishOptions): Promise<void> {
    const receipt = await client.publish(topic, payload, options);
    published += receipt.count;
    await report(receipt);
  }
  async function publishBlock(block: Uint8Array): Promise<void> {
    try {
      await publishOnce(block, { split: "lines" });
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
    const count = `${published} message${published === 1 ? "" : "s"}`;
    // Without an answer nobody knows about the lines that were on their way.
    const before = error.code === "unreachable" ? `at least ${count} published` : `after ${count} published`;
    throw new BusError(error.code, `${error.message} (${before})`, { cause: error });
  }
}
