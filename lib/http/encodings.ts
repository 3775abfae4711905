/**
 * What goes over the wire for a run of messages, made once for all subscribers that read the run.
 *
 * @module
 */

import type { Delivery } from "../bus/feed.ts";
import type { Run } from "../bus/run.ts";
import type { Subscription } from "../bus/subscription.ts";
import type { ControlEvent } from "../event.ts";
import { encodeEnvelope } from "../wire/json.ts";
import { encodeEvent, encodeLines } from "../wire/ndjson.ts";
import { encodeSse, encodeSseEvent } from "../wire/sse.ts";
import type { TurnBudget } from "./turn_budget.ts";

/** Makes something of what subscriptions read; of runs only once. */
export interface Encoding<T> {
  /** What goes over the wire for a run. */
  ofRun(run: Run, subscription: Subscription): T;
  /** What goes over the wire for an event. */
  ofEvent(event: ControlEvent): T;
}

/** What goes over the wire for whatever a subscription has read. */
export function encode<T>(encoding: Encoding<T>, delivery: Delivery, subscription: Subscription): T {
  return delivery.event === "messages" ? encoding.ofRun(delivery, subscription) : encoding.ofEvent(delivery);
}

const encoder = new TextEncoder();

/** Plain WebSocket frames: one envelope each, nothing for events. */
export class PlainFrames implements Encoding<readonly string[]> {
  readonly #known = new WeakMap<Run, readonly string[]>();
  readonly #budget: TurnBudget;

  /** Makes them at the expense of a budget. */
  constructor(budget: TurnBudget) {
    this.#budget = budget;
  }

  ofRun(run: Run): readonly string[] {
    return remembered(this.#known, run, () => run.messages.map(encodeEnvelope), this.#budget);
  }

  ofEvent(): readonly string[] {
    return [];
  }
}

/** Lines of NDJSON as text. */
export class TextLines implements Encoding<string> {
  readonly #known = new WeakMap<Run, string>();
  readonly #budget: TurnBudget;

  /** Makes them at the expense of a budget. */
  constructor(budget: TurnBudget) {
    this.#budget = budget;
  }

  ofRun(run: Run): string {
    return remembered(this.#known, run, () => encodeLines(run.messages), this.#budget);
  }

  ofEvent(event: ControlEvent): string {
    return `${encodeEvent(event)}\n`;
  }
}

/** Lines of NDJSON as bytes. */
export class ByteLines implements Encoding<Uint8Array> {
  readonly #known = new WeakMap<Run, Uint8Array>();
  readonly #text: TextLines;

  /** Makes them of the same texts that WebSockets get. */
  constructor(text: TextLines) {
    this.#text = text;
  }

  ofRun(run: Run): Uint8Array {
    return remembered(this.#known, run, () => encoder.encode(this.#text.ofRun(run)));
  }

  ofEvent(event: ControlEvent): Uint8Array {
    return encoder.encode(this.#text.ofEvent(event));
  }
}

/** Server-sent events. */
export class ServerSentEvents implements Encoding<Uint8Array> {
  readonly #known = new WeakMap<Run, Uint8Array>();
  /** Apart, because the ids of subscriptions to several topics are times. */
  readonly #knownOfSeveral = new WeakMap<Run, Uint8Array>();
  readonly #budget: TurnBudget;

  /** Makes them at the expense of a budget. */
  constructor(budget: TurnBudget) {
    this.#budget = budget;
  }

  ofRun(run: Run, subscription: Subscription): Uint8Array {
    const known = subscription.several ? this.#knownOfSeveral : this.#known;
    return remembered(known, run, () => {
      let events = "";
      for (const message of run.messages) events += encodeSse(message, subscription.cursorOf(message));
      return encoder.encode(events);
    }, this.#budget);
  }

  ofEvent(event: ControlEvent): Uint8Array {
    return encoder.encode(encodeSseEvent(event));
  }
}

function remembered<T>(known: WeakMap<Run, T>, run: Run, make: () => T, budget?: TurnBudget): T {
  let made = known.get(run);
  if (made === undefined) {
    known.set(run, made = make());
    budget?.spend(run.bytes);
  }
  return made;
}
