/**
 * What is done with a group from outside, and what follows from that in the rest of the bus.
 *
 * @module
 */

import type { Message } from "../message.ts";
import type { GroupStats } from "./answers.ts";
import type { Clock } from "./clock.ts";
import type { DeadLetters } from "./dead_letters.ts";
import { type Group, QUEUE } from "./group.ts";
import { assertGroupName, type Groups } from "./groups.ts";
import type { Queues } from "./queues.ts";
import type { Retention } from "./retention.ts";
import type { Store } from "./store.ts";
import type { TopicTable } from "./topic_table.ts";

/** What a {@linkcode GroupKeeper} works with. */
export interface GroupKeeperParts {
  readonly clock: Clock;
  readonly store: Store;
  readonly retention: Retention;
  readonly topics: TopicTable;
  readonly groups: Groups;
  readonly queues: Queues;
  readonly deadLetters: DeadLetters;
}

/** Ends what is over in groups, tells the store of them, shows and deletes them. */
export class GroupKeeper {
  readonly #parts: GroupKeeperParts;

  /** Makes the one of a bus. */
  constructor(parts: GroupKeeperParts) {
    this.#parts = parts;
  }

  /** Ends what is over in a group, and sees to what follows from that. */
  settle(group: Group, nowMs: number): void {
    this.#parts.retention.expire(group.topic, nowMs);
    group.settle(nowMs);
    this.#parts.deadLetters.flush();
  }

  /** Sees to what follows from a change of a group; settles when the store has learnt of that. */
  note(group: Group): void | Promise<void> {
    const { deadLetters, retention } = this.#parts;
    const told = this.tell(group);
    deadLetters.flush();
    retention.noteMoved(group.topic);
    return told;
  }

  /** Tells the store of what has changed in a group; settles when it has learnt of that. */
  tell(group: Group): void | Promise<void> {
    const { topic, untold } = group;
    if (topic.deleted) return undefined;
    // The store may be removing the topic with everything. Until it has, what is answered would be lost with the process:
    // the topic would be there again, without this change. If it refuses the removal, it learns of the change then.
    if (topic.removal !== undefined) return topic.removal.then(() => this.tell(group));
    const change = untold.take();
    if (change === undefined) return undefined;
    // Without what it has refused it would take a leased message for one that the group is done with.
    const refused = (error: unknown): never => {
      untold.takeBack(change);
      throw error;
    };
    let answer: void | Promise<void>;
    try {
      answer = this.#parts.store.note(topic.info, change);
    } catch (error) {
      return refused(error);
    }
    return answer?.catch(refused);
  }

  /** Tells the store everything that it wasn't told: what is not answered to anybody it may learn late. */
  tellAll(): void {
    for (const { groups } of this.#parts.topics.all()) {
      for (const group of groups.values()) {
        try {
          this.tell(group)?.catch(() => {});
        } catch {
          // What it refuses it would have lost as well in a crash.
        }
      }
    }
  }

  /** Gives back to a group what it has handed out and nobody gets. */
  putBack(group: Group, messages: readonly Message[]): void {
    if (group.topic.deleted || group.topic.groups.get(group.name) !== group) return;
    group.putBack(messages);
    this.#parts.retention.noteMoved(group.topic);
  }

  /** See `MessageBus.groups`. */
  list(topic: string | undefined): GroupStats[] {
    const { clock, topics, groups } = this.#parts;
    const nowMs = clock.now();
    const found = topic === undefined ? [...topics.all()] : [topics.find(topic)];
    return found.flatMap((each) => [...each?.groups.values() ?? []]).filter((group) => {
      this.settle(group, nowMs);
      return topic !== undefined || group.name !== QUEUE || group.hasLeased;
    }).map((group) => groups.statsOf(group, nowMs));
  }

  /** See `MessageBus.deleteGroup`. */
  async delete(topic: string, name: string): Promise<boolean> {
    assertGroupName(name);
    const { store, topics, groups, queues } = this.#parts;
    const group = topics.find(topic)?.groups.get(name);
    if (group === undefined) return false;
    if (store.refusal !== undefined) throw store.refusal;
    const forgotten = groups.delete(group);
    // Who waits for it makes it anew, now: not after the next message, which would not be new to it then.
    queues.wake(group);
    await forgotten;
    return true;
  }
}
