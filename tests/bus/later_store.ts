/**
 * A store that answers when a test says so.
 *
 * @module
 */

import type { Append, DelayedMessage, Dropped, Durability, GroupChange, Store, Stored } from "../../lib/bus/store.ts";
import { BusError } from "../../lib/errors.ts";
import type { MessageInit, TopicInfo } from "../../lib/message.ts";

interface Question {
  readonly name: string;
  readonly epoch: string;
  answer(): void;
  refuse(error: Error): void;
}

/** A store like a remote log: takes its time, assigns the ids itself, can refuse. Questions wait in their order. */
export class LaterStore implements Store {
  readonly durability: Durability = "synced";
  readonly synchronous: boolean = false;
  readonly readsBack: boolean = false;
  refusal: BusError | undefined = undefined;
  /** Whether it answers by itself, though later. */
  prompt: boolean;
  readonly #questions: Question[] = [];
  /** The messages of each topic, by its epoch. */
  readonly #logs = new Map<string, Uint8Array[]>();
  /** The messages to be appended later, by token. */
  readonly #delayed = new Map<string, DelayedMessage>();
  #closed = false;

  /** Makes an empty store, which answers by itself, though later, if `prompt`. */
  constructor({ prompt = false } = {}) {
    this.prompt = prompt;
  }

  open(): Stored {
    return { startedMs: Infinity, lastCreatedMs: 0, topics: [], gone: [], goneFromMs: Infinity };
  }

  read(_topic: TopicInfo, _ids: { readonly first: number; readonly last: number }): Promise<readonly MessageInit[]> {
    return Promise.resolve([]);
  }

  append({ topic, payloads, expectedId, exact, scheduled, settles }: Append): Promise<number> {
    const more = settles === undefined
      ? ""
      : `, ${settles.change.group} of ${settles.topic.name} has ${settles.change.done.join(" ")} done`;
    return this.ask(`append ${payloads.length} to ${topic.name}${more}`, topic, () => {
      let log = this.#logs.get(topic.epoch);
      const nextId = log?.length ?? 0;
      if (exact && nextId !== expectedId) {
        throw new BusError("seq_mismatch", `Cannot append at ${expectedId}: the next id is ${nextId}`);
      }
      if (scheduled !== undefined && !this.#delayed.delete(scheduled)) {
        throw new Error(`Nothing is called ${scheduled}`);
      }
      if (log === undefined) this.#logs.set(topic.epoch, log = []);
      return log.push(...payloads) - payloads.length;
    });
  }

  note(topic: TopicInfo, { group, next, unacked, done }: GroupChange): Promise<void> {
    const more = [...unacked.map(({ id, attempt }) => `${id} has ${attempt}`), ...done.map((id) => `${id} done`)];
    const name = group === "" ? topic.name : `${topic.name} ${group}`;
    return this.ask([`advance ${name} to ${next}`, ...more].join(", "), topic, () => {});
  }

  forget(topic: TopicInfo, group: string): Promise<void> {
    return this.ask(`forget ${topic.name} ${group}`, topic, () => {});
  }

  delay(message: DelayedMessage): Promise<void> {
    return this.ask(`delay for ${message.topic.name}`, message.topic, () => {
      if (this.#delayed.has(message.token)) throw new Error(`Two messages are called ${message.token}`);
      this.#delayed.set(message.token, message);
    });
  }

  cancel(topic: TopicInfo, token: string): Promise<void> {
    return this.ask(`cancel for ${topic.name}`, topic, () => {
      if (!this.#delayed.delete(token)) throw new Error(`Nothing is called ${token}`);
    });
  }

  drop(_topic: TopicInfo, _dropped: Dropped): void {}

  remove(topic: TopicInfo): Promise<void> | void {
    return this.ask(`remove ${topic.name}`, topic, () => {
      this.#logs.delete(topic.epoch);
      for (const [token, message] of this.#delayed) {
        if (message.topic.epoch === topic.epoch) this.#delayed.delete(token);
      }
    });
  }

  close(): void {
    this.#closed = true;
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /** What it was asked and hasn't answered. */
  get waiting(): string[] {
    return this.#questions.map((question) => question.name);
  }

  /** How many topics it keeps, and messages. */
  get kept(): { topics: number; messages: number } {
    return { topics: this.#logs.size, messages: [...this.#logs.values()].reduce((sum, log) => sum + log.length, 0) };
  }

  /** The payloads it keeps to be appended later, in the order in which they came. */
  get delayed(): string[] {
    return Array.from(this.#delayed.values(), ({ payload }) => new TextDecoder().decode(payload));
  }

  /**
   * Answers a question, if any: of the topic of the `n`th, the one that waits longest. What follows from it happens in
   * microtasks.
   */
  answerOne(n: number): boolean {
    const question = this.#takeOne(n);
    question?.answer();
    return question !== undefined;
  }

  /** Refuses a question, if any, in the same way. */
  refuseOne(n: number): boolean {
    const question = this.#takeOne(n);
    question?.refuse(new Error("the disk is full"));
    return question !== undefined;
  }

  #takeOne(n: number): Question | undefined {
    const epoch = this.#questions[n % this.#questions.length]?.epoch;
    const at = this.#questions.findIndex((question) => question.epoch === epoch);
    return at === -1 ? undefined : this.#questions.splice(at, 1)[0];
  }

  /** Answers the question that waits longest; what follows from it has happened when this resolves. */
  async answer(): Promise<void> {
    this.#questions.shift()!.answer();
    await settled();
  }

  /** Refuses the question that waits longest. */
  async refuse(message = "the disk is full"): Promise<void> {
    this.#questions.shift()!.refuse(new Error(message));
    await settled();
  }

  /** Answers everything that waits, without a pause in between. */
  async answerAll(): Promise<void> {
    for (const question of this.#questions.splice(0)) question.answer();
    await settled();
  }

  /** Asks a question of a topic, or of whatever else has an order of its own. */
  protected ask<T>(
    name: string,
    { epoch }: { readonly epoch: string },
    run: () => T,
    prompt = this.prompt,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      const answer = () => {
        try {
          resolve(run());
        } catch (error) {
          reject(error);
        }
      };
      const question: Question = { name, epoch, answer, refuse: reject };
      if (prompt) queueMicrotask(() => question.answer());
      else this.#questions.push(question);
    });
  }
}

/** Resolves when all promises that could settle by now have. */
function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
