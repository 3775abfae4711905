/**
 * What others do to the same store: another node of a replicated log has appended, or removed a topic.
 *
 * @module
 */

import type { TopicInfo } from "../message.ts";
import type { Clock } from "./clock.ts";
import type { Dedupe } from "./dedupe.ts";
import type { Delayed } from "./delayed.ts";
import { type Intake, receiptOf } from "./intake.ts";
import type { Retention } from "./retention.ts";
import type { Append, Durability, StoreListener } from "./store.ts";
import type { Topic } from "./topic.ts";
import type { TopicTable } from "./topic_table.ts";

/** What {@linkcode Others} work with. */
export interface OthersParts {
  readonly clock: Clock;
  readonly durability: Durability;
  readonly topics: TopicTable;
  readonly retention: Retention;
  readonly intake: Intake;
  readonly dedupe: Dedupe;
  readonly delayed: Delayed;
}

/** Listens to a store from before it is opened; what it is told before the bus has begun waits for that. */
export class Others implements StoreListener {
  #parts: OthersParts | undefined;
  #waiting: (() => void)[] = [];

  /** The bus has begun with what the store had kept. */
  begin(parts: OthersParts): void {
    this.#parts = parts;
    for (const tell of this.#waiting.splice(0)) tell();
  }

  appended(append: Append): void {
    if (this.#parts === undefined) this.#waiting.push(() => this.appended(append));
    else this.#parts.intake.accept(append);
  }

  removed(topic: TopicInfo): void {
    if (this.#parts === undefined) this.#waiting.push(() => this.removed(topic));
    else this.#parts.topics.remove(topic);
  }

  /** Sees to what follows from messages that somebody else has appended to a topic. */
  follow(topic: Topic, { expectedId: id, payloads: { length: count }, ...append }: Append): void {
    const { clock, durability, topics, retention, dedupe, delayed } = this.#parts!;
    const { idempotency, scheduled, drops, settles } = append;
    if (scheduled !== undefined) delayed.published(topic, scheduled);
    if (idempotency !== undefined) {
      dedupe.learn(topic, idempotency, receiptOf(topic.info, { id, count, durability, subscribers: 0 }));
    }
    const letters = sameAs(drops?.topic, topics);
    if (letters !== undefined) retention.takeOut(letters, drops!.id, clock.now());
    const group = sameAs(settles?.topic, topics)?.groups.get(settles!.change.group);
    for (const id of settles?.change.done ?? []) {
      const item = group?.items.get(id);
      if (item !== undefined) group!.finish(item);
    }
  }
}

/** The topic of the bus that a store means, not only one of the same name. */
function sameAs(info: TopicInfo | undefined, topics: TopicTable): Topic | undefined {
  const topic = info && topics.get(info.name);
  return topic?.info.epoch === info?.epoch ? topic : undefined;
}
