/**
 * A subscription: a cursor that its reader moves, and a bell that rings when there is something to read.
 *
 * @module
 */

import type { ControlEvent } from "../event.ts";
import type { Message } from "../message.ts";
import type { TopicPattern } from "../topic_pattern.ts";
import type { Since } from "../wire/since.ts";
import type { Delivery, Feed, ReadLimits } from "./feed.ts";
import type { Appointment } from "./schedule.ts";
import type { Topic } from "./topic.ts";

/**
 * Why a subscription ended: its reader closed it, its only topic was deleted, the bus ended, or its reader stalled, see
 * {@linkcode SubscribeOptions.stallMs}.
 */
export type EndReason = "closed" | "deleted" | "drained" | "stalled";

/** Where a subscription begins and whom it tells. */
export interface SubscribeOptions {
  /**
   * The first message wanted; see {@linkcode Since}. A position is one of a single topic. If a topic doesn't exist yet,
   * its first message is the first one given, whatever is said here. Default `latest`.
   */
  readonly since?: Since;
  /** What logs call the reader, for example its address. Default: none. */
  readonly label?: string;
  /** Closes the subscription when it aborts. */
  readonly signal?: AbortSignal;
  /**
   * How long the reader may take nothing, in milliseconds, while there is something to take, before the subscription is
   * ended as `stalled`. Noticed up to a quarter of it late. Default: as long as it likes.
   */
  readonly stallMs?: number;
  /**
   * Called when there is something to read: at the end of the turn of the event loop in which the subscription began, and
   * then once for all publishes of a turn, but not again before the reader has read all there was.
   */
  readonly onReady?: (subscription: Subscription) => void;
  /** Called with the events between messages, when the reader comes to them by iteration or {@linkcode Subscription.take}. */
  readonly onEvent?: (event: ControlEvent) => void;
  /** Called once when the subscription ends. What any of these functions throws surfaces as an uncaught error. */
  readonly onEnd?: (subscription: Subscription, reason: EndReason) => void;
}

/**
 * The messages of one or several topics from a position on, each once, those of a topic in the order of their ids. A
 * reader that is slower than its topics' publishers loses only what retention drops, is told so by a `gap`, and holds
 * nobody up.
 *
 * Iterate it with `for await`, which closes it at the end; or have {@linkcode SubscribeOptions.onReady} called and
 * {@linkcode Subscription.take} or {@linkcode Subscription.read} until there is nothing.
 */
export interface Subscription extends AsyncIterable<Message>, Disposable {
  /** What it is to, in its one spelling, for example `orders` or `orders/*,audit`. */
  readonly topic: string;
  /** Whether it is to several topics, so that its cursors are times. */
  readonly several: boolean;
  /** See {@linkcode SubscribeOptions.label}. */
  readonly label: string;
  /** How many retained messages lie ahead. */
  readonly lag: number;
  /** The position after everything taken, which resumes it, also when it has ended: `<n>@<epoch>`, or `T…` on several topics. */
  readonly cursor: string;
  /** The position after the message it has given last; of messages given together, after each of them. */
  cursorOf(message: Message): string;
  /**
   * Takes messages of one topic, or an event between messages; `undefined` if there is nothing now, `full` if what is next
   * exceeds the limits. A subscription that ended because the bus is shutting down still gives what the log retains.
   */
  read(limits?: ReadLimits): Delivery | "full" | undefined;
  /** Takes the next message, or `undefined` if there is none now. Events before it go to {@linkcode SubscribeOptions.onEvent}. */
  take(): Message | undefined;
  /** Ends the subscription; a second call does nothing. */
  close(): void;
}

/** What a {@linkcode Subscriber} needs of its bus. */
export interface SubscriberHost {
  /** Counts what a subscriber has taken. */
  delivered(delivery: Delivery): void;
  /** Has the bell of a subscriber rung at the end of this turn. */
  call(subscriber: Subscriber): void;
  /** Ends a subscriber. */
  unsubscribe(subscriber: Subscriber, reason: EndReason): void;
  /** Looks after a subscriber every so often, until {@linkcode Subscriber.tend} says that this is not needed any more. */
  watch(subscriber: Subscriber, everyMs: number): Appointment;
  /** Ends that. */
  unwatch(appointment: Appointment): void;
}

const STALL_CHECKS = 4;
const ONE_MESSAGE: ReadLimits = { maxMessages: 1 };

/** The bus's side of a {@linkcode Subscription}. */
export class Subscriber implements Subscription {
  readonly pattern: TopicPattern;
  readonly label: string;
  readonly #host: SubscriberHost;
  readonly #options: SubscribeOptions;
  readonly #feed: Feed;
  #ended = false;
  /** Whether there is nothing to read any more. */
  #released = false;
  /** Whether the bell has rung, or is about to, and the reader has not read all there was since. */
  #rung = false;
  /** Whether the bell is to ring at the end of this turn. */
  #called = false;
  /** Those who wait for the bell. */
  #waiting: (() => void)[] = [];
  /** When a reader that has something to read is looked after next. */
  #watch: Appointment | undefined;
  #idleChecks = 0;

  /** Makes a subscriber that reads `feed`. */
  constructor(host: SubscriberHost, pattern: TopicPattern, feed: Feed, options: SubscribeOptions) {
    this.#host = host;
    this.pattern = pattern;
    this.label = options.label ?? "";
    this.#options = options;
    this.#feed = feed;
    feed.onLoaded = () => this.#loaded();
  }

  get topic(): string {
    return this.pattern.text;
  }

  get several(): boolean {
    return this.pattern.topic === undefined;
  }

  /** Closes it when its signal aborts. */
  obey(signal: AbortSignal): void {
    if (signal.aborted) this.close();
    else signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** See {@linkcode Feed.introduce}. */
  introduce(topic: Topic): void {
    this.#feed.introduce(topic);
  }

  /** See {@linkcode Feed.hear}. Returns whether its bell is to ring. */
  hear(topic: Topic, from: number, createdMs: number): boolean {
    // A reader that is behind in its only topic comes to it by itself. A thousand that are stuck are asked every turn.
    if (this.#rung && !this.several) return false;
    this.#feed.hear(topic, from, createdMs);
    return this.#feed.readable && this.toRing();
  }

  /** A topic it reads, one of several, was deleted. Returns whether its bell is to ring. */
  forget(topic: Topic): boolean {
    this.#feed.forget(topic);
    return this.toRing();
  }

  /** Notes that there is something to read. Returns whether its bell is to ring. */
  toRing(): boolean {
    if (this.#rung || this.#ended) return false;
    this.#rung = true;
    // One that has read everything since it was called is called already.
    if (this.#called) return false;
    return this.#called = true;
  }

  /** What it reads next, which had to be loaded, is there. */
  #loaded(): void {
    if (this.#feed.readable && this.toRing()) this.#host.call(this);
  }

  /** Rings the bell. */
  wake(): void {
    this.#called = false;
    // Somebody else who was told may have ended it.
    if (this.#ended) return;
    // Who reads without being told may have read all there was.
    this.#rung = this.#feed.readable;
    if (!this.#rung) return;
    const { onReady, stallMs } = this.#options;
    if (onReady !== undefined) surface(() => onReady(this));
    this.#ring();
    if (!this.#rung || this.#ended || stallMs === undefined || this.#watch !== undefined) return;
    this.#idleChecks = 0;
    this.#watch = this.#host.watch(this, stallMs / STALL_CHECKS);
  }

  /** Ends it if its reader has stalled. Returns whether it is to be looked after again. */
  tend(): boolean {
    if (!this.#rung) this.#unwatch();
    // One check more: the first may come right after the last read.
    else if (++this.#idleChecks > STALL_CHECKS) this.#host.unsubscribe(this, "stalled");
    return this.#watch !== undefined;
  }

  #unwatch(): void {
    if (this.#watch !== undefined) this.#host.unwatch(this.#watch);
    this.#watch = undefined;
  }

  /** Ends it; the bus has forgotten it already. */
  end(reason: EndReason): void {
    this.#ended = true;
    this.#unwatch();
    // The signal may outlive the subscription by far.
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    const { onEnd } = this.#options;
    if (onEnd !== undefined) surface(() => onEnd(this, reason));
    if (reason === "drained") this.#feed.finish();
    else this.#release();
    this.#ring();
  }

  #release(): void {
    if (!this.#released) this.#feed.release();
    this.#released = true;
  }

  get lag(): number {
    return this.#released ? 0 : this.#feed.lag;
  }

  get cursor(): string {
    return this.#feed.cursor;
  }

  cursorOf(message: Message): string {
    return this.#feed.cursorOf(message);
  }

  read(limits: ReadLimits = {}): Delivery | "full" | undefined {
    const delivery = this.#released ? undefined : this.#feed.read(limits);
    if (delivery !== undefined && delivery !== "full") {
      this.#idleChecks = 0;
      this.#host.delivered(delivery);
    }
    // Not only when there was nothing: who takes one message for each bell never asks whether there is more.
    if (delivery === undefined || !this.#feed.readable) this.#rung = false;
    return delivery;
  }

  take(): Message | undefined {
    for (;;) {
      const delivery = this.read(ONE_MESSAGE);
      if (delivery === undefined || delivery === "full") return undefined;
      if (delivery.event === "messages") return delivery.messages[0];
      const { onEvent } = this.#options;
      if (onEvent !== undefined) surface(() => onEvent(delivery));
    }
  }

  close(): void {
    // One that ended when the bus drained can be read until it is closed.
    if (this.#ended) this.#release();
    else this.#host.unsubscribe(this, "closed");
  }

  [Symbol.dispose](): void {
    this.close();
  }

  // Not a generator: its `return` would wait for a message before it closed the subscription.
  [Symbol.asyncIterator](): AsyncIterator<Message, undefined> {
    return {
      next: async () => {
        for (;;) {
          const value = this.take();
          if (value !== undefined) return { done: false, value };
          if (this.#ended) return { done: true, value: undefined };
          await new Promise<void>((resolve) => this.#waiting.push(resolve));
        }
      },
      return: () => {
        this.close();
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }

  readonly #onAbort = () => this.close();

  #ring(): void {
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

/** Calls a reader's function. What it throws is its own bug: reported as uncaught, it harms no other reader. */
function surface(call: () => void): void {
  try {
    call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
