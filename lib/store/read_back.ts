/**
 * Messages that were read back, as bytes.
 *
 * @module
 */

import type { MessageInit } from "../message.ts";
import { ByteReader, type ByteWriter } from "./bytes.ts";
import { decodeAttributes } from "./changes.ts";

/** A message as the journal has it. */
export interface JournalMessage {
  readonly id: number;
  readonly createdMs: number;
  readonly ttlMs: number | undefined;
  /** In the form of `encodeAttributes`. */
  readonly attributes: Uint8Array;
  readonly payload: Uint8Array;
}

/** Writes a message behind others. */
export function writeMessage(to: ByteWriter, { id, createdMs, ttlMs, attributes, payload }: JournalMessage): void {
  to.whole(id);
  to.double(createdMs);
  to.byte(ttlMs === undefined ? 0 : 1);
  if (ttlMs !== undefined) to.double(ttlMs);
  to.bytes(attributes);
  to.bytes(payload);
}

/** Reads messages one after the other. Their payloads are parts of the buffer. */
export function decodeMessages(buffer: ArrayBuffer): MessageInit[] {
  const messages: MessageInit[] = [];
  const from = new ByteReader(new Uint8Array(buffer));
  while (!from.done) {
    const id = from.whole();
    const createdMs = from.double();
    const ttlMs = from.byte() === 0 ? undefined : from.double();
    const attributes = decodeAttributes(from.bytes());
    messages.push({ id, createdMs, ttlMs, attributes, payload: from.bytes() });
  }
  return messages;
}
