/**
 * What msgbusd occupies when it retains as much as it may: small messages, large ones, and the one after the other.
 *
 * @module
 */

import { DEFAULT_LIMITS } from "../lib/bus/limits.ts";
import { Server } from "./server.ts";
import { formatSummary, formatTable, summarise, type Summary } from "./summary.ts";

/** How often to measure. */
export interface MemoryPlan {
  /** Rounds, each with servers of its own. */
  readonly rounds: number;
  /** Told what is going on. */
  readonly progress: (line: string) => void;
}

/** The memory of msgbusd in one state. */
export interface MemoryFigures {
  /** Which. */
  readonly title: string;
  /** What it occupies, in bytes; `undefined` where that can't be read. */
  readonly nowBytes: Summary | undefined;
  /** The most it has occupied on the way there. */
  readonly mostBytes: Summary | undefined;
}

const SMALL_BYTES = 100;
const SMALL_PER_REQUEST = 8192;
const LARGE = "x".repeat(1_000_000);
const LARGE_TOPICS = 16;
const LARGE_TIMES = 3;

const EMPTY = "empty";
const SMALL_ONLY = `full of messages of ${SMALL_BYTES} bytes`;
const LARGE_ONLY = "full of messages of 1 MB, three times over";
const BOTH = "the one, then the other";
/** The states, and what fills a server that has just been started. */
const STATES: Readonly<Record<string, (port: number) => Promise<void>>> = {
  [EMPTY]: async () => {},
  [SMALL_ONLY]: fillWithSmall,
  [LARGE_ONLY]: fillWithLarge,
  [BOTH]: async (port) => {
    await fillWithSmall(port);
    await fillWithLarge(port);
  },
};

/** Measures every state, on servers with their defaults but a time to live that outlasts the filling. */
export async function measureMemory({ rounds, progress }: MemoryPlan): Promise<MemoryFigures[]> {
  const figures: MemoryFigures[] = [];
  for (const [title, fill] of Object.entries(STATES)) {
    const found = [];
    for (let i = 1; i <= rounds; i++) {
      await using server = await Server.msgbusd("--ttl=10m");
      await fill(server.port);
      const memory = await server.memory();
      if (memory !== undefined) found.push(memory);
      progress(`memory, ${title}: ${i}/${rounds}`);
    }
    const summaryOf = (values: number[]) => values.length === 0 ? undefined : summarise(values);
    figures.push({
      title,
      nowBytes: summaryOf(found.map(({ nowBytes }) => nowBytes)),
      mostBytes: summaryOf(found.map(({ mostBytes }) => mostBytes)),
    });
  }
  return figures;
}

/** Fills topic after topic to its limit, until they retain as much as all may. */
async function fillWithSmall(port: number): Promise<void> {
  const lines = `${"x".repeat(SMALL_BYTES)}\n`.repeat(SMALL_PER_REQUEST);
  for (let topic = 0, bytes = 0; bytes < DEFAULT_LIMITS.maxMemoryBytes; topic++) {
    for (let count = 0; count < DEFAULT_LIMITS.maxMessages; count += SMALL_PER_REQUEST) {
      await publish(port, `small/${topic}?split=lines`, lines);
    }
    bytes += await retainedBytes(port, `small/${topic}`);
  }
}

/** Publishes several times as much as may be retained, to more topics than it takes. */
async function fillWithLarge(port: number): Promise<void> {
  const count = Math.ceil(LARGE_TIMES * DEFAULT_LIMITS.maxMemoryBytes / LARGE.length);
  for (let i = 0; i < count; i++) await publish(port, `large/${i % LARGE_TOPICS}`, LARGE);
}

async function publish(port: number, target: string, body: string): Promise<void> {
  const response = await fetch(`http://localhost:${port}/${target}`, { method: "POST", body });
  const text = await response.text();
  if (response.status !== 202) throw new Error(`Cannot publish to ${target}: ${text}`);
}

async function retainedBytes(port: number, topic: string): Promise<number> {
  const { headers } = await fetch(`http://localhost:${port}/${topic}`, { method: "HEAD" });
  return Number(headers.get("msgbus-bytes"));
}

/** Writes figures as a table. */
export function formatMemory(figures: readonly MemoryFigures[]): string {
  const formatMegabytes = (bytes: number) => String(Math.round(bytes / 1e6));
  return formatTable(
    ["resident memory of msgbusd, MB", "then", "at most until then"],
    figures.map(({ title, nowBytes, mostBytes }) => [
      title,
      formatSummary(nowBytes, formatMegabytes),
      formatSummary(mostBytes, formatMegabytes),
    ]),
  );
}
