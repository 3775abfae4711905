/**
 * Dead letters: messages that were handed out as often as allowed and never acknowledged. They move to a topic of their
 * own, with their story in headers.
 *
 * @module
 */

import { withServerHeaders } from "../attributes.ts";
import type { Message } from "../message.ts";
import { isTopicName } from "../topic_name.ts";
import { formatDuration } from "../wire/duration.ts";
import type { Clock } from "./clock.ts";
import type { Group } from "./group.ts";
import type { Intake } from "./intake.ts";
import type { Item } from "./item.ts";
import type { Pager } from "./pager.ts";

/** What {@linkcode DeadLetters} work with. */
export interface DeadLettersParts {
  readonly clock: Clock;
  readonly intake: Intake;
  /** Tells the store of what has changed in a group; settles when that has learnt of it. */
  readonly tell: (group: Group) => void | Promise<void>;
  readonly pager: Pager;
}

interface Grave {
  readonly item: Item;
  readonly message: Message;
}

/** How long dead letters are kept, in milliseconds. */
export const DEAD_TTL_MS = 7 * 86_400_000;
const RETRY_MS = 1000;
/** How many are moved in a turn of the event loop. */
const MAX_PER_TURN = 1000;
const DEAD_SEGMENT = "-dead";

/** The topic of the dead letters of a topic; `undefined` for one that has none: such a topic, and too long a name. */
export function deadTopicOf(topic: string): string | undefined {
  if (isDeadTopic(topic)) return undefined;
  const name = `${topic}/${DEAD_SEGMENT}`;
  return isTopicName(name) ? name : undefined;
}

/** Whether a topic is one of dead letters. */
export function isDeadTopic(topic: string): boolean {
  return topic.endsWith(`/${DEAD_SEGMENT}`);
}

/** Moves messages that have had all their attempts. */
export class DeadLetters {
  readonly #parts: DeadLettersParts;
  #graves: Grave[] = [];
  #armed = false;
  /** How many may be moved in this turn. */
  #left = MAX_PER_TURN;
  #moved = 0;

  /** Makes one that has moved none. */
  constructor(parts: DeadLettersParts) {
    this.#parts = parts;
  }

  /** How many were moved. */
  get moved(): number {
    return this.#moved;
  }

  /**
   * Moves a message soon: its topic is in the middle of something. If it has to be read for that, the store is asked now,
   * because the message may be about to leave its log.
   */
  bury(item: Item): void {
    const { group: { topic }, id } = item;
    const message = topic.log.get(id);
    if (message !== undefined) return this.#dig(item, message);
    const retry = () => this.#retry(item);
    this.#parts.pager.read(topic, id).then((found) => {
      if (found === undefined) return retry();
      this.#dig(item, found);
      this.flush();
    }, retry);
  }

  #dig(item: Item, message: Message): void {
    this.#graves.push({ item, message });
    this.#arm();
  }

  /** Tries that later; what is gone must not come back for its next attempt. */
  #retry(item: Item): void {
    if (!isGone(item.group)) item.group.retry(item, this.#parts.clock.now() + RETRY_MS);
  }

  /** Moves now what is to be moved soon; of very many, what is left of this turn's share. */
  flush(): void {
    this.#move(this.#left);
  }

  /** Moves everything now. */
  flushAll(): void {
    this.#move(Infinity);
  }

  #arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    this.#parts.clock.defer(() => {
      this.#armed = false;
      this.#left = MAX_PER_TURN;
      this.flush();
    });
  }

  #move(max: number): void {
    if (this.#graves.length === 0) return;
    let count = 0;
    // Moving one may drop others, which are to be moved then.
    for (; count < max && count < this.#graves.length; count++) this.#moveOne(this.#graves[count]!);
    this.#graves = this.#graves.slice(count);
    this.#left -= count;
    this.#arm();
  }

  /** One that can't be moved is not lost: that is tried again, as long as the message is retained. */
  #moveOne({ item, message }: Grave): void {
    const { group } = item;
    const { topic } = group;
    if (isGone(group)) return;
    const retry = () => this.#retry(item);
    // The store must not be told of a group of what it is removing.
    if (topic.removal !== undefined) return retry();
    let answer: void | Promise<void>;
    try {
      // Before that: what it says of the message must not come after this, which says that it is done. What it refuses it
      // learns with the next change.
      this.#parts.tell(group)?.catch(() => {});
      answer = this.#parts.intake.appendReserved(deadTopicOf(topic.info.name)!, {
        topicTtlMs: DEAD_TTL_MS,
        // Not the buffer that it may share with messages that are gone long before it.
        payload: message.payload.slice(),
        attributes: withServerHeaders(message.attributes, storyOf(item, message)),
        settles: { topic: topic.info, change: group.untold.bury(item) },
      });
    } catch {
      return retry();
    }
    const finish = () => {
      this.#moved++;
      if (!isGone(group)) group.finish(item);
    };
    if (answer === undefined) finish();
    else answer.then(finish, retry);
  }
}

/** Whether a group, or its topic, was deleted or forgotten; there may be another one of its name. */
function isGone(group: Group): boolean {
  return group.topic.deleted || group.topic.groups.get(group.name) !== group;
}

function storyOf({ group, id, attempt, reason }: Item, { topic, createdMs, ttlMs }: Message): Record<string, string> {
  return {
    "msgbus-dead-topic": topic.name,
    "msgbus-dead-id": String(id),
    "msgbus-dead-epoch": topic.epoch,
    "msgbus-dead-group": group.name,
    "msgbus-dead-attempts": String(attempt),
    "msgbus-dead-reason": reason,
    "msgbus-dead-created": new Date(createdMs).toISOString(),
    // What its topic says doesn't hold for it.
    ...(ttlMs === topic.ttlMs ? {} : { "msgbus-dead-ttl": formatDuration(ttlMs) }),
  };
}
