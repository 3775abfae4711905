/**
 * `msgbus work`: runs a command for each message, until each is done.
 *
 * @module
 */

import type { Client } from "../client/client.ts";
import { type ClientWorker, Retry, type WorkContext } from "../client/work.ts";
import { BusError, quote } from "../errors.ts";
import type { Message } from "../message.ts";
import { formatCount } from "../wire/count.ts";
import { type Command, defineCommand } from "./command.ts";
import { durationFlag } from "./durations.ts";
import { EXIT } from "./exit.ts";
import type { ValueFlag } from "./flags.ts";
import { GROUP_VARIABLE, Hook, type HookEnd } from "./hook.ts";
import type { Io } from "./io.ts";
import { assertFrom, FROM, GROUP, leaseFlag } from "./leases.ts";
import { formatWait } from "./persist.ts";
import { formatGap } from "./reader.ts";

const DEFAULT_LEASE_MS = 30_000;
const DEFAULT_BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 12 * 3_600_000;
const LONGEST_BACKOFF_MS = 5 * 60_000;
const MAX_PARALLEL = 10_000;
/** EX_TEMPFAIL of sysexits.h. */
const TEMPORARY = 75;

const PARALLEL: ValueFlag<number> = {
  short: "p",
  value: "N",
  help: "how many run at the same time (1)",
  initial: 1,
  wanted: `a whole number from 1 to ${MAX_PARALLEL}`,
  read: (text) => /^[1-9][0-9]{0,5}$/.test(text) && Number(text) <= MAX_PARALLEL ? Number(text) : undefined,
};

/** `msgbus work`. */
export const work: Command = defineCommand({
  name: "work",
  synopsis: "<topic> [--] <command> [args…]",
  summary: "run a command for each message, until each is done",
  description: `Takes messages of the topic's queue, or of a group whose members share them, and runs the command
for each, with the payload on its standard input. What the command exits with says what becomes
of the message:

  0      it is done
  75     it comes again, later each time; the attempt doesn't count (EX_TEMPFAIL)
  other  it comes again, after 1s, then 2s, 4s and so on up to 5m. After the max-attempts of the
         server it becomes a dead letter; see msgbus dead. The same if a signal kills the command

Nobody else gets a message while its command runs. If this msgbus dies, the message comes again
when the lease is over. If the lease is lost because the server can't be reached, the command
gets SIGTERM. In its environment are MSGBUS_TOPIC, MSGBUS_ID, MSGBUS_KEY, MSGBUS_ATTEMPT and more.

Runs until it is interrupted: SIGINT or SIGTERM lets the commands that run finish, and ends it
with 0; a second one kills them and hands their messages back. If the server can't be reached,
it tries again as sub does. Flags of msgbus stand before the command.`,
  examples: [
    "msgbus work mail --group sender -- ./send-mail.sh",
    "msgbus work thumbnails --parallel 4 --lease 5m -- convert - -resize 100x100 /srv/thumbs/out.png",
    `msgbus work jobs -g audit -- sh -c 'logger -t "job $MSGBUS_ID"'`,
  ],
  flags: {
    group: GROUP,
    lease: leaseFlag("how long nobody else gets a message if msgbus dies, from 1s to 12h (30s)"),
    parallel: PARALLEL,
    from: FROM,
    backoff: durationFlag({
      short: "b",
      help: "how long a message waits after its first failure (1s)",
      initial: undefined,
      maxMs: MAX_BACKOFF_MS,
    }),
  },
  words: [2, Infinity],
  wordsBeforeRest: 2,
}, async ({ words: [topic, command, ...args], values, client, io }) => {
  const { group, from, lease: leaseMs = DEFAULT_LEASE_MS, parallel, backoff: minDelayMs = DEFAULT_BACKOFF_MS } = values;
  assertFrom(from, group, "work");
  const hook = new Hook({
    command: command!,
    args,
    uri: client.uri,
    input: "payload",
    env: { [GROUP_VARIABLE]: group ?? "" },
  });
  await hook.assertRunnable();
  const shift = new Shift(hook, io);
  const warning = new Warning(client, io, { topic: topic!, group: group ?? "" });
  let lost: BusError | undefined;
  let greeted = io.terminal === undefined;
  using interruption = io.listenForInterrupt(() => {
    void worker.close();
    hook.kill();
  });
  const worker: ClientWorker = client.work(topic!, {
    group,
    from,
    leaseMs,
    parallel,
    minDelayMs,
    maxDelayMs: Math.max(LONGEST_BACKOFF_MS, minDelayMs),
    signal: interruption.signal,
    onConnect() {
      const as = group === undefined ? "" : ` as group ${quote(group)}`;
      if (!greeted) io.say(`working on ${quote(worker.topic)}${as} at ${client.uri}`);
      else if (lost !== undefined) io.say(`connected to ${client.uri}`);
      greeted = true;
      lost = undefined;
      warning.check("start");
    },
    onReconnect({ reason, waitMs }) {
      if (reason.code !== "too_many_leased") lost = reason;
      io.say(`${reason.message}; trying again in ${formatWait(waitMs)}`);
    },
    onGap: (gap) => io.say(formatGap(gap)),
    onLost: ({ id, topic }) => io.say(`Lost the lease of message ${id} of ${quote(topic.name)}: it may be done twice`),
  }, async (message, context) => {
    // Only a group that has leased something knows what is wrong with its leases.
    warning.check("message");
    try {
      await shift.handle(message, context, interruption.signal);
    } finally {
      if (shift.fault !== undefined) void worker.drain();
    }
  });
  interruption.signal.addEventListener("abort", () => {
    if (hook.running === 0) return;
    const commands = hook.running === 1 ? "the command that runs" : `${hook.running} commands`;
    io.say(`waiting for ${commands} to end; a second signal kills ${hook.running === 1 ? "it" : "them"}`);
  });
  await worker.ended;
  await warning.checked;
  if (shift.fault !== undefined) throw shift.fault;
  io.say(shift.summary);
  return interruption.exitCode ?? EXIT.done;
});

/** What was done from the beginning to the end. */
class Shift {
  readonly #hook: Hook;
  readonly #io: Io;
  #done = 0;
  #failed = 0;
  #handedBack = 0;
  #fault: BusError | undefined;

  constructor(hook: Hook, io: Io) {
    this.#hook = hook;
    this.#io = io;
  }

  /** Why no command can be run at all; `undefined` if they can. */
  get fault(): BusError | undefined {
    return this.#fault;
  }

  get summary(): string {
    const handled = this.#done + this.#failed + this.#handedBack;
    const parts = [
      `${this.#done} done`,
      ...(this.#failed === 0 ? [] : [`${this.#failed} failed`]),
      ...(this.#handedBack === 0 ? [] : [`${this.#handedBack} handed back`]),
    ];
    return `ran ${formatCount(handled, "time")}: ${parts.join(", ")}`;
  }

  /** Runs the command for a message; throws, for the worker, unless it is done. */
  async handle(message: Message, { signal }: WorkContext, interrupted: AbortSignal): Promise<void> {
    let end: HookEnd;
    try {
      end = await this.#hook.run(message, signal);
    } catch (error) {
      if (!(error instanceof BusError)) throw error;
      this.#fault = error;
      throw new Retry(error.message, { delayMs: 0, count: false });
    }
    if (end.kind === "exited" && end.code === 0) {
      this.#done++;
      return;
    }
    // Ctrl-C reaches the command, too. And whose lease is lost was told to end.
    if ((interrupted.aborted && isInterrupted(end)) || signal.aborted) {
      this.#handedBack++;
      throw new Retry("interrupted", { delayMs: 0, count: false });
    }
    this.#io.say(this.#hook.faultOf(message, end));
    const isTemporary = end.kind === "not run" || (end.kind === "exited" && end.code === TEMPORARY);
    if (isTemporary) this.#handedBack++;
    else this.#failed++;
    throw new Retry(reasonOf(end), { count: !isTemporary });
  }
}

/** Says once what is wrong with a group. */
class Warning {
  readonly #client: Client;
  readonly #io: Io;
  readonly #name: { readonly topic: string; readonly group: string };
  readonly #checks = new Set<string>();
  #isSaid = false;
  /** Settles when what was asked is answered. */
  checked: Promise<void> = Promise.resolve();

  constructor(client: Client, io: Io, name: { readonly topic: string; readonly group: string }) {
    this.#client = client;
    this.#io = io;
    this.#name = name;
  }

  /** Asks, once at the start and once when there is a message. */
  check(when: "start" | "message"): void {
    if (this.#checks.has(when)) return;
    this.#checks.add(when);
    this.checked = this.checked.then(() => this.#ask());
  }

  async #ask(): Promise<void> {
    if (this.#isSaid) return;
    const { topic, group } = this.#name;
    try {
      const found = (await this.#client.groups(topic)).find((each) => each.group === group);
      if (found?.warning === undefined) return;
      this.#isSaid = true;
      this.#io.say(`warning: ${found.warning}`);
    } catch (error) {
      // The worker asks the same server, and says so if it can't be reached.
      if (!(error instanceof BusError)) throw error;
    }
  }
}

function isInterrupted(end: HookEnd): boolean {
  if (end.kind === "killed") return end.signal === "SIGINT" || end.signal === "SIGTERM";
  return end.kind === "exited" && (end.code === EXIT.interrupted || end.code === EXIT.terminated);
}

/** Why a message was not done, for the dead letter. */
function reasonOf(end: HookEnd): string {
  switch (end.kind) {
    case "exited":
      return `exit ${end.code}`;
    case "killed":
      return `killed by ${end.signal}`;
    case "not run":
      return end.fault;
  }
}
