/**
 * msgbusd as a process of its own, and requests to it.
 *
 * @module
 */

import { Connection, headOf } from "../http/serving.ts";
import { type Program, start, type StartOptions } from "../processes.ts";

/** A msgbusd that listens. */
export interface Daemon extends Program {
  /** The first line it logged. */
  readonly firstLine: string;
  /** The line that says where it listens, which is the first one if it keeps its messages in memory. */
  readonly listeningLine: string;
  /** The port of the address it names first. */
  readonly port: number;
}

/** Starts msgbusd and waits until it listens; on a free port of 127.0.0.1 unless `args` bind something else. */
export async function daemon(args: readonly string[] = [], options: StartOptions = {}): Promise<Daemon> {
  const bound = args.some((arg) => /^(-b|--bind)/.test(arg)) || options.env?.MSGBUSD_BIND !== undefined;
  const program = start("msgbusd", bound ? args : ["--bind", "127.0.0.1:0", ...args], options);
  const firstLine = await program.stderr.next();
  if (firstLine === undefined) throw new Error(`msgbusd ended with ${await program.code}`);
  const listens = "msgbusd listening on ";
  const listeningLine = firstLine.includes(listens) ? firstLine : await program.stderr.find(listens);
  return {
    ...program,
    firstLine,
    listeningLine,
    port: Number(/:([0-9]+)(?:,|"|$)/.exec(listeningLine.slice(20))?.[1]),
  };
}

/** How a run ended, and what it wrote. */
export interface Ending {
  readonly code: number;
  readonly stdout: string[];
  readonly stderr: string[];
}

/** Runs msgbusd to its end, which must come by itself. */
export async function ending(args: readonly string[], options: StartOptions = {}): Promise<Ending> {
  await using program = start("msgbusd", args, options);
  const [stdout, stderr, code] = await Promise.all([program.stdout.rest(), program.stderr.rest(), program.code]);
  return { code, stdout, stderr };
}

/** Publishes, and gives the status. */
export async function publish(port: number, topic: string, body: BodyInit, host = "127.0.0.1"): Promise<number> {
  const response = await fetch(`http://${host}:${port}/${topic}`, { method: "PUT", body });
  await response.body?.cancel();
  return response.status;
}

/** Begins a publish of `length` bytes, of which only `part` comes; the server has it in work then. */
export async function beginPublish(port: number, topic: string, part: string, length: number): Promise<Connection> {
  const fields = { host: "localhost", "content-length": String(length), expect: "100-continue" };
  const connection = await Connection.open(port);
  await connection.write(headOf(`PUT /${topic} HTTP/1.1`, fields));
  await connection.bytes("HTTP/1.1 100 Continue\r\n\r\n".length);
  await connection.write(part);
  // What comes later and is answered was read later.
  const health = await fetch(`http://127.0.0.1:${port}/-/health`);
  await health.body?.cancel();
  return connection;
}
