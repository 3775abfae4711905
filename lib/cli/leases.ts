/**
 * The flags of what is leased, and `msgbus ack`, `nack` and `extend`, which settle leases by their tokens.
 *
 * @module
 */

import { MAX_LEASE_MS, MIN_LEASE_MS, type Settlement } from "../bus/answers.ts";
import { BusError, quote } from "../errors.ts";
import { textFlag } from "./attributes.ts";
import { type Command, type CommandInfo, defineCommand, type Invocation } from "./command.ts";
import { durationFlag } from "./durations.ts";
import { EXIT, type ExitCode } from "./exit.ts";
import type { Flags } from "./flags.ts";
import { recordFormat } from "./format.ts";
import { readAll, writeText } from "./io.ts";
import { SINCE } from "./reader.ts";

/** `--group`. */
export const GROUP = textFlag({ short: "g", value: "GROUP", help: "the group, made if need be; default: the queue" });

/** `--from`. */
export const FROM = {
  ...SINCE,
  short: undefined,
  help: "where a group begins that is made: as --since of sub (earliest)",
};

/** `--lease`. */
export function leaseFlag(help: string) {
  return durationFlag({ short: "l", help, initial: undefined, minMs: MIN_LEASE_MS, maxMs: MAX_LEASE_MS });
}

/**
 * Checks that there is a group to begin.
 *
 * @throws {BusError} `bad_option`.
 */
export function assertFrom(from: string | undefined, group: string | undefined, command: string): void {
  if (from === undefined || group !== undefined) return;
  throw new BusError("bad_option", `Bad --from ${quote(from)}: only a --group begins; see msgbus help ${command}`);
}

// Far more than anybody has leased.
const MAX_INPUT_BYTES = 16 * 1024 ** 2;
const decoder = new TextDecoder();

const FORMAT = recordFormat("print nothing, or the server's answer as a line of JSON");

const TOKENS = `Tokens are what {lease} of pull --lease is, and MSGBUS_LEASE of work. Without one, or with - for
it, they are read from standard input, separated by white space.`;

const UNKNOWN = `Exits with 3, and names the token, if one is unknown: it was settled before, or its lease has
ended and the message was handed out again.`;

/** Defines a command that settles leases. */
function settling<F extends Flags>(
  info: Omit<CommandInfo, "synopsis" | "words" | "flags"> & { readonly flags: F },
  settle: (invocation: Invocation<F>, tokens: readonly string[]) => Promise<Settlement>,
): Command {
  const flags = { ...info.flags, format: FORMAT };
  return defineCommand({ ...info, flags, synopsis: "[token…]", words: [0, Infinity] }, async (invocation) => {
    const { words, values, io } = invocation;
    const tokens = words.length === 0 || (words.length === 1 && words[0] === "-")
      ? decoder.decode(await readAll(io, MAX_INPUT_BYTES)).split(/\s+/).filter((token) => token !== "")
      : words;
    if (tokens.length === 0) throw new BusError("bad_option", `No token to ${info.name}; see msgbus help ${info.name}`);
    const settlement = await settle(invocation as unknown as Invocation<F>, tokens);
    if (values.format === "json") await writeText(io, `${JSON.stringify(settlement)}\n`);
    for (const token of settlement.unknown) io.say(`Unknown lease ${quote(token)}`);
    return (settlement.unknown.length === 0 ? EXIT.done : EXIT.nothing) as ExitCode;
  });
}

/** `msgbus ack`. */
export const ack: Command = settling({
  name: "ack",
  summary: "acknowledge leased messages: they are done",
  description: `${TOKENS}\n\n${UNKNOWN}`,
  examples: [
    "msgbus ack UCZWajPffAPv3PyTp2B3en",
    "msgbus pull jobs --lease 30s --format '{lease}' --count 10 | msgbus ack",
  ],
  flags: {},
}, async ({ client }, tokens) => await client.ack(tokens));

/** `msgbus nack`. */
export const nack: Command = settling({
  name: "nack",
  summary: "hand leased messages back, to be handed out again",
  description: `The messages come again before new ones: at once, or after the delay. One that has had all its
attempts becomes a dead letter instead, unless this attempt doesn't count.

${TOKENS}

${UNKNOWN}`,
  examples: [
    "msgbus nack UCZWajPffAPv3PyTp2B3en --delay 5m --reason 'no such address'",
    "msgbus nack --no-count UCZWajPffAPv3PyTp2B3en",
  ],
  flags: {
    delay: durationFlag({
      short: "d",
      help: "hand them out again after this time",
      initial: undefined,
      minMs: 0,
      maxMs: MAX_LEASE_MS,
    }),
    reason: textFlag({ short: "r", value: "TEXT", help: "why, for whoever looks at the dead letter" }),
    count: { help: "don't count the attempt", initial: true },
  },
}, async ({ client, values: { delay, reason, count } }, tokens) => {
  return await client.nack(tokens, { delayMs: delay, reason, count });
});

/** `msgbus extend`. */
export const extend: Command = settling({
  name: "extend",
  summary: "keep leased messages for longer",
  description: `The leases last from now on for as long as they were made for, or for --lease.

${TOKENS}

${UNKNOWN}`,
  examples: ["msgbus extend UCZWajPffAPv3PyTp2B3en", "msgbus extend UCZWajPffAPv3PyTp2B3en --lease 10m"],
  flags: { lease: leaseFlag("how long from now, from 1s to 12h; default: as long as before") },
}, async ({ client, values: { lease } }, tokens) => await client.extend(tokens, { leaseMs: lease }));
