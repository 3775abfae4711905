/**
 * Measures what subscribers cost that never read, and what the others notice of them: `deno task bench:stuck --help`.
 *
 * @module
 */

import { parseArgs } from "../lib/deps/cli.ts";
import { killChildren } from "./child.ts";
import { progress } from "./command_line.ts";
import { NarrowSockets } from "./narrow_socket.ts";
import { Server } from "./server.ts";
import { formatNumber, formatSummary, formatTable, summarise, type Summary } from "./summary.ts";

const HELP = `Measures what subscribers cost that never read, WebSockets and streams in equal parts.

  deno task bench:stuck [--readers N] [--megabytes N] [--rounds N]

  --readers N    how many (default 999)
  --megabytes N  what passes through their topic until they are stuck (default 200)
  --rounds N     rounds of publishing without them, and with them (default 5)
`;

/** How much to do. */
interface StuckPlan {
  /** Readers that are stuck. */
  readonly readers: number;
  /** What passes through the topic while they are filled, in MiB. */
  readonly megabytes: number;
  /** Rounds of publishing without them, and with them. */
  readonly rounds: number;
}

/** What stuck readers cost. */
interface StuckFigures {
  /** How many there were. */
  readonly readers: number;
  /** What passed through the topic while they were filled, in MiB. */
  readonly megabytes: number;
  /** What msgbusd occupies before they come, when they are full, and after the last round, in bytes. */
  readonly memoryBytes: { readonly before: number; readonly full: number; readonly after: number };
  /** Deliveries a second to the healthy reader, before and after, with everything acknowledged having arrived. */
  readonly deliveries: { readonly without: Summary; readonly with: Summary };
  /** The processor time of msgbusd for a message published and delivered, in microseconds. */
  readonly cpuMicros: { readonly without: Summary; readonly with: Summary };
}

const MESSAGE_BYTES = 1024;
const PER_REQUEST = 32;
const BODY = new TextEncoder().encode(`${"x".repeat(MESSAGE_BYTES)}\n`.repeat(PER_REQUEST));
const ROUND_MEGABYTES = 50;
const SETTLE_MS = 1500;
const RECEIVE_BYTES = 4096;
const LF = 0x0a;
const I = 0x69;

const HANDSHAKE = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
  "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
/** How a stuck reader subscribes: each form in turn. */
const FORMS = [HANDSHAKE, `${HANDSHAKE}Sec-WebSocket-Protocol: msgbus.ndjson\r\n`, "Accept: text/event-stream\r\n"];

/** Measures with a server of its own, whose topic is small so that its memory is not what is measured. */
async function measureStuck({ readers, megabytes, rounds }: StuckPlan): Promise<StuckFigures> {
  await using server = await Server.msgbusd("--max-topic-bytes=4MiB", "--stall-timeout=1h");
  using sockets = new NarrowSockets();
  await using healthy = await HealthyReader.open(server.port);
  // What the first messages make of a fresh process is not what is measured.
  await publish(server, healthy, ROUND_MEGABYTES);
  const round = async () => {
    const found = await publish(server, healthy, ROUND_MEGABYTES);
    progress(`stuck readers: ${formatNumber(found.deliveries)} deliveries/s`);
    return found;
  };
  const without: Round[] = [];
  for (let i = 0; i < rounds; i++) without.push(await round());
  await settle();
  const before = await memoryOf(server);
  for (let i = 0; i < readers; i++) {
    const request = `GET /t HTTP/1.1\r\nHost: localhost:${server.port}\r\n${FORMS[i % FORMS.length]}\r\n`;
    await sockets.open(server.port, request, RECEIVE_BYTES);
  }
  progress(`stuck readers: ${readers} connected`);
  await publish(server, healthy, megabytes);
  await settle();
  const full = await memoryOf(server);
  const stuck: Round[] = [];
  for (let i = 0; i < rounds; i++) stuck.push(await round());
  await settle();
  const after = await memoryOf(server);
  const summaries = (name: "deliveries" | "cpuMicros") => ({
    without: summarise(without.map((found) => found[name])),
    with: summarise(stuck.map((found) => found[name])),
  });
  return {
    readers,
    megabytes,
    memoryBytes: { before, full, after },
    deliveries: summaries("deliveries"),
    cpuMicros: summaries("cpuMicros"),
  };
}

interface Round {
  readonly deliveries: number;
  readonly cpuMicros: number;
}

/** Publishes one request after the other until so much has arrived at the healthy reader. */
async function publish(server: Server, healthy: HealthyReader, megabytes: number): Promise<Round> {
  const requests = Math.ceil(megabytes * 1024 * 1024 / (MESSAGE_BYTES * PER_REQUEST));
  const messages = requests * PER_REQUEST;
  const begin = performance.now();
  const cpuBefore = await server.cpuMs() ?? NaN;
  const arrived = healthy.expect(messages);
  for (let i = 0; i < requests; i++) {
    const response = await fetch(`http://localhost:${server.port}/t?split=lines`, { method: "POST", body: BODY });
    await response.body?.cancel();
    if (response.status !== 202) throw new Error(`Cannot publish: ${response.status}`);
  }
  await arrived;
  const seconds = (performance.now() - begin) / 1000;
  const cpuMs = (await server.cpuMs() ?? NaN) - cpuBefore;
  return { deliveries: messages / seconds, cpuMicros: cpuMs * 1000 / messages };
}

/** A reader of NDJSON that counts lines. */
class HealthyReader implements AsyncDisposable {
  readonly #leave = new AbortController();
  #wanted = Infinity;
  #lines = 0;
  /** Where the line that is not complete began, in relation to the next chunk. */
  #start = 0;
  /** Its third byte. */
  #third: number | undefined;
  #onArrived = () => {};

  static async open(port: number): Promise<HealthyReader> {
    const reader = new HealthyReader();
    const { signal } = reader.#leave;
    const { body } = await fetch(`http://localhost:${port}/t?format=ndjson`, { signal });
    void reader.#count(body!);
    return reader;
  }

  /** Resolves when so many messages more have arrived. */
  expect(messages: number): Promise<void> {
    this.#wanted = this.#lines + messages;
    return new Promise((resolve) => this.#onArrived = resolve);
  }

  async #count(body: ReadableStream<Uint8Array>): Promise<void> {
    try {
      for await (const chunk of body) {
        this.#countLines(chunk);
        if (this.#lines >= this.#wanted) this.#onArrived();
      }
    } catch (error) {
      if (!this.#leave.signal.aborted) throw error;
    }
  }

  /** Counts the messages among the lines that end in a chunk; the third byte tells `{"id":…` from `{"event":…`. */
  #countLines(chunk: Uint8Array): void {
    let start = this.#start;
    for (let end = chunk.indexOf(LF); end >= 0; end = chunk.indexOf(LF, start)) {
      const third = start + 2 < 0 ? this.#third : chunk[start + 2];
      if (end - start > 2 && third === I) this.#lines++;
      else if (end - start > 100) throw new Error("The healthy reader missed messages");
      start = end + 1;
    }
    if (start + 2 >= 0 && start + 2 < chunk.length) this.#third = chunk[start + 2];
    this.#start = start - chunk.length;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#leave.abort();
    return Promise.resolve();
  }
}

async function memoryOf(server: Server): Promise<number> {
  return (await server.memory())?.nowBytes ?? NaN;
}

function settle(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
}

/** Writes figures as a table. */
function formatStuck({ readers, megabytes, memoryBytes, deliveries, cpuMicros }: StuckFigures): string {
  const { before, full, after } = memoryBytes;
  const each = (bytes: number) => `${Math.round((bytes - before) / readers / 1024)} KiB each`;
  const megabytesOf = (bytes: number) => String(Math.round(bytes / 1e6));
  return formatTable(
    [`${readers} readers that never read, ${megabytes} MiB of 1 KiB messages`, "before", "stuck", "in relation"],
    [
      ["resident memory, MB, when full", megabytesOf(before), megabytesOf(full), each(full)],
      ["resident memory, MB, at the end", megabytesOf(before), megabytesOf(after), each(after)],
      [
        "deliveries/s to a healthy reader",
        formatSummary(deliveries.without, formatNumber),
        formatSummary(deliveries.with, formatNumber),
        `${Math.round(deliveries.with.median / deliveries.without.median * 100)} %`,
      ],
      [
        "server CPU µs/message",
        formatSummary(cpuMicros.without, formatNumber),
        formatSummary(cpuMicros.with, formatNumber),
        `${Math.round(cpuMicros.with.median / cpuMicros.without.median * 100)} %`,
      ],
    ],
  );
}

function readCount(name: string, text: string): number {
  if (/^[1-9][0-9]{0,5}$/.test(text)) return Number(text);
  throw new RangeError(`Bad --${name} "${text}": a whole number from 1 on`);
}

async function main(args: string[]): Promise<string> {
  const flags = parseArgs(args, {
    boolean: ["help"],
    string: ["readers", "megabytes", "rounds"],
    alias: { help: "h" },
    default: { readers: "999", megabytes: "200", rounds: "5" },
    unknown: (argument) => {
      throw new RangeError(`Unknown argument "${argument}"; see deno task bench:stuck --help`);
    },
  });
  if (flags.help) return HELP;
  const readers = readCount("readers", flags.readers);
  const megabytes = readCount("megabytes", flags.megabytes);
  return formatStuck(await measureStuck({ readers, megabytes, rounds: readCount("rounds", flags.rounds) }));
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => {
    killChildren();
    Deno.exit(130);
  });
}
try {
  Deno.stdout.writeSync(new TextEncoder().encode(await main(Deno.args)));
  Deno.exit(0);
} catch (error) {
  const line = error instanceof RangeError ? error.message : error instanceof Error ? error.stack : String(error);
  Deno.stderr.writeSync(new TextEncoder().encode(`bench: ${line}\n`));
  Deno.exit(1);
}
