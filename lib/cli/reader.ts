/**
 * What `msgbus sub` and `msgbus tail` do: print messages as they come, or run a command for each.
 *
 * @module
 */

import type { Client } from "../client/client.ts";
import type { ReconnectNotice } from "../client/subscription.ts";
import { type BusError, quote } from "../errors.ts";
import type { ControlEvent, Gap } from "../event.ts";
import { parseTopicPattern } from "../topic_pattern.ts";
import { formatCount } from "../wire/count.ts";
import { parseSince } from "../wire/since.ts";
import { countFlag } from "./count.ts";
import { durationFlag } from "./durations.ts";
import { EXIT, type ExitCode } from "./exit.ts";
import type { Flags, ValueFlag } from "./flags.ts";
import { formatMessage, MESSAGE_FORMAT, type MessageFormat } from "./format.ts";
import { Hook } from "./hook.ts";
import type { Io } from "./io.ts";
import { formatWait } from "./persist.ts";

/** `--since`. */
export const SINCE: ValueFlag<string | undefined> = {
  short: "s",
  value: "SINCE",
  help: "where to begin: latest, earliest, an id, a cursor, a time, 10m (ago), last:N",
  initial: undefined,
  wanted: "latest, earliest, an id, a cursor, a time such as 2026-11-23T10:00:00Z, a duration such as 10m, or last:N",
  read: (text) => parseSince(text, Date.now()) === undefined ? undefined : text,
};

/** The flags of both commands, besides those that say where to begin. */
export const READER_FLAGS = {
  format: MESSAGE_FORMAT,
  timeout: durationFlag({
    short: "t",
    help: "end after this time, such as 30s or 5m; with 3 if there were fewer than N messages (without N: none)",
    initial: undefined,
  }),
  reconnect: { help: "fail with 4 instead of trying again", initial: true },
} satisfies Flags;

/** `--count` of both. */
export const COUNT: ValueFlag<number | undefined> = countFlag("end after N messages");

/** What to read, and until when. */
export interface Reading {
  /** A topic, several, or wildcards. */
  readonly topics: string;
  /** Where to begin; see {@linkcode SINCE}. */
  readonly since: string | undefined;
  /** The command to run, and its arguments; none: print. */
  readonly command: readonly string[];
  /** How to print. */
  readonly format: MessageFormat;
  /** After how many messages to end. */
  readonly count: number | undefined;
  /** After which time to end, in milliseconds. */
  readonly timeout: number | undefined;
  /** Whether to try again when there is no connection. */
  readonly reconnect: boolean;
}

/** Reads until one of the ends of {@linkcode Reading}, an interruption, or the deletion of the only topic. */
export async function read(client: Client, io: Io, reading: Reading): Promise<ExitCode> {
  const { topics, since, command: [command, ...args], format, count, timeout, reconnect } = reading;
  const hook = command === undefined ? undefined : new Hook({ command, args, uri: client.uri, input: "envelope" });
  await hook?.assertRunnable();
  using interruption = io.listenForInterrupt();
  let lost: BusError | undefined;
  let greeted = io.terminal === undefined;
  using subscription = client.subscribe(topics, {
    since,
    reconnect,
    signal: interruption.signal,
    onEvent: (event) => sayEvent(io, event, isSeveral(topics)),
    onReconnect({ reason, waitMs }: ReconnectNotice) {
      lost = reason;
      io.say(waitMs === 0 ? reason.message : `${reason.message}; trying again in ${formatWait(waitMs)}`);
    },
    onConnect() {
      if (!greeted) io.say(`subscribed to ${quote(subscription.topic)} at ${client.uri}`);
      else if (lost !== undefined) io.say(`connected to ${client.uri}`);
      greeted = true;
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
      if (hook === undefined) await io.write(formatMessage(message, format));
      else {
        const end = await hook.run(message);
        if (end.kind !== "exited" || end.code !== 0) io.say(hook.faultOf(message, end));
      }
      if (messages === count) break;
    }
  } finally {
    clearTimeout(timer);
  }
  if (interruption.signal.aborted || messages === count) return EXIT.done;
  const wanted = count ?? (timedOut ? 1 : 0);
  if (timedOut && lost !== undefined && messages < wanted) throw lost;
  if (!timedOut) io.say(`Topic ${quote(subscription.topic)} was deleted`);
  return messages >= wanted ? EXIT.done : EXIT.nothing;
}

function isSeveral(topics: string): boolean {
  return parseTopicPattern(topics).topic === undefined;
}

function sayEvent(io: Io, event: ControlEvent, several: boolean): void {
  if (event.event === "gap") io.say(formatGap(event));
  // The end of the only topic is said at the end.
  if (event.event === "deleted" && several) io.say(`Topic ${quote(event.topic)} was deleted`);
}

/** A gap in words, for example `missed 3 messages of "orders" (7 to 9): expired`. */
export function formatGap({ topic, from, to, reason }: Gap): string {
  const ids = from === null && to === null
    ? ""
    : from === null
    ? ` (up to ${to})`
    : to === null
    ? ` (from ${from} on)`
    : from === to
    ? ` (${from})`
    : ` (${from} to ${to})`;
  const count = from === null || to === null ? "messages" : formatCount(to - from + 1, "message");
  return `missed ${count} of ${quote(topic)}${ids}: ${reason}`;
}
