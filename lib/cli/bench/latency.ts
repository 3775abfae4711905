/**
 * `msgbus bench latency`: how long a message takes from its publisher to its subscribers.
 *
 * @module
 */

import { together } from "./course.ts";
import { type Figure, times } from "./figures.ts";
import { Histogram } from "./histogram.ts";
import { Receivers } from "./receivers.ts";
import type { Track } from "./track.ts";

/** The smallest payload: a number that says which message it is. */
export const MIN_LATENCY_SIZE = 16;

/**
 * Publishes at a steady rate. No publish waits for another one, so that a slow answer doesn't spare the server the next
 * message.
 */
export async function benchLatency(track: Track): Promise<Figure[]> {
  const { client, topic, course, clock, size } = track;
  const latencies = new Histogram();
  const sentMs: number[] = [];
  let end = 0;
  await using receivers = new Receivers(track, (message) => {
    latencies.add(clock.now() - sentMs[Number(message.text().slice(0, MIN_LATENCY_SIZE))]!);
    track.progress(receivers.received);
  });
  await receivers.ready();
  course.begin();
  const onTheirWay = new Set<Promise<void>>();
  const publish = async () => {
    while (await course.claim(1) > 0) {
      const payload = String(sentMs.length).padStart(MIN_LATENCY_SIZE).padEnd(size, "x");
      sentMs.push(clock.now());
      const published = client.publish(topic, payload).then(({ id }) => {
        end = Math.max(end, id + 1);
        onTheirWay.delete(published);
      });
      onTheirWay.add(published);
      published.catch(() => course.stop());
    }
    await Promise.all(onTheirWay);
  };
  await together(course, [publish]);
  await receivers.reach(end);
  return [
    { name: "published", label: "published", value: sentMs.length, unit: "" },
    { name: "received", label: "received", value: receivers.received, unit: "" },
    { name: "missed", label: "missed", value: receivers.missed, unit: "" },
    ...times("latency", latencies),
  ];
}
