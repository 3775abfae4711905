/**
 * `msgbus sub`: prints messages as they come, or runs a command for each.
 *
 * @module
 */

import { MAX_SLEEP_MS } from "../bus/clock.ts";
import type { ReconnectNotice } from "../client/subscription.ts";
import { type BusError, quote } from "../errors.ts";
import { formatDuration, parseDuration } from "../wire/duration.ts";
import { type Command, defineCommand } from "./command.ts";
import { countFlag } from "./count.ts";
import { EXIT } from "./exit.ts";
import { formatMessage, MESSAGE_FORMAT } from "./format.ts";
import { Hook, MAX_VARIABLE_BYTES } from "./hook.ts";

// A longer sleep would end at once. In whole days, to be said in words.
const DAY_MS = 86_400_000;
const MAX_TIMEOUT_MS = Math.floor(MAX_SLEEP_MS / DAY_MS) * DAY_MS;

/** `msgbus sub`. */
export const sub: Command = defineCommand({
  name: "sub",
  alias: "reg",
  synopsis: "<topic> [command [args…]]",
  summary: "print messages as they come, or run a command for each",
  description: `Runs until it is interrupted (exit code 0), the topic is deleted, or a flag ends it. If the server
can't be reached, it tries again after 2 s, then 4 s and so on up to 64 s, and says so on standard
error; messages published meanwhile are missed.

A command gets the message as JSON on its standard input, and in its environment MSGBUS_ID,
MSGBUS_TOPIC and, as text, MSGBUS_PAYLOAD; the last is missing for a payload with a zero byte or
of more than ${MAX_VARIABLE_BYTES} bytes. It runs once for each message, one after the other; when it fails,
that is said on standard error, and the next message follows. All that stands after the command
is its own; flags of msgbus stand before it.`,
  examples: [
    "msgbus sub hello",
    "msgbus sub --format payload --count 1 --timeout 30s hello",
    `msgbus sub hello sh -c 'echo "$MSGBUS_TOPIC: $MSGBUS_PAYLOAD"'`,
    "msgbus sub hello jq .payload",
  ],
  flags: {
    format: MESSAGE_FORMAT,
    count: countFlag("end after N messages"),
    timeout: {
      short: "t",
      value: "DURATION",
      help: "end after this time, such as 30s or 5m; with 3 if there were fewer than N messages (without N: none)",
      initial: undefined,
      wanted: `a duration such as 30s, up to ${formatDuration(MAX_TIMEOUT_MS)}`,
      read: (text: string): number | undefined => {
        const ms = parseDuration(text);
        return ms !== undefined && ms > 0 && ms <= MAX_TIMEOUT_MS ? ms : undefined;
      },
    },
    reconnect: { help: "fail with 4 instead of trying again", initial: true },
  },
  words: [1, Infinity],
  wordsBeforeRest: 2,
}, async ({ words: [topic, command, ...args], values: { format, count, timeout, reconnect }, client, io }) => {
  const hook = command === undefined ? undefined : new Hook(command, args);
  using interruption = io.listenForInterrupt();
  let lost: BusError | undefined;
  using subscription = client.subscribe(topic!, {
    reconnect,
    signal: interruption.signal,
    onReconnect({ reason, waitMs }: ReconnectNotice) {
      lost = reason;
      io.say(`${reason.message}; trying again in ${formatWait(waitMs)}`);
    },
    onConnect() {
      if (lost !== undefined) io.say(`connected to ${client.uri}`);
      lost = undefined;
    },
  });
  let timedOut = false;
  const timer = timeout === undefined ? undefined : setTimeout(() => {
    timedOut = true;
    subscription.close();
  }, timeout);
  let messages = 0;
  try {
    for await (const message of subscription) {
      messages++;
      if (hook === undefined) await io.write(formatMessage(message, format, new Date()));
      else {
        const fault = await hook.run(message);
        if (fault !== undefined) io.say(fault);
      }
      if (messages === count) break;
    }
  } finally {
    clearTimeout(timer);
  }
  if (interruption.signal.aborted || messages === count) return EXIT.done;
  const wanted = count ?? (timedOut ? 1 : 0);
  if (timedOut && lost !== undefined && messages < wanted) throw lost;
  if (!timedOut) io.say(`Topic ${quote(topic!)} was deleted`);
  return messages >= wanted ? EXIT.done : EXIT.nothing;
});

function formatWait(waitMs: number): string {
  return `${(waitMs / 1000).toFixed(1)} s`;
}
