/**
 * Reading messages back from the entries of their topic.
 *
 * @module
 */

import { ByteWriter } from "./bytes.ts";
import { readRecords } from "./entries.ts";
import { isDamage } from "./journal_file.ts";
import type { JournalTopic } from "./journal_topic.ts";
import { Damage, headAt } from "./loading.ts";
import { writeMessage } from "./read_back.ts";
import type { Statements } from "./statements.ts";

/** What was read: the messages, as `decodeMessages` reads them, and which are damaged. */
export interface ReadMessages {
  readonly buffer: ArrayBuffer;
  readonly damaged: readonly number[];
}

/**
 * The messages of a topic from one id to another, both included. What left the log is left out, and so is what is damaged,
 * which is told. What goes wrong otherwise is thrown as it is.
 */
export function readMessages(
  topic: JournalTopic,
  { first, last }: { readonly first: number; readonly last: number },
  statements: Statements,
): ReadMessages {
  const { entries, holes } = topic;
  const ids = { first: Math.max(first, topic.first), last };
  const to = new ByteWriter();
  const damaged: number[] = [];
  for (let position = entries.positionOf(ids.first); position < entries.length; position++) {
    const place = entries.at(position);
    if (place === undefined) continue;
    if (place.firstId > ids.last) break;
    let records;
    try {
      const row = statements.readEntry.get(place.seq) as unknown as [Uint8Array, Uint8Array] | undefined;
      if (row === undefined) throw new Damage("an entry is missing");
      const head = headAt(place.seq, row[0]);
      if (head.topic !== topic.number || head.firstId !== place.firstId) throw new Damage("an entry is another one");
      records = readRecords(head, row[1], ids);
    } catch (error) {
      if (!isDamage(error)) throw error;
      const end = Math.min(ids.last + 1, place.firstId + place.count);
      for (let id = Math.max(ids.first, place.firstId); id < end; id++) if (!holes.has(id)) damaged.push(id);
      continue;
    }
    for (const { id, item: { createdMs, ttlMs }, content } of records) {
      if (holes.has(id)) continue;
      if (content === undefined) {
        damaged.push(id);
        continue;
      }
      writeMessage(to, { id, createdMs, ttlMs, ...content });
    }
  }
  return { buffer: to.finish(), damaged };
}
