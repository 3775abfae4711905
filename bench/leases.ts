/**
 * Measures leases over HTTP next to plain pulls, by the same clients on the same server, in alternation:
 * `deno task bench:leases --help`.
 *
 * @module
 */

import { parseArgs } from "../lib/deps/cli.ts";
import { answerLength, isSuccess } from "./answer.ts";
import { killChildren } from "./child.ts";
import { print } from "./command_line.ts";
import { Server } from "./server.ts";
import { WorkerSocket } from "./worker_socket.ts";
import { formatNumber, formatShare, formatSummary, formatTable, summarise } from "./summary.ts";

const HELP = `Measures leasing and acknowledging over HTTP next to plain pulls.

  deno task bench:leases [--rounds N] [--seconds N] [--connections N]

  --rounds N       rounds of each (default 5)
  --seconds N      how long a round takes (default 2)
  --connections N  workers, each on a connection of its own (default 32)
`;

/** How much to do. */
interface LeasesPlan {
  /** Rounds of each way of working. */
  readonly rounds: number;
  /** How long a round takes, in milliseconds. */
  readonly ms: number;
  /** Workers. */
  readonly connections: number;
}

/** What a round did in a second. */
interface Rate {
  readonly messages: number;
  readonly requests: number;
}

/** A way of working: how many messages to take at once, and whether and how to lease them. */
interface Way {
  readonly title: string;
  readonly limit: number;
  /** How leased messages are acknowledged: in a request of its own, or with the next pull. */
  readonly ack?: "alone" | "with the next";
  /** Over how many WebSockets, with a hundred in flight on each, acknowledged as they come; default none. */
  readonly sockets?: number | "all";
}

const WAYS: readonly Way[] = [
  { title: "pull", limit: 1 },
  { title: "lease, ack", limit: 1, ack: "alone" },
  { title: "lease, ack with the next", limit: 1, ack: "with the next" },
  { title: "pull 100", limit: 100 },
  { title: "lease 100, ack them", limit: 100, ack: "alone" },
  { title: "pushed, 100 in flight, one socket", limit: 100, ack: "alone", sockets: 1 },
  { title: "pushed, 100 in flight, as many sockets", limit: 100, ack: "alone", sockets: "all" },
];
const MESSAGE = "x".repeat(128);
const FILL_LINES = 4096;
const QUEUE = 65_536;
const ANSWER_BYTES = 256 * 1024;
const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** A keep-alive connection on which one request follows the other. */
class Worker implements Disposable {
  readonly #connection: Deno.TcpConn;
  readonly #port: number;
  readonly #answer = new Uint8Array(ANSWER_BYTES);

  constructor(connection: Deno.TcpConn, port: number) {
    this.#connection = connection;
    this.#port = port;
  }

  static async connect(port: number): Promise<Worker> {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    connection.setNoDelay(true);
    return new Worker(connection, port);
  }

  /** Sends a request and gives the answer as text; `undefined` if its status is none of success. */
  async ask(method: string, target: string, body = ""): Promise<string | undefined> {
    const length = body === "" ? "" : `Content-Length: ${body.length}\r\n`;
    const request = encoder.encode(
      `${method} ${target} HTTP/1.1\r\nHost: localhost:${this.#port}\r\n${length}\r\n${body}`,
    );
    for (let sent = 0; sent < request.length;) sent += await this.#connection.write(request.subarray(sent));
    let count = 0;
    do {
      const more = await this.#connection.read(this.#answer.subarray(count));
      if (more === null) throw new Error("The server closed the connection");
      count += more;
    } while (answerLength(this.#answer, 0, count) === Infinity);
    return isSuccess(this.#answer, 0) ? decoder.decode(this.#answer.subarray(0, count)) : undefined;
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}

/** Fills the queues that a round empties; each worker has the next one when its own is empty. */
async function fill(port: number, queues: number): Promise<void> {
  const body = `${MESSAGE}\n`.repeat(FILL_LINES);
  for (let queue = 0; queue < queues; queue++) {
    await fetch(`http://localhost:${port}/${queue}`, { method: "DELETE" }).then((answer) => answer.text());
    for (let count = 0; count < QUEUE; count += FILL_LINES) {
      const answer = await fetch(`http://localhost:${port}/${queue}?split=lines`, { method: "POST", body });
      if (answer.status !== 202) throw new Error(await answer.text());
    }
  }
}

async function measure(port: number, { limit, ack }: Way, { ms, connections }: LeasesPlan): Promise<Rate> {
  const queues = limit === 1 ? 4 : 16;
  await fill(port, queues);
  const workers = await Promise.all(Array.from({ length: connections }, () => Worker.connect(port)));
  let messages = 0;
  let requests = 0;
  let queue = 0;
  const startMs = performance.now();
  const endMs = startMs + ms;
  await Promise.all(workers.map(async (worker) => {
    let held: string[] = [];
    while (performance.now() < endMs && queue < queues) {
      const at = queue;
      const acked = ack === "with the next" && held.length > 0 ? `&ack=${held.join(",")}` : "";
      const answer = await worker.ask("GET", `/${at}?limit=${limit}${ack === undefined ? "" : "&lease=1h"}${acked}`);
      if (answer === undefined) {
        queue = Math.max(queue, at + 1);
        held = [];
        continue;
      }
      requests++;
      messages += limit;
      if (ack === undefined) continue;
      held = Array.from(answer.matchAll(/"lease":"([^"]*)"/g), ([, token]) => token!);
      if (ack === "with the next") continue;
      if (await worker.ask("POST", "/-/ack", held.join("\n")) === undefined) throw new Error("An ack was refused");
      requests++;
    }
  }));
  const seconds = (performance.now() - startMs) / 1000;
  for (const worker of workers) worker[Symbol.dispose]();
  return { messages: messages / seconds, requests: requests / seconds };
}

/** The same over WebSockets: what counts as a request is a frame of acks. */
async function measurePushed(port: number, { limit, sockets }: Way, { ms, connections }: LeasesPlan): Promise<Rate> {
  const queues = 16;
  await fill(port, queues);
  let messages = 0;
  let requests = 0;
  const startMs = performance.now();
  const endMs = startMs + ms;
  for (let queue = 0; queue < queues && performance.now() < endMs; queue++) {
    let left = QUEUE;
    const { promise: over, resolve } = Promise.withResolvers<void>();
    const onAcked = (count: number) => {
      messages += count;
      requests++;
      left -= count;
      if (left === 0 || performance.now() >= endMs) resolve();
      return performance.now() < endMs;
    };
    const count = sockets === "all" ? connections : sockets!;
    const workers = await Promise.all(
      Array.from(
        { length: count },
        () => WorkerSocket.connect(port, `/${queue}?group=&lease=1h&inflight=${limit}`, onAcked),
      ),
    );
    const works = workers.map((worker) =>
      worker.work().catch((error) => {
        // Reading ends when it is closed below.
        if (!(error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted)) throw error;
      })
    );
    await Promise.race([over, Promise.all(works)]);
    for (const worker of workers) worker[Symbol.dispose]();
    await Promise.all(works);
  }
  const seconds = (performance.now() - startMs) / 1000;
  return { messages: messages / seconds, requests: requests / seconds };
}

async function main(args: string[]): Promise<void> {
  const flags = parseArgs(args, {
    string: ["rounds", "seconds", "connections"],
    boolean: ["help"],
    alias: { help: "h" },
  });
  if (flags.help) return void print(HELP);
  const number = (text: string | undefined, fallback: number) => text === undefined ? fallback : Number(text);
  const plan = {
    rounds: number(flags.rounds, 5),
    ms: number(flags.seconds, 2) * 1000,
    connections: number(flags.connections, 32),
  };
  await using server = await Server.msgbusd("--ttl=0", "--max-memory=4GiB");
  const rates = WAYS.map(() => [] as Rate[]);
  const round = (way: Way, plan: LeasesPlan) =>
    way.sockets === undefined ? measure(server.port, way, plan) : measurePushed(server.port, way, plan);
  for (const way of WAYS) await round(way, { ...plan, ms: 500 });
  for (let i = 0; i < plan.rounds; i++) {
    for (const [j, way] of WAYS.entries()) rates[j]!.push(await round(way, plan));
  }
  const rows = WAYS.map(({ title, limit }, i) => {
    const of = (member: keyof Rate) => rates[i]!.map((rate) => rate[member]);
    const pulls = rates[WAYS.findIndex((way) => way.limit === limit && way.ack === undefined)]!;
    const share = (member: keyof Rate) =>
      summarise(rates[i]!.map((rate, round) => rate[member] / pulls[round]![member]));
    return [
      title,
      formatSummary(summarise(of("messages")), formatNumber),
      formatSummary(share("messages"), formatShare),
      formatSummary(summarise(of("requests")), formatNumber),
      formatSummary(share("requests"), formatShare),
    ];
  });
  print(formatTable(["way", "messages/s", "of pulling", "requests/s", "of pulling"], rows));
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => {
    killChildren();
    Deno.exit(130);
  });
}
try {
  await main(Deno.args);
  Deno.exit(0);
} catch (error) {
  Deno.stderr.writeSync(encoder.encode(`bench: ${error instanceof Error ? error.stack : error}\n`));
  Deno.exit(1);
}
