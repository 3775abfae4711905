/**
 * Redriving: publishing dead letters to the topics they came from again.
 *
 * @module
 */

import type { Message } from "../message.ts";
import { canonicalTopicName } from "../topic_name.ts";
import type { Redriven } from "./answers.ts";
import type { Clock } from "./clock.ts";
import { deadTopicOf } from "./dead_letters.ts";
import type { Intake } from "./intake.ts";
import type { Pager } from "./pager.ts";
import type { Retention } from "./retention.ts";
import type { Topic } from "./topic.ts";
import type { TopicTable } from "./topic_table.ts";

/** What {@linkcode Redrives} work with. */
export interface RedrivesParts {
  readonly clock: Clock;
  readonly intake: Intake;
  readonly topics: TopicTable;
  readonly retention: Retention;
  readonly pager: Pager;
}

/** What is redriven. */
interface Asked {
  /** The topic that the letters came from. */
  readonly origin: string;
  /** Theirs. */
  readonly dead: Topic;
  /** Throws if the bus may not be used any more. */
  readonly assertOpen: () => void;
}

/** How many are published in a turn of the event loop. */
const MAX_PER_TURN = 1000;
/** How many may be on their way to the store, and how many bytes of payloads: they wait for the disk together. */
const MAX_TOGETHER = 256;
const MAX_BYTES_TOGETHER = 1024 ** 2;

/** Publishes dead letters again. */
export class Redrives {
  readonly #parts: RedrivesParts;
  #count = 0;
  /** Those that are on their way, by their cursors. */
  readonly #leaving = new Set<string>();

  /** Makes one that has published none. */
  constructor(parts: RedrivesParts) {
    this.#parts = parts;
  }

  /** How many dead letters were published again. */
  get count(): number {
    return this.#count;
  }

  /** See `MessageBus.redrive`; `assertOpen` throws if the bus may not be used any more. */
  async redrive(name: string, group: string | undefined, assertOpen: () => void): Promise<Redriven | undefined> {
    assertOpen();
    const { topics, retention, clock } = this.#parts;
    const origin = canonicalTopicName(name);
    const dead = topics.get(deadTopicOf(origin) ?? "");
    if (dead === undefined) return topics.get(origin) === undefined ? undefined : { redriven: 0, remaining: 0 };
    retention.expire(dead, clock.now());
    const ids = await this.#lettersOf(dead, (letter) => comesFrom(letter, origin, group));
    const { redriven, failure } = await this.#publish(ids, { origin, dead, assertOpen });
    // What was published is.
    if (redriven === 0 && failure !== undefined) throw failure.error;
    return { redriven, remaining: ids.filter((id) => dead.log.has(id)).length };
  }

  /** The ids of the retained dead letters that are wanted. */
  async #lettersOf(dead: Topic, isWanted: (letter: Message) => boolean): Promise<number[]> {
    const { log } = dead;
    const ids: number[] = [];
    // No further than now: what is redriven may come back.
    const end = log.next;
    for (let id = log.first; id < end; id = log.idFrom(id + 1)) {
      if (log.isCold(id)) await this.#parts.pager.warm(dead, id);
      const letter = log.get(id);
      if (letter !== undefined && isWanted(letter)) ids.push(id);
    }
    return ids;
  }

  /** Publishes letters in their order, many at a time, until one is refused. Settles when none is on its way. */
  async #publish(ids: readonly number[], asked: Asked): Promise<{ redriven: number; failure?: { error: unknown } }> {
    const { dead } = asked;
    const { clock, pager } = this.#parts;
    let redriven = 0;
    let failure: { readonly error: unknown } | undefined;
    let onTheirWay: Promise<void>[] = [];
    let bytes = 0;
    const arrival = async () => {
      await Promise.all(onTheirWay);
      onTheirWay = [];
      bytes = 0;
    };
    const done = () => void redriven++;
    const failed = (error: unknown) => void (failure ??= { error });
    for (let at = 0; at < ids.length && failure === undefined;) {
      const id = ids[at]!;
      try {
        if (at > 0 && at % MAX_PER_TURN === 0) await new Promise<void>((resolve) => clock.defer(resolve));
        if (dead.log.isCold(id)) await pager.warm(dead, id);
        // Somebody else may be at it, and it may be gone meanwhile.
        const letter = dead.deleted ? undefined : dead.log.get(id);
        if (letter !== undefined && !this.#leaving.has(letter.cursor)) {
          const answer = this.#publishOne(letter, asked);
          if (answer === undefined) done();
          else {
            onTheirWay.push(answer.then(done, failed));
            bytes += letter.payload.length;
          }
        }
        at++;
      } catch (error) {
        // What those on their way are counted for may be what it lacks.
        if (onTheirWay.length === 0) failed(error);
        else await arrival();
      }
      if (onTheirWay.length >= MAX_TOGETHER || bytes >= MAX_BYTES_TOGETHER) await arrival();
    }
    await arrival();
    return { redriven, failure };
  }

  /** Publishes a letter, which leaves its topic in the same step. */
  #publishOne(letter: Message, { origin, dead, assertOpen }: Asked): void | Promise<void> {
    assertOpen();
    const finish = () => {
      this.#parts.retention.takeOut(dead, letter.id, this.#parts.clock.now());
      this.#count++;
    };
    const answer = this.#parts.intake.appendAgain(origin, letter);
    if (answer === undefined) return finish();
    this.#leaving.add(letter.cursor);
    return answer.then(finish).finally(() => this.#leaving.delete(letter.cursor));
  }
}

function comesFrom({ headers }: Message, topic: string, group: string | undefined): boolean {
  return headers["msgbus-dead-topic"] === topic && (group === undefined || headers["msgbus-dead-group"] === group);
}
