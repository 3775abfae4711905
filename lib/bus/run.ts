/**
 * Runs of messages: what readers are given, one object for all that are at the same position, so that what is made of it
 * (bytes in a wire format) can be made once for all of them.
 *
 * @module
 */

import type { Message, TopicInfo } from "../message.ts";
import { envelopeLength } from "../wire/json.ts";
import type { Clock } from "./clock.ts";
import type { Topic } from "./topic.ts";

/** How much a run has at most, in bytes of envelopes with a line end each, unless its only message has more. */
export const MAX_RUN_BYTES = 64 * 1024;
/** How many messages a run has at most. */
export const MAX_RUN_MESSAGES = 1000;

/** Messages of one topic with consecutive ids, at least one. */
export class Run {
  /** Tells a run from a `ControlEvent`. */
  readonly event = "messages";
  /** The topic. */
  readonly topic: TopicInfo;
  /** The messages, in the order of their ids. */
  readonly messages: readonly Message[];
  /** The length of their envelopes with a line end each, in bytes. */
  readonly bytes: number;
  #heads: Map<number, Run> | undefined;

  /** Makes a run of messages that have these bytes. */
  constructor(messages: readonly Message[], bytes: number) {
    this.topic = messages[0]!.topic;
    this.messages = messages;
    this.bytes = bytes;
  }

  /** The id after the last message. */
  get end(): number {
    return this.messages.at(-1)!.seq;
  }

  /** The part of it within limits; `undefined` if not even the first message is. The same object for the same part. */
  within(limits: { readonly maxBytes: number; readonly createdMs: number }): Run | undefined {
    const { maxBytes, createdMs } = limits;
    if (this.bytes <= maxBytes && this.messages.at(-1)!.createdMs <= createdMs) return this;
    let count = 0;
    let bytes = 0;
    for (const message of this.messages) {
      const more = lineLength(message);
      if (bytes + more > maxBytes || message.createdMs > createdMs) break;
      bytes += more;
      count++;
    }
    return count === 0 ? undefined : this.#head(count, bytes);
  }

  #head(count: number, bytes: number): Run {
    this.#heads ??= new Map();
    let head = this.#heads.get(count);
    if (head === undefined) this.#heads.set(count, head = new Run(this.messages.slice(0, count), bytes));
    return head;
  }
}

/** What a message is counted for in a run, in bytes. */
export function lineLength(message: Message): number {
  return envelopeLength(message.topic, message) + 1;
}

interface CachedRun {
  readonly run: Run;
  /** Whether it ended before its topic did, so that it would not get longer if the topic does. */
  readonly cut: boolean;
  /** See {@linkcode Log.cuts}: since then something in it may have been dropped. */
  readonly cuts: number;
}

/** The runs that are read in this turn of the event loop and the next, each made once. */
export class Runs {
  readonly #clock: Clock;
  readonly #byTopic = new Map<Topic, Map<number, CachedRun>>();

  /** Makes an empty cache. */
  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The run of a topic that begins with the retained message of id `first` and goes as far as a run may, or to a hole. */
  from(topic: Topic, first: number): Run {
    let runs = this.#byTopic.get(topic);
    if (runs === undefined) {
      if (this.#byTopic.size === 0) this.#clock.defer(() => this.#byTopic.clear());
      this.#byTopic.set(topic, runs = new Map());
    }
    const known = runs.get(first);
    const { next, cuts } = topic.log;
    if (known !== undefined && known.cuts === cuts && (known.cut || known.run.end === next)) return known.run;
    const run = runFrom(topic, first, MAX_RUN_MESSAGES);
    runs.set(first, { run, cut: run.end < next, cuts });
    return run;
  }
}

/** Makes the run that begins with the retained message of id `first`, of at most so many messages. */
export function runFrom({ log }: Topic, first: number, maxMessages: number): Run {
  const messages: Message[] = [];
  let bytes = 0;
  for (let id = first; messages.length < maxMessages; id++) {
    const message = log.get(id);
    if (message === undefined) break;
    const more = lineLength(message);
    if (messages.length > 0 && bytes + more > MAX_RUN_BYTES) break;
    bytes += more;
    messages.push(message);
  }
  return new Run(messages, bytes);
}
