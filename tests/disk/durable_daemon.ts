/**
 * msgbusd with a data directory, those who publish to it, and what it has kept in the end.
 *
 * @module
 */

import { BusError } from "../../lib/errors.ts";
import { assertEquals } from "../deps.ts";
import { type Lines, type Program, start } from "../processes.ts";

/** How to start it. */
export interface DurableOptions {
  /** The data directory. */
  readonly data: string;
  /** What runs it; see {@linkcode straced}. */
  readonly under?: readonly string[];
  readonly args?: readonly string[];
}

/** A msgbusd that keeps its messages. */
export interface DurableDaemon extends Program {
  readonly uri: string;
}

/** Starts msgbusd and waits until it listens; if it ends instead, throws what it has written. */
export async function durableDaemon(options: DurableOptions): Promise<DurableDaemon> {
  const program = launch(options);
  const seen: string[] = [];
  for (let line = await program.stderr.next(); line !== undefined; line = await program.stderr.next()) {
    const port = /listening on 127\.0\.0\.1:(\d+)/.exec(line)?.[1];
    if (port !== undefined) return { ...program, uri: `http://127.0.0.1:${port}` };
    seen.push(line);
  }
  throw new Error(`msgbusd ended with ${await program.code}: ${seen.join("\n")}`);
}

/** Starts msgbusd, and doesn't wait. */
export function launch({ data, under, args = [] }: DurableOptions): Program {
  return start("msgbusd", ["--bind", "127.0.0.1:0", "--data", data, "--log-format", "json", ...args], { under });
}

/** The port it listens on, when it does; `undefined` if it ends before. */
export async function listeningPort(lines: Lines): Promise<string | undefined> {
  for (let line = await lines.next(); line !== undefined; line = await lines.next()) {
    const port = /listening on 127\.0\.0\.1:(\d+)/.exec(line)?.[1];
    if (port !== undefined) return port;
  }
  return undefined;
}

/** A publish and what came of it. */
export interface Publish {
  readonly payload: string;
  /** The status of the answer; `undefined` if there was none. */
  readonly status: number | undefined;
  /** The id, if it was acknowledged. */
  readonly id: number | undefined;
  readonly retryAfter: string | null;
  readonly error: string | null;
}

/** Publishes, and says what came of it. */
export async function publish(uri: string, topic: string, payload: string): Promise<Publish> {
  try {
    const response = await fetch(`${uri}/${topic}`, { method: "PUT", body: payload });
    await response.body?.cancel();
    const { status, headers } = response;
    const id = headers.get("msgbus-id");
    return {
      payload,
      status,
      id: id === null ? undefined : Number(id),
      retryAfter: headers.get("retry-after"),
      error: headers.get("msgbus-error"),
    };
  } catch (error) {
    // The connection broke, or there was none.
    if (!(error instanceof TypeError)) throw error;
    return { payload, status: undefined, id: undefined, retryAfter: null, error: null };
  }
}

/** Publishes over several connections at once, each as fast as it is answered, until nobody answers or `done` says so. */
export async function publishMany(
  uri: string,
  options: {
    readonly publishers: number;
    readonly topic: string;
    readonly bytes?: number;
    readonly done?: (publishes: readonly Publish[]) => boolean;
  },
): Promise<Publish[]> {
  const { publishers, topic, bytes = 0, done = () => false } = options;
  const publishes: Publish[] = [];
  const run = crypto.randomUUID();
  await Promise.all(Array.from({ length: publishers }, async (_, publisher) => {
    for (let count = 0; !done(publishes); count++) {
      const answer = await publish(uri, topic, `${run}:${publisher}:${count}:`.padEnd(bytes, "."));
      publishes.push(answer);
      if (answer.status === undefined) return;
    }
  }));
  return publishes;
}

/** Everything that a topic retains: the payloads by id, read without taking anything. */
export async function browse(uri: string, topic: string): Promise<Map<number, string>> {
  const messages = new Map<number, string>();
  for (let since = "earliest";;) {
    const response = await fetch(`${uri}/${topic}?since=${encodeURIComponent(since)}&limit=10000`);
    const lines = (await response.text()).split("\n").filter((line) => line !== "");
    if (response.status === 404) return messages;
    assertEquals(response.status, 200);
    if (response.headers.has("msgbus-gap")) throw new BusError("store_damaged", response.headers.get("msgbus-gap")!);
    if (lines.length === 0) return messages;
    for (const line of lines) {
      const { id, payload } = JSON.parse(line);
      messages.set(id, atob(payload));
    }
    since = response.headers.get("msgbus-next")!;
  }
}

/**
 * Says what is wrong with the messages of a topic: what was acknowledged is there under its id, what was refused is not,
 * nothing is there that nobody sent, nothing is there twice, and no id is missing.
 */
export function violations(messages: ReadonlyMap<number, string>, publishes: readonly Publish[]): string[] {
  const found: string[] = [];
  const ids = [...messages.keys()].sort((a, b) => a - b);
  for (const [index, id] of ids.entries()) if (id !== index) return [`hole: ${id} where ${index} should be`];
  const byPayload = new Map<string, number>();
  for (const [id, payload] of messages) {
    if (byPayload.has(payload)) found.push(`twice: ${id} is ${byPayload.get(payload)} again`);
    byPayload.set(payload, id);
  }
  const sent = new Set<string>();
  for (const { payload, status, id } of publishes) {
    sent.add(payload);
    if (status === 202 && byPayload.get(payload) !== id) found.push(`lost: ${id}, found at ${byPayload.get(payload)}`);
    if (status !== undefined && status !== 202 && byPayload.has(payload)) {
      found.push(`refused with ${status}, but there`);
    }
  }
  for (const [payload, id] of byPayload) if (!sent.has(payload)) found.push(`phantom: ${id}`);
  return found;
}

/** Starts msgbusd on what was kept, and says what is wrong with it. */
export async function violationsAfterRestart(
  data: string,
  publishes: readonly Publish[],
  topic = "t",
): Promise<string[]> {
  await using daemon = await durableDaemon({ data });
  return violations(await browse(daemon.uri, topic), publishes);
}
