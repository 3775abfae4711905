/**
 * Who is told of what: the subscribers of each topic, and the bell that rings once a turn.
 *
 * @module
 */

import type { Audience } from "./audience.ts";
import type { Clock } from "./clock.ts";
import { PatternTree } from "./pattern_tree.ts";
import type { Subscriber } from "./subscription.ts";
import type { Topic } from "./topic.ts";

/** Keeps the subscribers of a bus by what they subscribe to, because they may come before their topics do. */
export class Fanout {
  readonly #clock: Clock;
  readonly #onRing: (topic: Topic) => void;
  readonly #tree = new PatternTree<Subscriber>();
  readonly #subscribers = new Set<Subscriber>();
  /** Those of them that have listed several names or patterns. */
  readonly #listers = new Set<Subscriber>();
  /** The topics that have something new since the bell rang. */
  #dirty: Topic[] = [];
  /** The topics whose subscribers have heard what is new since the bell rang. */
  #heard: Topic[] = [];
  /** The subscribers that are to be told, each once. */
  #called: Subscriber[] = [];
  #ringing = false;

  /** Makes a fan-out without subscribers; `onRing` is told of each topic that had something new for others than those. */
  constructor(clock: Clock, onRing: (topic: Topic) => void) {
    this.#clock = clock;
    this.#onRing = onRing;
  }

  /** How many subscribers there are. */
  get size(): number {
    return this.#subscribers.size;
  }

  /** All subscribers. */
  all(): Subscriber[] {
    return [...this.#subscribers];
  }

  /** Adds a subscriber, whose bell rings at the end of this turn. */
  add(subscriber: Subscriber): void {
    this.#subscribers.add(subscriber);
    if (subscriber.pattern.items.length > 1) this.#listers.add(subscriber);
    for (const item of subscriber.pattern.items) this.#tree.add(item, subscriber);
    if (subscriber.toRing()) this.call(subscriber);
  }

  /** Removes a subscriber. Returns whether it was there. */
  remove(subscriber: Subscriber): boolean {
    if (!this.#subscribers.delete(subscriber)) return false;
    this.#listers.delete(subscriber);
    for (const item of subscriber.pattern.items) this.#tree.remove(item, subscriber);
    return true;
  }

  /** Introduces a topic that is about to get its first message to those who have waited for it. */
  introduce(topic: Topic): void {
    for (const subscribers of this.#audienceOf(topic)) {
      for (const subscriber of subscribers) subscriber.introduce(topic);
    }
  }

  /** Tells those who read a deleted topic among others, at the end of this turn; returns those who read no other. */
  forget(topic: Topic): Subscriber[] {
    const only: Subscriber[] = [];
    for (const subscriber of this.#listenersOf(topic)) {
      if (!subscriber.several) only.push(subscriber);
      else if (subscriber.forget(topic)) this.call(subscriber);
    }
    return only;
  }

  /** How many subscribers a topic has. */
  countOf(topic: Topic): number {
    const audience = this.#audienceOf(topic);
    if (audience.length < 2) return audience[0]?.size ?? 0;
    let count = audience.reduce((sum, subscribers) => sum + subscribers.size, 0);
    // Who lists several may have listed this topic twice, and counts once.
    for (const lister of this.#listers) {
      const times = audience.filter((subscribers) => subscribers.has(lister)).length;
      if (times > 1) count -= times - 1;
    }
    return count;
  }

  /** Whether somebody has subscribed to a topic by its name. */
  isNamed(topic: Topic): boolean {
    return this.#tree.at(topic.info.name) !== undefined;
  }

  /**
   * Tells the subscribers of a topic, at the end of this turn of the event loop, of what is new from the message `from`
   * on, which was created at `createdMs`.
   */
  ringLater(topic: Topic, from: number, createdMs: number): void {
    if (!topic.audience.note(from, createdMs)) return;
    this.#dirty.push(topic);
    this.#arm();
  }

  /** Whether anybody would be told of something new in a topic. */
  hasAudience(topic: Topic): boolean {
    return this.#subscribers.size > 0 && this.#audienceOf(topic).length > 0;
  }

  /** Lets everybody hear now of what is new. Their bells ring at the end of this turn. */
  spread(): void {
    if (this.#dirty.length === 0) return;
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const topic of dirty) {
      this.#heard.push(topic);
      const { from, createdMs } = topic.audience.hear();
      if (topic.cleared) continue;
      for (const subscribers of this.#audienceOf(topic)) {
        for (const subscriber of subscribers) {
          if (subscriber.hear(topic, from, createdMs)) this.#called.push(subscriber);
        }
      }
    }
  }

  /** Tells everybody now what they are to be told at the end of this turn. */
  ring(): void {
    // All before anybody is told: who leaves and comes again meanwhile would be told for ever.
    this.spread();
    const called = this.#called;
    const heard = this.#heard;
    this.#called = [];
    this.#heard = [];
    for (const subscriber of called) subscriber.wake();
    for (const topic of heard) this.#onRing(topic);
  }

  /** Rings the bell of a subscriber at the end of this turn. */
  call(subscriber: Subscriber): void {
    this.#called.push(subscriber);
    this.#arm();
  }

  #arm(): void {
    if (this.#ringing) return;
    this.#ringing = true;
    this.#clock.defer(() => {
      this.#ringing = false;
      this.ring();
    });
  }

  /** The subscribers of a topic, each once. */
  #listenersOf(topic: Topic): Set<Subscriber> {
    return new Set(this.#audienceOf(topic).flatMap((subscribers) => [...subscribers]));
  }

  #audienceOf(topic: Topic): readonly ReadonlySet<Subscriber>[] {
    // Nobody else fills it.
    const audience = topic.audience as Audience<Subscriber>;
    const { version } = this.#tree;
    if (audience.version !== version) {
      audience.listeners = this.#tree.matching(topic.info.name);
      audience.version = version;
    }
    return audience.listeners;
  }
}
