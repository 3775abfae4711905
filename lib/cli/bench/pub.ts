/**
 * `msgbus bench pub`: how fast messages are published.
 *
 * @module
 */

import { together } from "./course.ts";
import { type Figure, throughput, times } from "./figures.ts";
import { Histogram } from "./histogram.ts";
import { publishers, type Track } from "./track.ts";

/** Publishes on so many connections. */
export async function benchPub(track: Track): Promise<Figure[]> {
  const { course, connections, size } = track;
  const requests = new Histogram();
  let published = 0;
  course.begin();
  await together(
    course,
    publishers(track, connections, (count, _end, ms) => {
      requests.add(ms);
      published += count;
      track.progress(published);
    }),
  );
  return [...throughput("published", published, course.elapsedMs, size), ...times("request", requests)];
}
