/**
 * What tests of streams have in common, whatever the format.
 *
 * @module
 */

import type { Chunks, Direct } from "./direct.ts";

/** The formats of streams. */
export const FORMATS = ["sse", "ndjson"] as const;
/** One of them. */
export type Format = typeof FORMATS[number];

/** The epoch of a topic made at the time at which a test clock begins. */
export const EPOCH = "jf6txfnw";

/** Subscribes and reads on until everything there was has come. */
export async function live(
  server: Direct,
  format: Format,
  topics = "t",
  query = "",
): Promise<Chunks> {
  const stream = await server.stream(`/${topics}?format=${format}${query}`);
  server.clock.flush();
  let text = "";
  while (!text.includes('"caught-up"')) text += await stream.text();
  return stream;
}

/** Publishes so much, message by message, that no reader has room for it. */
export function publishMuch({ bus, clock }: Direct, count: number): void {
  for (let i = 0; i < count; i++) {
    bus.put("t", new Uint8Array(12 * 1024));
    clock.flush();
  }
}

/** A line of NDJSON, or the data of a server-sent event. */
export interface Read {
  readonly id?: number;
  readonly event?: string;
  readonly [member: string]: unknown;
}

/** What a stream of either format has said: envelopes and events. */
export function eventsOf(text: string): Read[] {
  const lines = text.startsWith("{")
    ? text.split("\n")
    : text.split("\n").flatMap((line) => line.split(/^data: /)[1] ?? "");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line));
}

/** The ids of messages and the names of events. */
export function shapeOf(text: string): (number | string)[] {
  return eventsOf(text).map(({ id, event }) => event ?? id!);
}

/** The ids of messages. */
export function idsOf(text: string): number[] {
  return eventsOf(text).flatMap(({ id }) => id ?? []);
}

/** The numbers from one to before another. */
export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}
