/**
 * The subscribers of a benchmark.
 *
 * @module
 */

import type { ClientSubscription } from "../../client/subscription.ts";
import type { ControlEvent } from "../../event.ts";
import type { Message } from "../../message.ts";
import type { Track } from "./track.ts";

// After the last message was published, and the last one received.
const PATIENCE_MS = 10_000;

/** Subscriptions to the topic of a benchmark that count what they get. */
export class Receivers implements AsyncDisposable {
  /** Messages received, by all of them together. */
  received = 0;
  /** Messages they were told to have missed. */
  missed = 0;
  readonly #track: Track;
  readonly #onMessage: (message: Message) => void;
  readonly #subscriptions: ClientSubscription[];
  readonly #reading: Promise<void>;
  /** The id each of them wants next. */
  readonly #next: number[] = [];
  #wanted = Infinity;
  #bell = Promise.withResolvers<void>();

  /** Subscribes. */
  constructor(track: Track, onMessage: (message: Message) => void) {
    this.#track = track;
    this.#onMessage = onMessage;
    const { client, topic, subscribers } = track;
    const options = (index: number) => ({ onEvent: (event: ControlEvent) => this.#noteEvent(index, event) });
    this.#subscriptions = Array.from({ length: subscribers }, (_, index) => {
      return client.subscribe(topic, { ...options(index), reconnect: false });
    });
    this.#reading = Promise.all(this.#subscriptions.map((_, index) => this.#read(index))).then(() => {});
    this.#reading.catch(() => track.course.stop());
  }

  /** Resolves when all have their connections. */
  async ready(): Promise<void> {
    await Promise.all(this.#subscriptions.map(({ ready }) => ready));
  }

  /** Resolves when all have got everything before the id `end`, or when nothing more comes. */
  async reach(end: number): Promise<void> {
    this.#wanted = end;
    let before = -1;
    while (!this.#isThere && this.received + this.missed > before) {
      before = this.received + this.missed;
      const timeout = Promise.withResolvers<void>();
      const cancel = this.#track.clock.schedule(timeout.resolve, PATIENCE_MS);
      while (!this.#isThere && await Promise.race([this.#rings(), this.#reading, timeout.promise.then(() => false)]));
      cancel();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const subscription of this.#subscriptions) subscription.close();
    await Promise.all(this.#subscriptions.map(({ closed }) => closed));
    await this.#reading.catch(() => {}); // thrown already, by those who waited for it
  }

  get #isThere(): boolean {
    return this.#subscriptions.every((_, index) => (this.#next[index] ?? 0) >= this.#wanted);
  }

  /** Resolves to whether it is worth another look. */
  #rings(): Promise<boolean> {
    this.#bell = Promise.withResolvers();
    return this.#bell.promise.then(() => true);
  }

  async #read(index: number): Promise<void> {
    for await (const message of this.#subscriptions[index]!) {
      this.received++;
      this.#next[index] = message.seq;
      this.#onMessage(message);
      if (message.seq >= this.#wanted) this.#bell.resolve();
    }
  }

  #noteEvent(index: number, event: ControlEvent): void {
    if (event.event !== "gap" || event.to === null) return;
    this.missed += event.to + 1 - (event.from ?? 0);
    this.#next[index] = event.to + 1;
    this.#bell.resolve();
  }
}
