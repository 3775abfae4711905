/**
 * Paging: which messages are in memory, when the store gives back what it keeps and topics are larger than memory.
 *
 * @module
 */

import { Message } from "../message.ts";
import type { Clock } from "./clock.ts";
import type { Log, LogPages } from "./log.ts";
import type { ColdSegment, HotSegment } from "./segment.ts";
import type { Store } from "./store.ts";
import type { Topic } from "./topic.ts";

/** What a {@linkcode Pager} works with. */
export interface PagerParts {
  readonly clock: Clock;
  readonly store: Store;
  /** How many bytes of messages may be in memory. */
  readonly maxBytes: number;
  /** Told of a retained message that the store can't give back. */
  readonly onDamaged: (topic: Topic, id: number) => void;
}

interface Loading {
  readonly done: Promise<void>;
  /** Whether a reader waits for it. */
  isAwaited: boolean;
}

interface Loaded {
  readonly messages: readonly Message[];
  readonly isAwaited: boolean;
}

/** How much is read back at once, in bytes as messages are counted. */
const MAX_SEGMENT_BYTES = 512 * 1024;
/** How much of the memory a segment may have that is loaded before somebody asks for it. */
const AHEAD_SHARE = 1 / 8;

/**
 * Counts what is in memory. If the store reads back, it evicts what was not read for longest when that is too much (second
 * chance: what was looked at since it came up last is passed over once), and loads what is read again. The segment that is being
 * appended to stays, and so does for two turns of the event loop what somebody has waited for.
 */
export class Pager {
  /** Whether the store reads back. */
  readonly isOn: boolean;
  readonly #parts: PagerParts;
  readonly #pages: LogPages | undefined;
  /** What is in memory of logs, first what came, or was passed over, longest ago. */
  readonly #hot = new Map<HotSegment, Log>();
  readonly #loading = new Map<ColdSegment, Loading>();
  /** What was loaded for somebody who is about to read it. */
  #fresh: Set<HotSegment> = new Set();
  #bytes = 0;

  /** Makes one of a bus that has nothing. */
  constructor(parts: PagerParts) {
    const { store, maxBytes } = parts;
    this.#parts = parts;
    this.isOn = store.readsBack;
    if (!this.isOn) return;
    this.#pages = {
      // So that there are several, however little memory there is.
      maxSegmentBytes: Math.min(MAX_SEGMENT_BYTES, Math.max(maxBytes / 16, 1)),
      added: (log, segment) => this.#hot.set(segment, log),
      removed: (segment) => this.#hot.delete(segment),
    };
  }

  /** What logs are made with. */
  get pages(): LogPages | undefined {
    return this.#pages;
  }

  /** How many bytes of messages are in memory: what is retained, to be published later, or on its way to the store. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Counts what came into memory, or left it if it is less than 0. */
  count(bytes: number): void {
    this.#bytes += bytes;
    if (bytes > 0) this.#shrink();
  }

  /** Stops counting a topic. */
  leave({ log }: Topic): void {
    this.#bytes -= log.residentBytes;
    if (!this.isOn) return;
    for (const segment of log.hotSegments()) this.#hot.delete(segment);
  }

  /**
   * Loads what is needed to read a retained message, with what is next to it; however many ask, once. It may have left the
   * memory again when the promise is settled, and it may have left the log.
   *
   * @throws what the store says of a failed read; who asks again has it tried again.
   */
  load(topic: Topic, id: number): Promise<void> {
    const segment = topic.log.coldAt(id);
    if (segment === undefined) return Promise.resolve();
    const loading = this.#loading.get(segment) ?? this.#begin(topic, segment);
    loading.isAwaited = true;
    return loading.done;
  }

  /** Loads a message until it is in memory, or not retained any more. */
  async warm(topic: Topic, id: number): Promise<void> {
    while (!topic.deleted && topic.log.isCold(id)) await this.load(topic, id);
  }

  /** Loads what follows that with a retained message, if it isn't in memory: a reader is about to come to it. */
  ahead(topic: Topic, id: number): void {
    if (!this.isOn) return;
    const segment = topic.log.coldAfter(id);
    if (segment === undefined || this.#loading.has(segment)) return;
    if (segment.bytes > this.#parts.maxBytes * AHEAD_SHARE) return;
    // Who comes to it reads it again, and is told.
    this.#begin(topic, segment).done.catch(() => {});
  }

  /** Reads a message that is retained, or has left the log in this turn; `undefined` if it is damaged. */
  async read(topic: Topic, id: number): Promise<Message | undefined> {
    const [init] = await this.#parts.store.read(topic.info, { first: id, last: id });
    if (init !== undefined) return new Message(topic.info, init);
    this.#parts.onDamaged(topic, id);
  }

  #begin(topic: Topic, segment: ColdSegment): Loading {
    const put = (messages: readonly Message[]) => {
      this.#loading.delete(segment);
      // What is missing may just be removed with everything else.
      return topic.removal?.then(() => {}) ?? this.#put(topic, segment, { messages, isAwaited: loading.isAwaited });
    };
    const giveUp = (error: unknown) => {
      this.#loading.delete(segment);
      throw error;
    };
    const loading: Loading = { done: this.#read(topic, segment).then(put, giveUp), isAwaited: false };
    this.#loading.set(segment, loading);
    return loading;
  }

  async #read(topic: Topic, segment: ColdSegment): Promise<Message[]> {
    const ids = { first: segment.idAt(segment.start), last: segment.idAt(segment.end - 1) };
    return (await this.#parts.store.read(topic.info, ids)).map((init) => new Message(topic.info, init));
  }

  #put(topic: Topic, segment: ColdSegment, { messages, isAwaited }: Loaded): void {
    if (topic.deleted) return;
    this.#noteDamage(topic, segment, messages);
    const filled = topic.log.fill(segment, messages);
    if (filled === undefined) return;
    if (isAwaited) this.#keep(filled);
    this.count(filled.bytes);
  }

  /** Whatever should be in a segment and did not come back is damaged. */
  #noteDamage(topic: Topic, segment: ColdSegment, messages: readonly Message[]): void {
    const damaged: number[] = [];
    let at = 0;
    for (let slot = segment.start; slot < segment.end; slot++) {
      const id = segment.idAt(slot);
      while (at < messages.length && messages[at]!.id < id) at++;
      if (messages[at]?.id !== id) damaged.push(id);
    }
    for (const id of damaged) this.#parts.onDamaged(topic, id);
  }

  /** Keeps what somebody waited for until the end of the next turn: that is when subscribers are told. */
  #keep(segment: HotSegment): void {
    this.#fresh.add(segment);
    if (this.#fresh.size > 1) return;
    const { clock } = this.#parts;
    clock.defer(() =>
      clock.defer(() => {
        this.#fresh = new Set();
        this.#shrink();
      })
    );
  }

  /** Evicts until there is no more than may be. */
  #shrink(): void {
    if (!this.isOn || this.#bytes <= this.#parts.maxBytes) return;
    // Twice: what was looked at is passed over once.
    let looks = 2 * this.#hot.size;
    for (const [segment, log] of this.#hot) {
      if (looks-- === 0) return;
      if (segment.isUsed || this.#fresh.has(segment)) {
        segment.isUsed = false;
        this.#hot.delete(segment);
        this.#hot.set(segment, log);
      } else {
        const { bytes } = segment;
        log.evict(segment);
        this.#bytes -= bytes;
        if (this.#bytes <= this.#parts.maxBytes) return;
      }
    }
  }
}
