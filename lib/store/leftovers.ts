/**
 * What means nothing any more in a journal, and is deleted when there is time.
 *
 * @module
 */

import type { EntryPlace, JournalTopic } from "./journal_topic.ts";
import type { Statements } from "./statements.ts";

/** What is deleted in one transaction, at most. */
const MAX_ROWS = 256;
const MAX_BYTES = 1024 ** 2;

/** Rows of topics and groups that are gone, and entries without messages. */
export class Leftovers {
  /** Entries. */
  readonly entries: EntryPlace[] = [];
  /** The numbers of groups. Each may have messages that it was not done with. */
  readonly groups: number[] = [];
  /** The numbers of messages that were to be appended later. */
  readonly scheduled: number[] = [];
  /** The numbers of the rows of holes. */
  readonly holes: number[] = [];

  /** Whether there is nothing to delete. */
  get isEmpty(): boolean {
    return this.entries.length + this.groups.length + this.scheduled.length + this.holes.length === 0;
  }

  /** Adds all that a topic had. */
  addAllOf({ entries, groups, scheduled, holeRows }: JournalTopic): void {
    for (const entry of entries) this.entries.push(entry);
    for (const group of groups.values()) this.groups.push(group);
    for (const each of scheduled.values()) this.scheduled.push(each);
    for (const row of holeRows) this.holes.push(row.number);
  }

  /**
   * Deletes a bounded part, in a transaction; once that is done, `after` takes it out here. Returns how many of it are
   * entries.
   */
  deleteSome(statements: Statements, after: (() => void)[]): number {
    const count = this.#deleteEntries(statements);
    after.push(() => this.entries.splice(0, count));
    for (const number of this.scheduled.slice(0, MAX_ROWS)) statements.deleteScheduled.run(number);
    after.push(() => this.scheduled.splice(0, MAX_ROWS));
    for (const number of this.holes.slice(0, MAX_ROWS)) statements.deleteHole.run(number);
    after.push(() => this.holes.splice(0, MAX_ROWS));
    const [group] = this.groups;
    if (group !== undefined) {
      statements.deleteGroup.run(group);
      const { changes } = statements.deleteUnackedOf.run(group, MAX_ROWS);
      if (Number(changes) < MAX_ROWS) after.push(() => this.groups.shift());
    }
    return count;
  }

  /** Deletes the first entries, those that lie together in one go; returns how many. */
  #deleteEntries({ deleteEntries }: Statements): number {
    let bytes = 0;
    let count = 0;
    while (count < Math.min(this.entries.length, MAX_ROWS) && bytes < MAX_BYTES) {
      bytes += this.entries[count++]!.bodyBytes;
    }
    const seqs = this.entries.slice(0, count).map(({ seq }) => seq).sort((a, b) => a - b);
    for (let start = 0; start < count;) {
      let end = start + 1;
      while (end < count && seqs[end] === seqs[end - 1]! + 1) end++;
      deleteEntries.run(seqs[start]!, seqs[end - 1]!);
      start = end;
    }
    return count;
  }
}
