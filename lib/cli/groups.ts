/**
 * `msgbus groups`, `msgbus dead` and `msgbus redrive`: how work stands, and what became of what could not be done.
 *
 * @module
 */

import type { GroupStats } from "../bus/answers.ts";
import { BusError, escapeControls, quote } from "../errors.ts";
import type { Message } from "../message.ts";
import { canonicalTopicName } from "../topic_name.ts";
import { formatCount } from "../wire/count.ts";
import { formatDuration } from "../wire/duration.ts";
import { formatTime } from "../wire/time.ts";
import { textFlag } from "./attributes.ts";
import { type Command, defineCommand } from "./command.ts";
import { countFlag } from "./count.ts";
import { EXIT } from "./exit.ts";
import type { Flags, Values } from "./flags.ts";
import { formatMessage, MESSAGE_FORMAT, recordFormat } from "./format.ts";
import { writeText } from "./io.ts";

const PAGE = 1000;
/** How the queue is shown, which has no name; that of no group begins with a hyphen. */
const QUEUE = "-";

/** Of which group. */
const OF_GROUP = {
  group: textFlag({ short: "g", value: "GROUP", help: "only those of this group; default: all" }),
  queue: { help: "only those of the queue", initial: false },
} satisfies Flags;

/** `msgbus groups`. */
export const groups: Command = defineCommand({
  name: "groups",
  synopsis: "[topic]",
  summary: "list the groups of a topic, or of all, and how far they are",
  description: `lag is how many messages are still to be done and not leased, leased how many are, waiting how
many were handed back, blocked how many wait for another one of their key. attempts is the most
that a message that is not done has had, oldest how old the oldest of them is. acked, dead and
lost count those that are done: acknowledged or taken, dead letters, and expired or dropped
before they were done.

The queue of a topic is shown as -; with a topic it is always there, else only if anything was
leased from it. Exits with 3 if there is no such topic. --delete forgets a group with its place.`,
  examples: ["msgbus groups", "msgbus groups jobs --format json", "msgbus groups jobs --delete mailer"],
  flags: {
    delete: textFlag({ value: "GROUP", help: "forget this group of the topic" }),
    format: recordFormat("print a table, or each group as a line of JSON"),
  },
  words: [0, 1],
}, async ({ words: [topic], values: { format, delete: doomed }, client, io }) => {
  if (doomed !== undefined) {
    if (topic === undefined) throw new BusError("bad_option", "Bad --delete: of which topic? See msgbus help groups");
    if (await client.deleteGroup(topic, doomed)) return EXIT.done;
    throw new BusError("no_group", `No group ${quote(doomed)} of ${quote(topic)}`);
  }
  const found = await client.groups(topic);
  if (topic !== undefined && found.length === 0) throw new BusError("no_topic", `No topic ${quote(topic)}`);
  if (format === "json") {
    for (const { oldestUnackedMs = null, ...group } of found) {
      await writeText(io, `${JSON.stringify({ ...group, oldestUnackedMs })}\n`);
    }
  } else if (found.length > 0) await writeText(io, formatGroupTable(found));
  for (const { topic, group, warning } of found) {
    if (warning !== undefined) io.say(`${nameOf(topic, group)}: ${warning}`);
  }
  return EXIT.done;
});

/** `msgbus dead`. */
export const dead: Command = defineCommand({
  name: "dead",
  synopsis: "<topic>",
  summary: "show the messages of a topic that became dead letters, and why",
  description: `Takes nothing: dead letters stay in <topic>/-dead for 7 days, where they can be pulled, or until
msgbus redrive publishes them again. Prints the oldest first. In the format log, id is that of
the dead letter, from the one that the message had. Exits with 3 if there are none.`,
  examples: [
    "msgbus dead jobs",
    "msgbus dead jobs --group mailer --count 5",
    "msgbus dead jobs --format '{header:msgbus-dead-reason}: {payload}'",
  ],
  flags: {
    ...OF_GROUP,
    count: countFlag("end after N"),
    format: MESSAGE_FORMAT,
  },
  words: [1, 1],
}, async ({ words: [topic], values: { format, count = Infinity, ...values }, client, io }) => {
  const name = canonicalTopicName(topic!);
  const group = groupOf(values, "dead");
  let shown = 0;
  let since = "earliest";
  for (;;) {
    const page = await client.browse(`${name}/-dead`, { since, limit: PAGE });
    for (const message of page.messages) {
      if (shown === count) return EXIT.done;
      if (group !== undefined && message.headers["msgbus-dead-group"] !== group) continue;
      shown++;
      await (format === "log" ? writeText(io, formatDead(message)) : io.write(formatMessage(message, format)));
    }
    if (page.messages.length === 0) break;
    since = page.next;
  }
  if (shown === 0) throw new BusError("empty", `No dead letters of ${quote(name)}`);
  return EXIT.done;
});

/** `msgbus redrive`. */
export const redrive: Command = defineCommand({
  name: "redrive",
  synopsis: "<topic>",
  summary: "publish the dead letters of a topic again",
  description: `They become new messages of the topic, which all its groups and subscribers get, and leave
<topic>/-dead. Says on standard error how many there were; exits with 3 if there were none, with 1
if the topic took only some.`,
  examples: ["msgbus redrive jobs", "msgbus redrive jobs --group mailer"],
  flags: {
    ...OF_GROUP,
    format: recordFormat("print nothing, or the number as a line of JSON"),
  },
  words: [1, 1],
}, async ({ words: [topic], values: { format, ...values }, client, io }) => {
  const group = groupOf(values, "redrive");
  const answer = await client.redrive(topic!, { group });
  if (answer === undefined) throw new BusError("no_topic", `No topic ${quote(topic!)}`);
  const { redriven, remaining } = answer;
  if (format === "json") await writeText(io, `${JSON.stringify({ redriven, remaining })}\n`);
  if (redriven + remaining === 0) throw new BusError("empty", `No dead letters of ${quote(topic!)}`);
  io.say(`redriven ${formatCount(redriven, "dead letter")} to ${quote(topic!)}`);
  if (remaining === 0) return EXIT.done;
  throw new BusError("topic_full", `Left ${formatCount(remaining, "dead letter")}: the topic took no more`);
});

/**
 * The group of which dead letters are wanted; `undefined` for all.
 *
 * @throws {BusError} `bad_option`.
 */
function groupOf({ group, queue }: Values<typeof OF_GROUP>, command: string): string | undefined {
  if (queue && group !== undefined) {
    throw new BusError("bad_option", `Bad --queue: it can't go with --group; see msgbus help ${command}`);
  }
  return queue ? "" : group;
}

function nameOf(topic: string, group: string): string {
  return `${quote(topic)} ${group === "" ? "queue" : `group ${quote(group)}`}`;
}

/** A dead letter and its story, in a line. */
function formatDead(message: Message): string {
  const { id, headers } = message;
  const of = (name: string) => headers[`msgbus-dead-${name}`] ?? "";
  const said = `id=${id} from=${of("id")} group=${of("group") || QUEUE} attempts=${of("attempts")} ` +
    `reason=${JSON.stringify(of("reason"))} payload=${message.text()}`;
  return `${formatTime(new Date(message.createdMs))} ${escapeControls(said)}\n`;
}

const COLUMNS: readonly (readonly [title: string, of: (group: GroupStats) => string | number])[] = [
  ["TOPIC", ({ topic }) => escapeControls(topic)],
  ["GROUP", ({ group }) => group === "" ? QUEUE : escapeControls(group)],
  ["LAG", ({ lag }) => lag],
  ["LEASED", ({ leased }) => leased],
  ["WAITING", ({ waiting }) => waiting],
  ["BLOCKED", ({ blocked }) => blocked],
  ["ATTEMPTS", ({ attempts }) => attempts],
  ["OLDEST", ({ oldestUnackedMs }) => ageOf(oldestUnackedMs)],
  ["ACKED", ({ acked }) => acked],
  ["DEAD", ({ dead }) => dead],
  ["LOST", ({ lost }) => lost],
];

function ageOf(ms: number | undefined): string {
  return ms === undefined ? "-" : formatDuration(Math.floor(ms / 1000) * 1000);
}

/** Groups as a table with titles. */
function formatGroupTable(groups: readonly GroupStats[]): string {
  const rows = [COLUMNS.map(([title]) => title), ...groups.map((group) => COLUMNS.map(([, of]) => String(of(group))))];
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => `${row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd()}\n`).join(
    "",
  );
}
