/**
 * `msgbus bench`: measures a bus.
 *
 * @module
 */

import { machineClock } from "../../client/backoff.ts";
import { BusError, quote } from "../../errors.ts";
import { canonicalTopicName } from "../../topic_name.ts";
import { pluralOf } from "../../wire/count.ts";
import { formatSize, parseSize } from "../../wire/size.ts";
import { type Command, defineCommand } from "../command.ts";
import { countFlag } from "../count.ts";
import { durationFlag } from "../durations.ts";
import { EXIT } from "../exit.ts";
import { suggestion } from "../../suggestion.ts";
import type { ValueFlag } from "../flags.ts";
import { writeText } from "../io.ts";
import { Course } from "./course.ts";
import { type Figure, formatJson, formatTable, grouped } from "./figures.ts";
import { benchLatency, MIN_LATENCY_SIZE } from "./latency.ts";
import { ProgressBar } from "./progress_bar.ts";
import { benchPub } from "./pub.ts";
import { benchPull } from "./pull.ts";
import { benchSub } from "./sub.ts";
import type { Benchmark } from "./track.ts";

interface Kind {
  readonly run: Benchmark;
  /** The flags it has a use for, with their defaults. */
  readonly defaults: Readonly<Partial<Record<"connections" | "publishers" | "subscribers" | "batch" | "rate", number>>>;
}

const FULL_SPEED = Infinity;

const KINDS: Readonly<Record<string, Kind>> = {
  pub: { run: benchPub, defaults: { connections: 10, batch: 1, rate: FULL_SPEED } },
  sub: { run: benchSub, defaults: { publishers: 2, subscribers: 10, batch: 1, rate: FULL_SPEED } },
  pull: { run: benchPull, defaults: { connections: 10, batch: 1, rate: FULL_SPEED } },
  latency: { run: benchLatency, defaults: { connections: 100, subscribers: 1, rate: 100 } },
};

const MAX_SIZE = 64 * 1024 ** 2;
const MAX_WORKERS = 10_000;

function numberFlag(value: string, help: string, max: number): ValueFlag<number | undefined> {
  return {
    value,
    help,
    initial: undefined,
    wanted: `a whole number from 1 to ${max}`,
    read: (text) => /^[1-9][0-9]{0,8}$/.test(text) && Number(text) <= max ? Number(text) : undefined,
  };
}

/** `msgbus bench`. */
export const bench: Command = defineCommand({
  name: "bench",
  synopsis: "<pub|sub|pull|latency>",
  summary: "measure a bus",
  description: `  pub      how fast messages are published, each publisher waiting for its answer
  sub      how fast messages reach all subscribers, and how many they miss
  pull     how fast messages are taken from a queue that is kept filled
  latency  how long a message takes from the publish to its subscribers, at a steady rate

Measures the bus together with this client, which is one process and may be the slower of the two.
Uses a topic of its own under bench/ and deletes it at the end, also when it is interrupted; then
it prints what it has measured so far.`,
  examples: [
    "msgbus bench pub",
    "msgbus bench sub --subscribers 100 --size 1KiB",
    "msgbus bench pull --connections 50 --batch 100",
    "msgbus bench latency --rate 1000 --time 30s --json",
  ],
  flags: {
    time: durationFlag({ short: "t", help: "how long to measure (5s)", initial: undefined }),
    count: countFlag("end after N messages"),
    size: {
      value: "BYTES",
      help: "how large payloads are, such as 100 or 1KiB (100)",
      initial: undefined,
      wanted: `a size such as 1KiB, up to ${formatSize(MAX_SIZE)}`,
      read: (text: string): number | undefined => {
        const bytes = parseSize(text);
        return bytes !== undefined && bytes <= MAX_SIZE ? bytes : undefined;
      },
    },
    connections: numberFlag("N", "pub, pull, latency: how many requests at the same time (10; 10; 100)", MAX_WORKERS),
    publishers: numberFlag("N", "sub: how many publish at the same time (2)", MAX_WORKERS),
    subscribers: numberFlag("N", "sub, latency: how many subscribe (10; 1)", MAX_WORKERS),
    batch: numberFlag("N", "pub, sub, pull: how many messages a request has (1)", 1_000),
    rate: numberFlag("N", "messages a second (as many as can be; latency: 100)", 1_000_000),
    topic: {
      value: "TOPIC",
      help: "use this topic and don't delete it",
      initial: undefined,
      wanted: "the name of a topic",
      read: canonicalTopicName,
    },
    json: { help: "print the figures as a line of JSON", initial: false },
  },
  words: [1, 1],
  checkFirst: kindOf,
}, async ({ words: [word], values, client, io }) => {
  const { run, defaults } = kindOf(word!);
  const { time = 5_000, count, size = 100, json } = values;
  const topic = values.topic ?? `bench/${crypto.randomUUID().slice(0, 8)}`;
  for (const name of ["connections", "publishers", "subscribers", "batch", "rate"] as const) {
    if (values[name] !== undefined && defaults[name] === undefined) {
      throw new BusError("bad_option", `Bad --${name}: bench ${word} has no use for it; see msgbus help bench`);
    }
  }
  const settings = { ...defaults, ...definedOf(values) } as typeof defaults;
  const { connections, publishers, subscribers = 0, batch = 1, rate = FULL_SPEED } = settings;
  checkSize(word!, size, batch);

  using interruption = io.listenForInterrupt();
  const clock = machineClock;
  let done = 0;
  let figures: Figure[];
  try {
    using course = new Course({
      timeMs: time,
      count,
      rate: rate === FULL_SPEED ? undefined : rate,
      signal: interruption.signal,
      clock,
    });
    using _bar = new ProgressBar(io.terminal, clock, () => {
      const perSecond = done * 1000 / Math.max(1, course.elapsedMs);
      const counts = `${grouped(done)} ${pluralOf("message", done)}  ${grouped(perSecond)} a second`;
      return { fraction: course.fraction, text: `${word}  ${counts}` };
    });
    const setup = { size, batch, connections: connections ?? publishers ?? 1, subscribers };
    const found = await run({ ...setup, client, topic, course, clock, progress: (count) => void (done = count) });
    figures = [...describe(word!, topic, size, settings), measured(course.elapsedMs), ...found];
  } catch (error) {
    // What goes wrong now is of no interest any more.
    if (values.topic === undefined) await client.delete(topic).catch(() => {});
    throw error;
  }
  if (values.topic === undefined) await client.delete(topic);
  await writeText(io, json ? formatJson(figures) : formatTable(figures));
  return EXIT.done;
});

function kindOf(word: string): Kind {
  const kind = Object.hasOwn(KINDS, word) ? KINDS[word] : undefined;
  if (kind !== undefined) return kind;
  const meant = suggestion(word, Object.keys(KINDS));
  const hint = meant === undefined ? "" : `, did you mean ${meant}?`;
  throw new BusError("bad_option", `Unknown benchmark ${quote(word)}${hint}; see msgbus help bench`);
}

function checkSize(word: string, size: number, batch: number): void {
  const min = word === "latency" ? MIN_LATENCY_SIZE : batch > 1 ? 1 : 0;
  if (size >= min) return;
  throw new BusError("bad_option", `Bad --size "${size}": here it must be at least ${min}; see msgbus help bench`);
}

function definedOf(values: object): object {
  return Object.fromEntries(Object.entries(values).filter(([_, value]) => value !== undefined));
}

function describe(word: string, topic: string, size: number, settings: Kind["defaults"]): Figure[] {
  const { connections, publishers, subscribers, batch, rate } = settings;
  const set = { connections, publishers, subscribers, batch, rate: rate === FULL_SPEED ? undefined : rate };
  return [
    { name: "bench", label: "bench", value: word, unit: "" },
    { name: "topic", label: "topic", value: topic, unit: "" },
    { name: "size", label: "payload", value: size, unit: "B" },
    ...Object.entries(definedOf(set)).map(([name, value]): Figure => ({ name, label: name, value, unit: "" })),
  ];
}

function measured(ms: number): Figure {
  return { name: "ms", label: "time", value: ms, unit: "ms" };
}
