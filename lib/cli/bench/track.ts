/**
 * What every benchmark works with.
 *
 * @module
 */

import type { Client } from "../../client/client.ts";
import type { ClientClock } from "../../client/backoff.ts";
import type { Course } from "./course.ts";
import type { Figure } from "./figures.ts";

/** How a benchmark is set up; those that it has no use for are `undefined`. */
export interface Setup {
  /** Bytes of a payload. */
  readonly size: number;
  /** Messages in a request. */
  readonly batch: number;
  /** Requests at the same time. */
  readonly connections: number;
  /** Subscriptions. */
  readonly subscribers: number;
}

/** What a benchmark works with. */
export interface Track extends Setup {
  /** The bus. */
  readonly client: Client;
  /** The topic. */
  readonly topic: string;
  /** How far to go. */
  readonly course: Course;
  /** What time it is. */
  readonly clock: ClientClock;
  /** Notes how many messages are done, for those who look on. */
  progress(count: number): void;
}

/** A benchmark: does its work and tells what it found out. */
export type Benchmark = (track: Track) => Promise<Figure[]>;

/** Payloads for one publish. */
export function payloadsOf(size: number, count: number): Uint8Array | Uint8Array[] {
  const payload = new Uint8Array(size).fill("x".charCodeAt(0));
  return count === 1 ? payload : Array.from({ length: count }, () => payload);
}

/** The workers that publish as fast as the course allows; `onPublished` gets the id after the last one. */
export function publishers(
  track: Track,
  number: number,
  onPublished: (count: number, end: number, ms: number) => void,
): (() => Promise<void>)[] {
  const { client, topic, size, batch, course, clock } = track;
  return Array.from({ length: number }, () => async () => {
    for (let count = await course.claim(batch); count > 0; count = await course.claim(batch)) {
      const startMs = clock.now();
      const receipt = await client.publish(topic, payloadsOf(size, count));
      onPublished(receipt.count, receipt.id + receipt.count, clock.now() - startMs);
    }
  });
}
