/**
 * A history, sorted into what the verdicts ask for: publishes, logs, groups, and what happened to the server.
 *
 * @module
 */

import type { Entry, Line, Settings } from "./history.ts";

/** A message that somebody wanted to publish, with every attempt to. */
export interface Publish {
  readonly topic: string;
  readonly sha: string;
  /** Every call, in order. */
  readonly calls: Line[];
  /** Every answer that it is published. */
  readonly acks: Line[];
  /** Every refusal. */
  readonly refusals: Line[];
}

/** The log of a topic in one epoch, as far as clients know it. */
export interface Log {
  readonly topic: string;
  readonly epoch: string;
  /** By id, a line for each payload that it was said to have. */
  readonly messages: Map<number, Line[]>;
  /** By payload, the ids it was said to have, each with a line. */
  readonly ids: Map<string, Map<number, Line>>;
  /** What the last browse found. */
  readonly drained: Map<number, Line>;
  /** The highest id known. */
  last: number;
}

/** The last browse of a topic. */
export interface Drain {
  /** When it began. */
  t0: number;
  /** Its last line; `undefined` if it was cut off, and nothing follows from it. */
  end: Line | undefined;
  readonly gaps: Line[];
}

/** What was handed out of one message in one group, in the order of the answers. */
export interface Handouts {
  readonly topic: string;
  readonly epoch: string;
  readonly id: number;
  readonly key: string | undefined;
  readonly lines: Line[];
}

/** A group of a topic. */
export interface Group {
  readonly topic: string;
  readonly group: string;
  readonly messages: Map<string, Handouts>;
  /** Pulls and leases that came back empty. */
  readonly empty: Line[];
  /** Pulls and leases that nobody answered; what they took is unknown. */
  readonly unknown: Line[];
  /** The end of its last drain. */
  drained: Line | undefined;
}

/** When a server was gone, and when it was back. */
export interface Outage {
  readonly t0: number;
  /** `Infinity` if it never came back. */
  t1: number;
}

const READS: ReadonlySet<string> = new Set(["pull", "lease", "deliver", "browse", "drain"]);
const DEFAULTS: Settings = {
  durable: true,
  ttlMs: 0,
  maxMessages: 0,
  maxAttempts: 0,
  dedupeWindowMs: 120_000,
  clockErrorMs: 50,
};

/** See the module. Nothing here changes once it is made. */
export class IndexedHistory {
  readonly lines: readonly Line[];
  readonly settings: Settings;
  /** By topic, by digest. */
  readonly publishes: ReadonlyMap<string, ReadonlyMap<string, Publish>>;
  /** By topic, by epoch. */
  readonly logs: ReadonlyMap<string, ReadonlyMap<string, Log>>;
  readonly drains: ReadonlyMap<string, Drain>;
  readonly groups: readonly Group[];
  /** Acks, nacks and extends that may have counted, by token, in the order of their calls. */
  readonly settles: ReadonlyMap<string, readonly Line[]>;
  readonly outages: readonly Outage[];
  /** Deletes that may have happened, by topic. */
  readonly deletes: ReadonlyMap<string, readonly Line[]>;
  /** Every message that a client got. */
  readonly reads: readonly Line[];

  constructor(lines: readonly Line[]) {
    this.lines = lines;
    const index = new Indexing();
    for (const line of lines) index.add(line);
    index.finish();
    this.settings = { ...DEFAULTS, ...index.settings };
    this.publishes = index.publishes;
    this.logs = index.logs;
    this.drains = index.drains;
    this.groups = [...index.groups.values()].flatMap((groups) => [...groups.values()]);
    this.settles = index.settles;
    this.outages = index.outages;
    this.deletes = index.deletes;
    this.reads = index.reads;
  }

  /** Every publish. */
  *allPublishes(): Generator<Publish> {
    for (const ofTopic of this.publishes.values()) yield* ofTopic.values();
  }

  /** Every log. */
  *allLogs(): Generator<Log> {
    for (const ofTopic of this.logs.values()) yield* ofTopic.values();
  }

  /**
   * The earliest time at which the server that was asked at a time can have been gone; `Infinity` if it never was. One that
   * was told to end answers until it has.
   */
  goneAfter(t: number): number {
    const outage = this.outages[firstWhere(this.outages.length, (i) => this.outages[i]!.t1 >= t)];
    return outage === undefined ? Infinity : Math.max(outage.t0, t);
  }

  /** The latest time at which it can have been gone. */
  goneBy(t: number): number {
    return this.outages[firstWhere(this.outages.length, (i) => this.outages[i]!.t1 >= t)]?.t1 ?? Infinity;
  }

  /** When another one was there after what was answered at a time was forgotten; `Infinity` if it never was, for certain. */
  backAfter(t: number): number {
    return this.outages[firstWhere(this.outages.length, (i) => this.outages[i]!.t0 >= t)]?.t1 ?? Infinity;
  }
}

/** The first of `count` positions at which a condition holds that holds for all that follow; `count` if there is none. */
export function firstWhere(count: number, holds: (index: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The value of a key, made if there is none. */
export function valueOf<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, value = make());
  return value;
}

class Indexing {
  settings: Settings | undefined;
  readonly publishes = new Map<string, Map<string, Publish>>();
  readonly logs = new Map<string, Map<string, Log>>();
  readonly drains = new Map<string, Drain>();
  readonly groups = new Map<string, Map<string, Group>>();
  readonly settles = new Map<string, Line[]>();
  readonly outages: Outage[] = [];
  readonly deletes = new Map<string, Line[]>();
  readonly reads: Line[] = [];
  /** Calls that nobody has answered so far, by client. It has one at a time, of several tokens maybe. */
  readonly #open = new Map<string, Line[]>();
  /** The last call of each client that drains. */
  readonly #draining = new Map<string, number>();

  add(line: Line): void {
    if (line.outcome === "called") this.#addCall(line);
    else {
      this.#closeCalls(line);
      this.#addAnswer(line);
    }
  }

  finish(): void {
    // Nobody knows any more when these could still have had an effect.
    for (const calls of this.#open.values()) this.#giveUp(calls);
    for (const settles of this.settles.values()) settles.sort((a, b) => a.t0 - b.t0);
    for (const groups of this.groups.values()) {
      for (const { messages } of groups.values()) {
        for (const { lines } of messages.values()) lines.sort((a, b) => a.t1! - b.t1!);
      }
    }
    this.outages.sort((a, b) => a.t0 - b.t0);
  }

  #addCall(line: Line): void {
    if (line.op === "restart") this.outages.push({ t0: line.t0, t1: Infinity });
    if (line.op === "publish") this.#publish(line).calls.push(line);
    if (line.op === "drain" && line.group === undefined) {
      valueOf(this.drains, line.topic!, () => ({ t0: line.t0, end: undefined, gaps: [] })).end = undefined;
      this.#draining.set(line.client, line.t0);
    }
    if (line.op === "subscribe") return;
    const open = this.#open.get(line.client);
    if (open === undefined) this.#open.set(line.client, [line]);
    else if (open[0]?.t0 === line.t0 && open[0].op === line.op) open.push(line);
    else {
      this.#giveUp(open);
      this.#open.set(line.client, [line]);
    }
  }

  #closeCalls(line: Line): void {
    const open = this.#open.get(line.client);
    if (open === undefined || open[0]?.t0 !== line.t0) return;
    const others = open.filter((call) => call.op !== line.op || call.lease !== line.lease && call.op !== "lease");
    if (others.length === 0) this.#open.delete(line.client);
    else this.#open.set(line.client, others);
  }

  #giveUp(calls: readonly Line[]): void {
    for (const call of calls) this.#addAnswer({ ...call, outcome: "unknown", t1: Infinity });
  }

  #addAnswer(line: Line): void {
    if (READS.has(line.op) && line.outcome === "ok") this.#addRead(line);
    switch (line.op) {
      case "settings":
        this.settings = line.settings;
        break;
      case "publish":
        if (line.outcome === "ok" || line.outcome === "duplicate") {
          this.#publish(line).acks.push(line);
          this.#addMessage(line);
        } else if (line.outcome === "refused") this.#publish(line).refusals.push(line);
        break;
      case "pull":
      case "lease":
        this.#addTaken(line);
        break;
      case "ack":
      case "nack":
      case "extend":
        if (line.outcome === "ok" || line.outcome === "unknown") {
          valueOf(this.settles, line.lease!, () => []).push(line);
        }
        break;
      case "drain":
        if (line.outcome !== "end") break;
        if (line.group !== undefined) this.#group(line).drained = line;
        else valueOf(this.drains, line.topic!, () => ({ t0: line.t0, end: undefined, gaps: [] })).end = line;
        break;
      case "gap":
        if (this.#draining.get(line.client) === line.t0) this.drains.get(line.topic!)!.gaps.push(line);
        break;
      case "delete":
        if (line.outcome !== "refused") valueOf(this.deletes, line.topic!, () => []).push(line);
        break;
      case "restart": {
        const outage = this.outages.find(({ t0 }) => t0 === line.t0);
        if (outage !== undefined) outage.t1 = line.t1!;
        break;
      }
    }
  }

  #addTaken(line: Line): void {
    const group = this.#group(line);
    if (line.outcome === "empty") group.empty.push(line);
    if (line.outcome === "unknown") group.unknown.push(line);
    if (line.outcome !== "ok") return;
    const { topic, epoch, id, key } = line as Required<Entry>;
    valueOf(group.messages, `${epoch}#${id}`, () => ({ topic, epoch, id, key, lines: [] })).lines.push(line);
  }

  #addRead(line: Line): void {
    this.reads.push(line);
    const log = this.#addMessage(line);
    if (line.op === "drain") log.drained.set(line.id!, line);
  }

  /** Notes that an id was said to have a payload. */
  #addMessage(line: Line): Log {
    const { topic, epoch, id, sha } = line as Required<Entry>;
    const log = valueOf(
      valueOf(this.logs, topic, () => new Map<string, Log>()),
      epoch,
      (): Log => ({ topic, epoch, messages: new Map(), ids: new Map(), drained: new Map(), last: -1 }),
    );
    const said = valueOf(log.messages, id, (): Line[] => []);
    if (said.every((other) => other.sha !== sha)) said.push(line);
    const ids = valueOf(log.ids, sha, () => new Map<number, Line>());
    if (!ids.has(id)) ids.set(id, line);
    log.last = Math.max(log.last, id);
    return log;
  }

  #publish({ topic, sha }: Line): Publish {
    return valueOf(
      valueOf(this.publishes, topic!, () => new Map<string, Publish>()),
      sha!,
      () => ({ topic: topic!, sha: sha!, calls: [], acks: [], refusals: [] }),
    );
  }

  #group({ topic, group }: Line): Group {
    return valueOf(
      valueOf(this.groups, topic!, () => new Map<string, Group>()),
      group ?? "",
      () => ({
        topic: topic!,
        group: group ?? "",
        messages: new Map(),
        empty: [],
        unknown: [],
        drained: undefined,
      }),
    );
  }
}
