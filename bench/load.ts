/**
 * The load generator, a process of its own: keep-alive connections, on each one request after the other (a closed
 * loop). It writes the same bytes again and again and looks at an answer only for its status and length. Reads a {@linkcode Load} from
 * each line of its standard input and answers with a {@linkcode LoadResult}.
 *
 * @module
 */

import { cpuUsage } from "node:process";
import { answerLength, isSuccess } from "./answer.ts";

/** What to do to a server. */
export interface Load {
  /** Its port on 127.0.0.1. */
  readonly port: number;
  /** The request method. */
  readonly method: string;
  /** The paths; each connection has one of them, in turn. */
  readonly paths: readonly string[];
  /** The body of each request. */
  readonly body: string;
  /** How many connections. */
  readonly connections: number;
  /** How long. */
  readonly ms: number;
}

/** What came of it. */
export interface LoadResult {
  /** Requests that were answered with a status of 200 to 299. */
  readonly requests: number;
  /** How long it took. */
  readonly ms: number;
  /** The processor time this process used, in milliseconds; `undefined` if unknown. */
  readonly cpuMs?: number;
}

/** Drives a server for as long as `load` says. Throws an `Error` at the first answer that is no success. */
export async function drive(load: Load): Promise<LoadResult> {
  const connections = await Promise.all(Array.from({ length: load.connections }, () => connect(load.port)));
  const state = { requests: 0, stopped: false };
  const timer = setTimeout(() => state.stopped = true, load.ms);
  const cpuBefore = cpuUsage();
  const startMs = performance.now();
  try {
    await Promise.all(connections.map((connection, i) => {
      const request = encodeRequest(load, load.paths[i % load.paths.length]!);
      return repeat(connection, request, state);
    }));
  } finally {
    state.stopped = true;
    clearTimeout(timer);
    for (const connection of connections) connection.close();
  }
  const { user, system } = cpuUsage(cpuBefore);
  return { requests: state.requests, ms: performance.now() - startMs, cpuMs: (user + system) / 1000 };
}

async function connect(port: number): Promise<Deno.TcpConn> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  connection.setNoDelay(true);
  return connection;
}

function encodeRequest({ port, method, body }: Load, path: string): Uint8Array {
  const length = body === "" ? "" : `Content-Length: ${body.length}\r\n`;
  return new TextEncoder().encode(`${method} ${path} HTTP/1.1\r\nHost: localhost:${port}\r\n${length}\r\n${body}`);
}

async function repeat(
  connection: Deno.TcpConn,
  request: Uint8Array,
  state: { requests: number; stopped: boolean },
): Promise<void> {
  const answer = new Uint8Array(64 * 1024);
  while (!state.stopped) {
    if (await connection.write(request) !== request.length) throw new Error("A request did not go out whole");
    let length = 0;
    // A server may send the head of an answer and its body apart.
    do {
      const count = await connection.read(length === 0 ? answer : answer.subarray(length));
      if (count === null) throw new Error("The server closed the connection");
      length += count;
    } while (answerLength(answer, 0, length) === Infinity);
    if (!isSuccess(answer, 0)) throw new Error(new TextDecoder().decode(answer.subarray(0, length)));
    state.requests++;
  }
}

if (import.meta.main) {
  for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    // Whoever gives a line waits for its answer before the next, so a line never comes in pieces with another.
    const result = await drive(JSON.parse(text));
    await Deno.stdout.write(new TextEncoder().encode(`${JSON.stringify(result)}\n`));
  }
}
