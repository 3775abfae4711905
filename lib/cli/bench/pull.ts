/**
 * `msgbus bench pull`: how fast messages are taken from a queue.
 *
 * @module
 */

import { together } from "./course.ts";
import { type Figure, throughput, times } from "./figures.ts";
import { Histogram } from "./histogram.ts";
import { payloadsOf, type Track } from "./track.ts";

// What is kept in the queue for the pullers: less than a topic retains by default, in messages and in bytes.
const MAX_AHEAD = 20_000;
const MAX_AHEAD_BYTES = 16 * 1024 ** 2;
// What is published at once: less than a server takes by default.
const MAX_REFILL = 1_000;
const MAX_REFILL_BYTES = 512 * 1024;

/** Pulls on so many connections from a queue that is kept filled. */
export async function benchPull(track: Track): Promise<Figure[]> {
  const { client, topic, course, clock, connections, batch, size } = track;
  const requests = new Histogram();
  let [published, pulled, pulling] = [0, 0, connections];
  let bell = Promise.withResolvers<void>();
  const ahead = Math.max(1, Math.min(MAX_AHEAD, Math.floor(MAX_AHEAD_BYTES / (size + 1))));
  const refill = size === 0 ? 1 : Math.max(1, Math.min(MAX_REFILL, Math.floor(MAX_REFILL_BYTES / (size + 1))));

  const fill = async (isWanted: () => boolean) => {
    while (isWanted() && published - pulled < ahead && published < course.count) {
      const count = Math.min(refill, course.count - published);
      published += (await client.publish(topic, payloadsOf(size, count))).count;
    }
  };
  // To the end of the last pull: it would wait for messages else, and count as slow.
  const keepFilled = async () => {
    while (pulling > 0 && published < course.count) {
      await bell.promise;
      await fill(() => pulling > 0);
    }
  };
  const ring = () => {
    bell.resolve();
    bell = Promise.withResolvers();
  };
  const pull = async () => {
    for (let count = await course.claim(batch); count > 0; count = await course.claim(batch)) {
      const startMs = clock.now();
      const got = batch === 1
        ? await client.pull(topic, { waitMs: 1_000 }) === undefined ? 0 : 1
        : (await client.pullBatch(topic, { limit: count, waitMs: 1_000 })).messages.length;
      requests.add(clock.now() - startMs);
      course.giveBack(count - got);
      pulled += got;
      track.progress(pulled);
      ring();
    }
  };
  const puller = async () => {
    try {
      await pull();
    } finally {
      pulling--;
      ring();
    }
  };
  await fill(() => !course.signal.aborted);
  course.begin();
  await together(course, [keepFilled, ...Array.from({ length: connections }, () => puller)]);
  return [...throughput("pulled", pulled, course.elapsedMs, size), ...times("request", requests)];
}
