/**
 * The topics that the journal knows, as far as changes are concerned: writing one changes them, which can be undone if it
 * does not get to the disk.
 *
 * @module
 */

import type { Append, DelayedMessage, Dropped, GroupChange } from "../bus/store.ts";
import { BusError, quote } from "../errors.ts";
import type { TopicInfo } from "../message.ts";
import type { ByteWriter } from "./bytes.ts";
import {
  writeAppend,
  writeCancel,
  writeDelay,
  writeDrop,
  writeForget,
  writeNote,
  writeRemove,
  writeTopic,
} from "./changes.ts";
import type { JournalContent } from "./loading.ts";

interface KnownTopic {
  readonly number: number;
  readonly info: TopicInfo;
  /** The id of the next message. */
  next: number;
  /** The tokens of what is to be appended later. */
  readonly scheduled: Set<string>;
}

/** Writes changes for the journal, with the numbers that it knows topics by, and takes note of what it knows then. */
export class KnownTopics {
  readonly #byEpoch = new Map<string, KnownTopic>();
  readonly #byName = new Map<string, KnownTopic>();
  #nextNumber = 1;
  #undo: (() => void)[] = [];

  /** Begins with what the journal has. */
  load({ topics, nextTopic }: JournalContent): void {
    this.#nextNumber = nextTopic;
    for (const { number, info, next, delayed } of topics) {
      this.#enter({ number, info, next, scheduled: new Set(delayed.map(({ token }) => token)) });
    }
  }

  /** The number of a topic; `undefined` if the journal doesn't know it. */
  readonly numberOf = (topic: TopicInfo): number | undefined => this.#byEpoch.get(topic.epoch)?.number;

  /** How many steps can be undone now. */
  get undoable(): number {
    return this.#undo.length;
  }

  /** Undoes the last steps, until no more than `downTo` can be undone. Default: all. */
  undo(downTo = 0): void {
    while (this.#undo.length > downTo) this.#undo.pop()!();
  }

  /** Begins anew: what was written so far can't be undone any more. */
  keep(): void {
    this.#undo = [];
  }

  /**
   * Writes an append; returns the id of its first message. Ids are assigned here: what was to come before may have been
   * refused.
   *
   * @throws {BusError} `seq_mismatch`, `no_scheduled`.
   */
  writeAppend(to: ByteWriter, append: Append): number {
    const { topic, expectedId, exact, payloads } = append;
    const next = this.#byEpoch.get(topic.epoch)?.next ?? 0;
    if (exact && expectedId !== next) {
      throw new BusError(
        "seq_mismatch",
        `Cannot append to ${quote(topic.name)} at ${expectedId}: the next id is ${next}`,
      );
    }
    if (append.scheduled !== undefined) this.#unschedule(topic, append.scheduled);
    const known = this.#know(to, topic);
    writeAppend(to, known.number, next, append, this.numberOf);
    known.next = next + payloads.length;
    this.#undo.push(() => known.next = next);
    return next;
  }

  /** Writes that a group of a topic has changed. */
  writeNote(to: ByteWriter, topic: TopicInfo, change: GroupChange): void {
    writeNote(to, this.#know(to, topic).number, change);
  }

  /** Writes that a group is to be forgotten; nothing if the journal doesn't know its topic. */
  writeForget(to: ByteWriter, topic: TopicInfo, group: string): void {
    const number = this.numberOf(topic);
    if (number !== undefined) writeForget(to, number, group);
  }

  /** Writes that a message is to be appended later. */
  writeDelay(to: ByteWriter, message: DelayedMessage): void {
    const { number, scheduled } = this.#know(to, message.topic);
    writeDelay(to, number, message);
    scheduled.add(message.token);
    this.#undo.push(() => scheduled.delete(message.token));
  }

  /**
   * Writes that a message is not to be appended later any more.
   *
   * @throws {BusError} `no_scheduled`: it isn't anyway.
   */
  writeCancel(to: ByteWriter, topic: TopicInfo, token: string): void {
    writeCancel(to, this.#unschedule(topic, token).number, token);
  }

  /** Writes what has left the logs of topics, those left out that the journal doesn't know. */
  writeDrops(to: ByteWriter, drops: Iterable<readonly [TopicInfo, Dropped]>): void {
    for (const [topic, dropped] of drops) {
      const number = this.numberOf(topic);
      if (number !== undefined) writeDrop(to, number, dropped);
    }
  }

  /** Writes that a topic is to be forgotten; nothing if the journal doesn't know it. */
  writeRemove(to: ByteWriter, topic: TopicInfo, newestMs: number): void {
    const known = this.#byEpoch.get(topic.epoch);
    if (known !== undefined) this.#remove(to, known, newestMs);
  }

  /** The topic as the journal knows it; it is told of it if it doesn't. */
  #know(to: ByteWriter, info: TopicInfo): KnownTopic {
    const known = this.#byEpoch.get(info.epoch);
    if (known !== undefined) return known;
    const other = this.#byName.get(info.name);
    // The bus forgets a topic that never had a message without a word.
    if (other !== undefined) this.#remove(to, other, -Infinity);
    const topic = { number: this.#nextNumber++, info, next: 0, scheduled: new Set<string>() };
    writeTopic(to, topic.number, info);
    this.#enter(topic);
    this.#undo.push(() => this.#leave(topic));
    return topic;
  }

  #remove(to: ByteWriter, topic: KnownTopic, newestMs: number): void {
    writeRemove(to, topic.number, newestMs);
    this.#leave(topic);
    this.#undo.push(() => this.#enter(topic));
  }

  /** Takes note that a message is not to be appended later any more. */
  #unschedule(topic: TopicInfo, token: string): KnownTopic {
    const known = this.#byEpoch.get(topic.epoch);
    if (known === undefined || !known.scheduled.delete(token)) {
      throw new BusError("no_scheduled", `Nothing in ${quote(topic.name)} is to be published later as ${quote(token)}`);
    }
    this.#undo.push(() => known.scheduled.add(token));
    return known;
  }

  #enter(topic: KnownTopic): void {
    this.#byEpoch.set(topic.info.epoch, topic);
    this.#byName.set(topic.info.name, topic);
  }

  #leave({ info: { epoch, name } }: KnownTopic): void {
    this.#byEpoch.delete(epoch);
    this.#byName.delete(name);
  }
}
