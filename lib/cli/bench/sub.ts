/**
 * `msgbus bench sub`: how fast messages reach subscribers.
 *
 * @module
 */

import { together } from "./course.ts";
import { type Figure, throughput } from "./figures.ts";
import { Receivers } from "./receivers.ts";
import { publishers, type Track } from "./track.ts";

/** Publishes to subscribers, and waits until they have it all. */
export async function benchSub(track: Track): Promise<Figure[]> {
  const { course, connections, size } = track;
  let [published, end] = [0, 0];
  await using receivers = new Receivers(track, () => track.progress(receivers.received));
  await receivers.ready();
  course.begin();
  await together(
    course,
    publishers(track, connections, (count, after) => {
      published += count;
      end = Math.max(end, after);
    }),
  );
  await receivers.reach(end);
  const ms = course.elapsedMs;
  return [
    ...throughput("received", receivers.received, ms, size),
    { name: "published", label: "published", value: published, unit: "" },
    {
      name: "publishedPerSecond",
      label: "published a second",
      value: ms === 0 ? 0 : published * 1000 / ms,
      unit: "/s",
    },
    { name: "missed", label: "missed", value: receivers.missed, unit: "" },
  ];
}
