/**
 * `msgbus bench latency`: how long a message takes from its publisher to its subscribers.
 *
 * @module
 */

import type { Message } from "../../message.ts";
import { together } from "./course.ts";
import { type Figure, steadiness, times } from "./figures.ts";
import { Histogram } from "./histogram.ts";
import { Receivers } from "./receivers.ts";
import type { Track } from "./track.ts";

/** The smallest payload: a number that says when the message should have been sent. */
export const MIN_LATENCY_SIZE = 16;

/**
 * Publishes at a steady rate, with a bounded number of publishes on their way. When all of them are waited for, the next
 * message is late, and that counts: a slow answer spares the server nothing (no coordinated omission).
 */
export async function benchLatency(track: Track): Promise<Figure[]> {
  const { client, topic, course, connections, size } = track;
  const latencies = new Histogram();
  let [sent, sendingMs, end] = [0, 0, 0];
  await using receivers = new Receivers(track, (message) => {
    latencies.add(course.elapsedMs - timeOf(message));
    track.progress(receivers.received);
  });
  await receivers.ready();
  course.begin();
  // What was due until then and didn't go counts against the rate.
  course.signal.addEventListener("abort", () => {
    if (sent < course.count) sendingMs = course.elapsedMs;
  });
  const publish = async () => {
    for (let dueMs = await course.claimOne(); dueMs !== undefined; dueMs = await course.claimOne()) {
      sent++;
      sendingMs = course.elapsedMs;
      const { id } = await client.publish(topic, payloadOf(dueMs, size));
      end = Math.max(end, id + 1);
    }
  };
  await together(course, Array.from({ length: connections }, () => publish));
  await receivers.reach(end);
  return [
    ...steadiness(sent, sendingMs, course.rate),
    { name: "received", label: "received", value: receivers.received, unit: "" },
    { name: "missed", label: "missed", value: receivers.missed, unit: "" },
    ...times("latency", latencies),
  ];
}

/** A payload that says, in microseconds, when it should have been sent. */
function payloadOf(dueMs: number, size: number): string {
  return String(Math.round(dueMs * 1000)).padStart(MIN_LATENCY_SIZE).padEnd(size, "x");
}

function timeOf(message: Message): number {
  return Number(message.text().slice(0, MIN_LATENCY_SIZE)) / 1000;
}
