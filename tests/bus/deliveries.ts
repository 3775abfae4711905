/**
 * What a subscription gives, in one line each.
 *
 * @module
 */

import type { Delivery } from "../../lib/bus/feed.ts";
import type { Subscription } from "../../lib/bus/subscription.ts";
import type { Gap } from "../../lib/event.ts";

/** Everything that a subscription gives now: `foo 0` for a message, `gap foo 0-1 expired`, `caught-up`, `deleted foo`. */
export function deliveriesOf(subscription: Subscription, limits: { maxMessages?: number } = {}): string[] {
  const lines: string[] = [];
  for (;;) {
    const delivery = subscription.read(limits);
    if (typeof delivery !== "object") return lines;
    lines.push(...linesOf(delivery));
  }
}

/** A gap in one line. */
export function lineOf(gap: Gap | undefined): string | undefined {
  return gap && `gap ${gap.topic} ${gap.from}-${gap.to} ${gap.reason}`;
}

function linesOf(delivery: Delivery): string[] {
  switch (delivery.event) {
    case "messages":
      return delivery.messages.map(({ id, topic }) => `${topic.name} ${id}`);
    case "gap":
      return [lineOf(delivery)!];
    case "deleted":
      return [`deleted ${delivery.topic}`];
    default:
      return [delivery.event];
  }
}
