/**
 * A store that answers at once and keeps everything.
 *
 * @module
 */

import type { Append, DelayedMessage, Dropped, GroupChange, Store, Stored } from "../../lib/bus/store.ts";
import type { BusError } from "../../lib/errors.ts";
import type { MessageInit, TopicInfo } from "../../lib/message.ts";
import { RemoteLog } from "./remote_store.ts";

/** Keeps what it is told in a log, which outlives it. */
export class KeptStore implements Store {
  readonly durability = "synced";
  readonly synchronous = true;
  readonly readsBack = true;
  refusal: BusError | undefined = undefined;
  /** What it keeps. */
  readonly log: RemoteLog;

  /** Makes the one of a new process. */
  constructor(log: RemoteLog = new RemoteLog(0)) {
    this.log = log;
  }

  open(): Stored {
    return this.log.join();
  }

  read(topic: TopicInfo, { first, last }: { first: number; last: number }): Promise<readonly MessageInit[]> {
    return Promise.resolve(this.log.read(topic, first, last));
  }

  append(append: Append): number {
    return this.log.append(undefined, append);
  }

  note(topic: TopicInfo, change: GroupChange): void {
    this.log.note(topic, change);
  }

  forget(topic: TopicInfo, group: string): void {
    this.log.forget(topic, group);
  }

  delay(message: DelayedMessage): void {
    this.log.delay(undefined, message);
  }

  cancel(topic: TopicInfo, token: string): void {
    this.log.cancel(topic, token);
  }

  drop(topic: TopicInfo, dropped: Dropped): void {
    this.log.drop(topic, dropped);
  }

  remove(topic: TopicInfo, newestMs: number): void {
    this.log.remove(undefined, topic, newestMs);
  }

  close(): void {}
}
