/**
 * What the bus tells those who watch it: logs and metrics.
 *
 * @module
 */

import type { Gap } from "../event.ts";
import type { Message, TopicInfo } from "../message.ts";
import type { EndReason, Subscription } from "./subscription.ts";

/**
 * Why a message left its log; `redriven`: a dead letter was published to its topic again, `damaged`: the store could not
 * give it back.
 */
export type DropReason = "expired" | "limit" | "redriven" | "damaged";

/** Watches a bus. Called in the middle of its work: be quick, don't throw, don't call the bus. */
export interface Observer {
  /** A message was appended; `subscribers` are about to be told of it. */
  published?(message: Message, subscribers: number): void;
  /** A message of a topic was due and could not be published: that is tried again, a second later. */
  postponed?(topic: string, error: unknown): void;
  /** The queue of a topic was pulled; `message` is what it gave, if anything. */
  pulled?(topic: string, message: Message | undefined): void;
  /** A subscription took messages of a topic. */
  delivered?(topic: string, messages: number): void;
  /** A reader, of the queue or of a subscription, was told that messages are missing. */
  gap?(gap: Gap): void;
  /** A subscription began. */
  subscribed?(subscription: Subscription): void;
  /** A subscription ended. */
  unsubscribed?(subscription: Subscription, reason: EndReason): void;
  /** The machine's clock was set, by so many milliseconds. Nothing is due earlier or later for that. */
  clockSet?(ms: number): void;
  /** A message left its log before anybody deleted it. */
  dropped?(topic: TopicInfo, id: number, reason: DropReason): void;
}

/** An observer that tells all of these, in this order. A single one is returned as it is, and so costs nothing more. */
export function combineObservers(...observers: readonly Observer[]): Observer {
  return observers.length === 1 ? observers[0]! : new CombinedObserver(observers);
}

class CombinedObserver implements Required<Observer> {
  readonly #observers: readonly Observer[];

  constructor(observers: readonly Observer[]) {
    this.#observers = observers;
  }

  published(message: Message, subscribers: number): void {
    for (const observer of this.#observers) observer.published?.(message, subscribers);
  }

  postponed(topic: string, error: unknown): void {
    for (const observer of this.#observers) observer.postponed?.(topic, error);
  }

  pulled(topic: string, message: Message | undefined): void {
    for (const observer of this.#observers) observer.pulled?.(topic, message);
  }

  subscribed(subscription: Subscription): void {
    for (const observer of this.#observers) observer.subscribed?.(subscription);
  }

  unsubscribed(subscription: Subscription, reason: EndReason): void {
    for (const observer of this.#observers) observer.unsubscribed?.(subscription, reason);
  }

  delivered(topic: string, messages: number): void {
    for (const observer of this.#observers) observer.delivered?.(topic, messages);
  }

  clockSet(ms: number): void {
    for (const observer of this.#observers) observer.clockSet?.(ms);
  }

  gap(gap: Gap): void {
    for (const observer of this.#observers) observer.gap?.(gap);
  }

  dropped(topic: TopicInfo, id: number, reason: DropReason): void {
    for (const observer of this.#observers) observer.dropped?.(topic, id, reason);
  }
}
