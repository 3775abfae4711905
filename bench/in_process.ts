/**
 * The bus without a network, one measurement in one process, so that none finds another's heap or another's compiled
 * code: `deno run bench/in_process.ts <name> [--quick]` prints nanoseconds for each round, as a JSON array.
 *
 * @module
 */

import { MessageBus } from "../lib/bus/bus.ts";
import { Message } from "../lib/message.ts";
import { encodeEnvelope } from "../lib/wire/json.ts";
import { formatNumber } from "./summary.ts";

/** One thing to measure. */
export interface InProcessBenchmark {
  /** What the table calls it. */
  readonly title: string;
  /** Operations in a round. */
  readonly operations: number;
  /** Sets up, and returns one round. */
  setUp(operations: number): () => void | Promise<void>;
}

const UNLIMITED = { maxMessages: Infinity, maxTopicBytes: Infinity, maxMemoryBytes: Infinity, ttlMs: 0 };
const QUEUE = 1_000_000;
const TOPIC = "bench";
const PAYLOAD = new Uint8Array(128).fill(0x78);
const TEXT = "x".repeat(128);
const PUTS_PER_TURN = 32;

/** What is measured, by name. */
export const IN_PROCESS: Readonly<Record<string, InProcessBenchmark>> = {
  "put": {
    title: "put on a queue of 1 000 000",
    operations: 200_000,
    setUp(operations) {
      const bus = busWith(QUEUE);
      return () => {
        for (let i = 0; i < operations; i++) bus.put(TOPIC, PAYLOAD);
      };
    },
  },
  "get": {
    title: "get from a queue of 1 000 000",
    operations: 200_000,
    setUp(operations) {
      const bus = busWith(QUEUE + (ROUNDS + WARM_UP_ROUNDS) * operations);
      return () => {
        for (let i = 0; i < operations; i++) bus.get(TOPIC);
      };
    },
  },
  "put-get": {
    title: "put and get on a queue of 1 000 000",
    operations: 200_000,
    setUp(operations) {
      const bus = busWith(QUEUE);
      return () => {
        for (let i = 0; i < operations; i++) {
          bus.put(TOPIC, PAYLOAD);
          bus.get(TOPIC);
        }
      };
    },
  },
  "put-full": {
    title: "put, default limits, the log full",
    operations: 500_000,
    setUp(operations) {
      const bus = fullBus();
      return () => {
        for (let i = 0; i < operations; i++) bus.put(TOPIC, PAYLOAD);
      };
    },
  },
  "put-text": {
    title: "the same of a text",
    operations: 500_000,
    setUp(operations) {
      const bus = fullBus();
      return () => {
        for (let i = 0; i < operations; i++) bus.put(TOPIC, TEXT);
      };
    },
  },
  "publish": {
    title: "await publish, the log full",
    operations: 500_000,
    setUp(operations) {
      const bus = fullBus();
      return async () => {
        for (let i = 0; i < operations; i++) await bus.publish(TOPIC, PAYLOAD);
      };
    },
  },
  "lease-ack-10": leaseAndAck(10, 200_000),
  "lease-ack-1000": leaseAndAck(1000, 200_000),
  "lease-ack-10000": leaseAndAck(10_000, 200_000),
  "fan-out-1": fanOut(1, 500_000),
  "fan-out-10": fanOut(10, 2_000_000),
  "fan-out-100": fanOut(100, 5_000_000),
  "envelope-128": encode(128, 500_000),
  "envelope-1024": encode(1024, 200_000),
};

function busWith(messages: number): MessageBus {
  const bus = new MessageBus(UNLIMITED);
  for (let i = 0; i < messages; i++) bus.put(TOPIC, PAYLOAD);
  return bus;
}

function fullBus(): MessageBus {
  const bus = new MessageBus();
  for (let i = 0; i < bus.limits.maxMessages; i++) bus.put(TOPIC, PAYLOAD);
  return bus;
}

/** Leases the next message and acknowledges the one leased longest, while so many others are leased. */
function leaseAndAck(leased: number, operations: number): InProcessBenchmark {
  return {
    title: `lease and ack, ${formatNumber(leased)} leased`,
    operations,
    setUp(operations) {
      const bus = new MessageBus({ ...UNLIMITED, maxLeased: leased + 1 });
      const messages = leased + (ROUNDS + WARM_UP_ROUNDS) * operations;
      for (let i = 0; i < messages; i++) bus.put(TOPIC, PAYLOAD);
      const lease = () => bus.get(TOPIC, { group: "workers", leaseMs: 3_600_000 })!.lease!;
      const tokens = Array.from({ length: leased }, lease);
      return () => {
        for (let i = 0; i < operations; i++) {
          const token = lease();
          bus.ack(tokens[i % leased]!);
          tokens[i % leased] = token;
        }
      };
    },
  };
}

/** Puts in bursts, then a turn of the event loop in which each subscription takes them; an operation is one delivery. */
function fanOut(subscriptions: number, operations: number): InProcessBenchmark {
  return {
    title: `deliver to ${subscriptions} subscription${subscriptions === 1 ? "" : "s"}, ${PUTS_PER_TURN} puts a turn`,
    operations,
    setUp(operations) {
      const bus = fullBus();
      let delivered = 0;
      for (let i = 0; i < subscriptions; i++) {
        bus.subscribe(TOPIC, {
          onReady(subscription) {
            while (subscription.take() !== undefined) delivered++;
          },
        });
      }
      return async () => {
        const target = delivered + operations;
        for (let turn = 0; turn < operations / subscriptions / PUTS_PER_TURN; turn++) {
          for (let i = 0; i < PUTS_PER_TURN; i++) bus.put(TOPIC, PAYLOAD);
          await new Promise((resolve) => setImmediate(resolve));
        }
        if (delivered < target) throw new Error(`Delivered ${target - delivered} too few`);
      };
    },
  };
}

function encode(bytes: number, operations: number): InProcessBenchmark {
  return {
    title: `encodeEnvelope of ${bytes} B`,
    operations,
    setUp(operations) {
      const topic = { name: TOPIC, ttlMs: 60_000, createdMs: 1_800_000_000_000, epoch: "mywq4wow" };
      const messages = Array.from({ length: 1000 }, (_, id) => {
        const payload = crypto.getRandomValues(new Uint8Array(bytes));
        return new Message(topic, { id, payload, createdMs: topic.createdMs + id });
      });
      return () => {
        let length = 0;
        for (let i = 0; i < operations; i++) length += encodeEnvelope(messages[i % messages.length]!).length;
        if (length < operations * bytes) throw new Error("An envelope is shorter than its payload");
      };
    },
  };
}

const ROUNDS = 7;
const WARM_UP_ROUNDS = 2;
const QUICK_ROUNDS = 3;
const QUICK_DIVISOR = 10;

/** Runs one benchmark and returns the nanoseconds of an operation in each round. */
export async function measureInProcess(name: string, { quick }: { quick: boolean }): Promise<number[]> {
  const benchmark = IN_PROCESS[name];
  if (benchmark === undefined) throw new Error(`No benchmark "${name}"`);
  const operations = quick ? benchmark.operations / QUICK_DIVISOR : benchmark.operations;
  const round = benchmark.setUp(operations);
  const ns: number[] = [];
  for (let i = 0; i < WARM_UP_ROUNDS + (quick ? QUICK_ROUNDS : ROUNDS); i++) {
    const startMs = performance.now();
    await round();
    const elapsedMs = performance.now() - startMs;
    if (i >= WARM_UP_ROUNDS) ns.push(elapsedMs * 1e6 / operations);
  }
  return ns;
}

if (import.meta.main) {
  const [name = "", flag] = Deno.args;
  const ns = await measureInProcess(name, { quick: flag === "--quick" });
  Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(ns)}\n`));
}
