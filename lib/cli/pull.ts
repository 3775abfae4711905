/**
 * `msgbus pull`: takes messages from a queue.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import { type Command, defineCommand } from "./command.ts";
import { countFlag } from "./count.ts";
import { EXIT } from "./exit.ts";
import { formatMessage, MESSAGE_FORMAT } from "./format.ts";

/** `msgbus pull`. */
export const pull: Command = defineCommand({
  name: "pull",
  alias: "get",
  synopsis: "<topic>",
  summary: "take the messages of a topic's queue",
  description: `Takes and prints one message after the other until the queue is empty. A message taken is not
given to anybody else who pulls; those who subscribe get it all the same. Exits with 3 if there
is nothing to take.`,
  examples: ["msgbus pull hello", "msgbus pull hello --count 1 --format payload"],
  flags: { format: MESSAGE_FORMAT, count: countFlag("stop after N messages") },
  words: [1, 1],
}, async ({ words: [topic], values: { format, count = Infinity }, client, io }) => {
  let taken = 0;
  while (taken < count) {
    const message = await client.pull(topic!);
    if (message === undefined) break;
    taken++;
    await io.write(formatMessage(message, format, new Date()));
  }
  if (taken === 0) throw new BusError("empty", `Nothing to pull from ${quote(topic!)}`);
  return EXIT.done;
});
