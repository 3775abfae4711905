/**
 * `msgbus pull`: takes or leases messages.
 *
 * @module
 */

import { machineClock } from "../client/backoff.ts";
import { BusError, quote } from "../errors.ts";
import { type Command, defineCommand } from "./command.ts";
import { countFlag } from "./count.ts";
import { durationFlag } from "./durations.ts";
import { EXIT } from "./exit.ts";
import { formatMessage, MESSAGE_FORMAT } from "./format.ts";
import { assertFrom, FROM, GROUP, leaseFlag } from "./leases.ts";
import { persist } from "./persist.ts";
import { formatGap } from "./reader.ts";

/** `msgbus pull`. */
export const pull: Command = defineCommand({
  name: "pull",
  alias: "get",
  synopsis: "<topic>",
  summary: "take or lease the messages of a topic's queue, or of a group",
  description: `Takes and prints one message after the other until the queue is empty. A message taken is not
given to anybody else who pulls; those who subscribe get it all the same. Exits with 3 if there
is nothing to take.

With --group it takes those of a group, which has a place of its own in the topic. With --lease a
message comes again, to whoever asks then, unless msgbus ack gets its {lease} before that ends.

With --wait it waits at most this long for a message, or with --count for as many. When it is
interrupted meanwhile, it ends with 0, or with 3 if there was nothing. If the server can't be
reached, it tries again as sub does, and exits with 4 if that has not helped when the time is up.`,
  examples: [
    "msgbus pull hello",
    "msgbus pull hello --count 1 --format payload",
    "msgbus pull hello --wait 5m --format '{id}\\t{payload}'",
    "msgbus pull jobs --group mailer --lease 30s --count 1 --format '{lease} {attempt} {base64}'",
  ],
  flags: {
    format: MESSAGE_FORMAT,
    count: countFlag("stop after N messages"),
    wait: durationFlag({ short: "w", help: "wait this long for messages, such as 20s", initial: undefined }),
    group: GROUP,
    lease: leaseFlag("lease them for this long instead of taking them, from 1s to 12h"),
    from: FROM,
  },
  words: [1, 1],
}, async ({ words: [topic], values: { format, count, wait = 0, group, lease: leaseMs, from }, client, io }) => {
  assertFrom(from, group, "pull");
  using interruption = wait > 0 ? io.listenForInterrupt() : undefined;
  const signal = interruption?.signal;
  const clock = machineClock;
  const endMs = clock.now() + wait;
  let taken = 0;
  while (taken < (count ?? Infinity)) {
    const deadlineMs = taken === 0 || count !== undefined ? endMs : clock.now();
    // One at a time: what is taken and not printed is lost when msgbus is killed.
    const attempt = (waitMs: number) => client.pullBatch(topic!, { limit: 1, waitMs, signal, group, leaseMs, from });
    const batch = await persist(attempt, { deadlineMs, signal, clock, io });
    if (batch?.gap !== undefined) io.say(formatGap(batch.gap));
    const message = batch?.messages[0];
    if (message === undefined && batch?.gap === undefined) break;
    if (message === undefined) continue;
    taken++;
    await io.write(formatMessage(message, format));
  }
  if (taken === 0) throw new BusError("empty", `Nothing to pull from ${quote(topic!)}`);
  return EXIT.done;
});
