/**
 * An entry of the journal: messages of one topic with consecutive ids that were committed together. Its head says what they
 * are without what is in them, and has a checksum; its body has the messages, each with a checksum of its own.
 *
 * @module
 */

import { crc32 } from "node:zlib";
import { ByteReader, ByteWriter } from "./bytes.ts";

/** The most messages in an entry. */
export const MAX_ENTRY_MESSAGES = 1024;
/** How large a body may become by another message. One that is larger has an entry for itself. */
export const MAX_BODY_BYTES = 64 * 1024;

/** What a head says of a message. */
export interface HeadItem {
  /** When it was created, in milliseconds since the Unix epoch. */
  readonly createdMs: number;
  /** How long it is kept, in milliseconds, if that is another time than its topic says. */
  readonly ttlMs: number | undefined;
  /** What it is counted for. */
  readonly bytes: number;
  /** How long its record in the body is. */
  readonly recordLength: number;
}

/** A head that was read. */
export interface Head {
  /** The place of the entry in the journal. */
  readonly seq: number;
  /** The number of its topic. */
  readonly topic: number;
  /** The id of its first message. */
  readonly firstId: number;
  /** Its messages. */
  readonly items: readonly HeadItem[];
}

const CHECKSUM_BYTES = 4;
const HAS_TTL = 1;
const heads = new ByteWriter();

/** Gathers an entry, message by message. */
export class EntryWriter {
  /** The number of its topic. */
  readonly topic: number;
  /** The id of its first message. */
  readonly firstId: number;
  readonly #body: ByteWriter;
  readonly #items: HeadItem[] = [];

  /** Begins one, whose body may have about so many bytes. */
  constructor(topic: number, firstId: number, bodyBytes: number = 0) {
    this.topic = topic;
    this.firstId = firstId;
    this.#body = new ByteWriter(bodyBytes);
  }

  /** How many messages it has. */
  get count(): number {
    return this.#items.length;
  }

  /** Whether a message of so many bytes belongs to the next entry. */
  isFullFor(bytes: number): boolean {
    return this.count >= MAX_ENTRY_MESSAGES || (this.count > 0 && this.#body.length + bytes > MAX_BODY_BYTES);
  }

  /** Adds the next message; its attributes are encoded. */
  add(attributes: Uint8Array, payload: Uint8Array, item: Omit<HeadItem, "recordLength">): void {
    const body = this.#body;
    const start = body.length;
    body.uint32(0);
    body.bytes(attributes);
    body.raw(payload);
    const id = this.firstId + this.count;
    body.patchUint32(start, checksumOf(body.from(start + CHECKSUM_BYTES), this.topic, id));
    this.#items.push({ ...item, recordLength: body.length - start });
  }

  /** Its body; valid until something is added. */
  get body(): Uint8Array<ArrayBuffer> {
    return this.#body.from(0);
  }

  /** Its head, as the entry of this place; valid until the next head is made. */
  head(seq: number): Uint8Array<ArrayBuffer> {
    const to = heads;
    to.cut();
    to.uint32(0);
    to.whole(seq);
    to.whole(this.topic);
    to.whole(this.firstId);
    to.whole(this.#items.length);
    let lastMs = 0;
    for (const { createdMs, ttlMs, bytes, recordLength } of this.#items) {
      to.byte(ttlMs === undefined ? 0 : HAS_TTL);
      const elapsedMs = createdMs - lastMs;
      // Their order is that of time; the journal doesn't rely on it.
      to.whole(elapsedMs < 0 ? -2 * elapsedMs - 1 : 2 * elapsedMs);
      if (ttlMs !== undefined) to.whole(ttlMs);
      to.whole(bytes);
      to.whole(recordLength);
      lastMs = createdMs;
    }
    to.patchUint32(0, crc32(to.from(CHECKSUM_BYTES)));
    return to.from(0);
  }
}

/**
 * Reads the next of several heads one after the other.
 *
 * @throws {RangeError} if it is damaged; where the next one begins is unknown then.
 */
export function readHead(from: ByteReader, bytes: Uint8Array): Head {
  const checksum = from.uint32();
  const start = from.at;
  const seq = from.whole();
  const topic = from.whole();
  const firstId = from.whole();
  const count = from.whole();
  if (count === 0 || count > MAX_ENTRY_MESSAGES) throw new RangeError(`Bad head: ${count} messages`);
  const items: HeadItem[] = [];
  let createdMs = 0;
  for (let n = 0; n < count; n++) {
    const has = from.byte();
    const elapsed = from.whole();
    createdMs += elapsed % 2 === 0 ? elapsed / 2 : -(elapsed + 1) / 2;
    const ttlMs = has & HAS_TTL ? from.whole() : undefined;
    items.push({ createdMs, ttlMs, bytes: from.whole(), recordLength: from.whole() });
  }
  if (crc32(bytes.subarray(start, from.at)) !== checksum) throw new RangeError("Bad head: its checksum differs");
  return { seq, topic, firstId, items };
}

/** Reads a head that is alone. Throws a `RangeError` if it is damaged. */
export function decodeHead(bytes: Uint8Array): Head {
  const from = new ByteReader(bytes);
  const head = readHead(from, bytes);
  if (!from.done) throw new RangeError("Bad head: too long");
  return head;
}

/** A message in a body. */
export interface EntryRecord {
  /** Its id. */
  readonly id: number;
  /** What the head says of it. */
  readonly item: HeadItem;
  /** Its attributes, encoded, and its payload; `undefined` if it is damaged. */
  readonly content: { readonly attributes: Uint8Array; readonly payload: Uint8Array } | undefined;
}

/** Reads the messages of a body from one id to another, both included, as far as it has them. */
export function readRecords(head: Head, body: Uint8Array, { first = 0, last = Infinity } = {}): EntryRecord[] {
  const records: EntryRecord[] = [];
  let id = head.firstId;
  let at = 0;
  for (const item of head.items) {
    if (id > last) break;
    const end = at + item.recordLength;
    if (id >= first) records.push({ id, item, content: contentOf(body.subarray(at, end), head.topic, id, item) });
    at = end;
    id++;
  }
  return records;
}

function contentOf(record: Uint8Array, topic: number, id: number, item: HeadItem): EntryRecord["content"] {
  if (record.length !== item.recordLength || record.length < CHECKSUM_BYTES) return undefined;
  const from = new ByteReader(record);
  const checksum = from.uint32();
  if (checksumOf(record.subarray(CHECKSUM_BYTES), topic, id) !== checksum) return undefined;
  const attributes = from.bytes();
  return { attributes, payload: from.raw(record.length - from.at) };
}

/** The checksum of a record: of what is in it and of where it belongs, so that none passes for another one. */
function checksumOf(content: Uint8Array, topic: number, id: number): number {
  return crc32(content, (Math.imul(topic, 0x9e37_79b1) ^ Math.floor(id / 2 ** 32) ^ id) >>> 0);
}
