/**
 * The lines that show each message to a person who watches, as the original prints them.
 *
 * @module
 */

import { type Clock, systemClock } from "../bus/clock.ts";
import type { Observer } from "../bus/observer.ts";
import { LineLimit } from "./line_limit.ts";
import type { Log } from "../log.ts";
import type { Message } from "../message.ts";

const LINES_PER_SECOND = 1000;
const MAX_PAYLOAD_BYTES = 64;

/** An observer that logs publishes, pulls and subscriptions, at most 1000 lines a second. */
export function messageLog(log: Log, clock: Clock = systemClock): Observer {
  const limit = new LineLimit({
    clock,
    perSecond: LINES_PER_SECOND,
    leftOut: (lines) => log.info("left_out", `[msgbus] ${lines} more lines left out`, { lines }),
  });
  return {
    published(message) {
      // A publish has two lines in the original.
      for (const [event, verb] of [["put", "PUT"], ["notify", "NotifyAll"]] as const) {
        if (limit.admit()) log.info(event, `[msgbus] ${verb} ${describe(message)}`);
      }
    },
    pulled(topic) {
      if (limit.admit()) log.info("get", `[msgbus] GET topic=${topic}`);
    },
    subscribed({ topic, label }) {
      if (limit.admit()) log.info("subscribe", `[msgbus] Subscribe id=${label} topic=${topic}`);
    },
  };
}

function describe({ id, topic, payload }: Message): string {
  const cut = payload.length > MAX_PAYLOAD_BYTES;
  // As of a stream that goes on, so that a character that is cut in two is not shown at all.
  const shown = new TextDecoder().decode(payload.subarray(0, MAX_PAYLOAD_BYTES), { stream: cut });
  return `id=${id} topic=${topic.name} payload=${shown}${cut ? "…" : ""}`;
}
