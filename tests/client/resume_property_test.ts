import { MessageBus } from "../../lib/bus/bus.ts";
import { type Clock, systemClock } from "../../lib/bus/clock.ts";
import { Client } from "../../lib/client/client.ts";
import type { ControlEvent } from "../../lib/event.ts";
import { assert, assertEquals, fc } from "../deps.ts";
import { type FrameScript, serveCut } from "./cut_server.ts";
import { hasty } from "./hasty_clock.ts";

const TOPICS = ["a/x", "a/y", "a/z"];
const LAST = "the last one";

/** What happens while a client reads: messages come, some of which the log has no room or no time for. */
const steps = fc.array(
  fc.record({
    topic: fc.integer({ min: 0, max: 2 }),
    count: fc.integer({ min: 1, max: 6 }),
    passMs: fc.constantFrom(0, 1, 3_000, 20_000),
    turns: fc.integer({ min: 0, max: 3 }),
  }),
  { maxLength: 12 },
);
const script = fc.array(fc.record({ lines: fc.integer({ min: 1, max: 4 }), cut: fc.boolean() }), { maxLength: 25 });

/** The ids of a topic that were given or said to be missing, in order; fails if one was both, or came twice. */
class Ledger {
  next = 0;

  message(id: number): void {
    assertEquals(id, this.next, "the next id is neither given nor missed");
    this.next = id + 1;
  }

  gap({ from, to }: { readonly from: number | null; readonly to: number | null }): void {
    if (from !== null) assertEquals(from, this.next);
    assert(to !== null && to >= this.next, `a gap up to ${to}, of which everything is known before ${this.next}`);
    this.next = to + 1;
  }
}

for (const pattern of ["a/x", "a/x,a/z", "a/*", "a/**,a/x"]) {
  Deno.test(`ClientSubscription to ${pattern} gives each message once or says that it is missing, however it is cut`, async () => {
    const world: { bus: MessageBus; script: FrameScript } = { bus: new MessageBus(), script: [][Symbol.iterator]() };
    await using server = serveCut(world);
    await fc.assert(
      fc.asyncProperty(steps, script, fc.integer({ min: 1, max: 2_000 }), async (steps, frames, maxBufferedBytes) => {
        let nowMs = Date.UTC(2026, 10, 23);
        const clock: Clock = {
          now: () => nowMs,
          skewMs: 0,
          schedule: (task, delayMs) => systemClock.schedule(task, delayMs),
          defer: (task) => systemClock.defer(task),
        };
        const bus = world.bus = new MessageBus({ clock, maxMessages: 5, ttlMs: 30_000 });
        world.script = frames[Symbol.iterator]();
        const topics = TOPICS.filter((topic) => pattern.includes("*") || pattern.includes(topic));
        bus.put(topics[0]!, "first");

        const ledgers = new Map(topics.map((topic) => [topic, new Ledger()]));
        const log: unknown[] = [];
        const onEvent = (event: ControlEvent) => {
          log.push(event);
          if (event.event === "gap") ledgers.get(event.topic)!.gap(event);
        };
        using subscription = new Client(server.uri).subscribe(pattern, {
          since: pattern.includes(",") || pattern.includes("*") ? "2026-11-23T00:00:00Z" : "0",
          clock: hasty,
          maxBufferedBytes,
          onEvent,
        });
        const read = async () => {
          const left = new Set(topics);
          for await (const message of subscription) {
            log.push(message.topic.name + message.id + message.text());
            ledgers.get(message.topic.name)!.message(message.id);
            if (message.text() === LAST) left.delete(message.topic.name);
            if (left.size === 0) break;
          }
        };
        const publish = async () => {
          for (const { topic, count, passMs, turns } of steps) {
            for (let i = 0; i < count; i++) bus.put(topics[topic % topics.length]!, `message ${i}`);
            nowMs += passMs;
            for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setTimeout(resolve));
          }
          for (const topic of topics) bus.put(topic, LAST);
        };
        await Promise.all([read(), publish()]);
        await subscription.closed;
        for (const topic of topics) assertEquals(ledgers.get(topic)!.next, bus.topic(topic)!.seq);
        await bus.close();
      }),
      { numRuns: 40 },
    );
  });
}
