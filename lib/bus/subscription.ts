/**
 * A subscription: a cursor that its reader moves, and a bell that rings when there is something to read.
 *
 * @module
 */

import type { Message, Position } from "../message.ts";
import type { Cursor } from "./cursor.ts";
import type { Topic } from "./topic.ts";

/** Why a subscription ended: its reader closed it, its topic was deleted, the bus ended, or its reader stood still. */
export type EndReason = "closed" | "deleted" | "drained" | "stalled";

/** Where a subscription begins and whom it tells. */
export interface SubscribeOptions {
  /**
   * The first message wanted: the next one to be published (`latest`, the default), the oldest retained one
   * (`earliest`), or a position. A position of another epoch, or beyond the end of the log, means `earliest`.
   * If the topic doesn't exist yet, its first message is the first one given, whatever is said here.
   */
  readonly since?: "latest" | "earliest" | Position;
  /** What logs call the reader, for example its address. Default: none. */
  readonly label?: string;
  /** Closes the subscription when it aborts. */
  readonly signal?: AbortSignal;
  /**
   * Called when there may be messages to {@linkcode Subscription.take}: once for all publishes of a turn of the event
   * loop, and once at the start if the log has some already.
   */
  readonly onReady?: (subscription: Subscription) => void;
  /** Called once when the subscription ends. What either function throws surfaces as an uncaught error. */
  readonly onEnd?: (subscription: Subscription, reason: EndReason) => void;
}

/**
 * The messages of one topic from a position on, each once, in the order of their ids. A reader that is slower than its
 * topic's publishers loses only what the topic's retention drops, and holds nobody up.
 *
 * Iterate it with `for await`, which closes it at the end; or have {@linkcode SubscribeOptions.onReady} called and
 * {@linkcode Subscription.take} messages until there are none.
 */
export interface Subscription extends AsyncIterable<Message>, Disposable {
  /** The canonical name of the topic. */
  readonly topic: string;
  /** See {@linkcode SubscribeOptions.label}. */
  readonly label: string;
  /** How many retained messages lie ahead. */
  readonly lag: number;
  /**
   * The next message without taking it, or `undefined` if there is none now. A subscription that ended because the bus
   * is shutting down still gives what the log retains.
   */
  peek(): Message | undefined;
  /** Takes the next message, or `undefined` if there is none now. */
  take(): Message | undefined;
  /** Ends the subscription; a second call does nothing. */
  close(): void;
}

/** What a {@linkcode Subscriber} needs of its bus. */
export interface SubscriberHost {
  /** Drops what has expired in a topic, before it is read. */
  expire(topic: Topic): void;
  /** Counts a message a subscriber took. */
  delivered(message: Message): void;
  /** Ends a subscriber that was closed by its reader. */
  unsubscribe(subscriber: Subscriber): void;
}

/** The bus's side of a {@linkcode Subscription}. */
export class Subscriber implements Subscription {
  readonly topic: string;
  readonly label: string;
  readonly #host: SubscriberHost;
  readonly #options: SubscribeOptions;
  #source: { topic: Topic; cursor: Cursor } | undefined;
  #ended = false;
  /** Those who wait for the bell. */
  #waiting: (() => void)[] = [];

  /** Makes a subscriber that waits for its topic to be made. */
  constructor(host: SubscriberHost, topic: string, options: SubscribeOptions) {
    this.#host = host;
    this.topic = topic;
    this.label = options.label ?? "";
    this.#options = options;
  }

  /** Gives it the topic it reads and its place there. */
  attach(topic: Topic, cursor: Cursor): void {
    this.#source = { topic, cursor };
  }

  /** Closes it when its signal aborts. */
  obey(signal: AbortSignal): void {
    if (signal.aborted) this.close();
    else signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  /** Rings the bell. */
  wake(): void {
    const { onReady } = this.#options;
    if (onReady !== undefined) surface(() => onReady(this));
    this.#ring();
  }

  /** Ends it; the bus has forgotten it already. */
  end(reason: EndReason): void {
    this.#ended = true;
    // The signal may outlive the subscription by far.
    this.#options.signal?.removeEventListener("abort", this.#onAbort);
    if (reason !== "drained") this.#source = undefined;
    const { onEnd } = this.#options;
    if (onEnd !== undefined) surface(() => onEnd(this, reason));
    this.#ring();
  }

  get lag(): number {
    if (this.#source === undefined || this.#source.topic.deleted) return 0;
    const { topic, cursor } = this.#source;
    this.#host.expire(topic);
    return cursor.lag(topic.log);
  }

  peek(): Message | undefined {
    if (this.#source === undefined || this.#source.topic.deleted) return undefined;
    const { topic, cursor } = this.#source;
    this.#host.expire(topic);
    return cursor.peek(topic.log);
  }

  take(): Message | undefined {
    const message = this.peek();
    if (message === undefined) return undefined;
    this.#source!.cursor.passOver(message);
    this.#host.delivered(message);
    return message;
  }

  close(): void {
    // One that ended when the bus drained can be read until it is closed.
    if (this.#ended) this.#source = undefined;
    else this.#host.unsubscribe(this);
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
