import { Timeline } from "../../lib/bus/timeline.ts";
import { TestClock } from "./test_clock.ts";
import { Expiries } from "../../lib/bus/expiries.ts";
import { Log } from "../../lib/bus/log.ts";
import { Message } from "../../lib/message.ts";
import { assertEquals, fc } from "../deps.ts";

const payload = new Uint8Array();
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ ttlMs: fc.constantFrom(0, 5, 10, 15, 40, 1000), afterMs: fc.nat(5) }) },
  { weight: 1, arbitrary: fc.record({ drop: fc.nat(50) }) },
  { weight: 1, arbitrary: fc.constant({ oldest: true as const }) },
  { weight: 2, arbitrary: fc.constant({ expire: true as const }) },
  { weight: 1, arbitrary: fc.constant({ all: true as const }) },
);

Deno.test("Expiries.first is the retained message that expires first, of several that with the lowest id", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(0, 10, 40),
      fc.array(step, { maxLength: 60, size: "max" }),
      fc.boolean(),
      (usualTtlMs, steps, asksAlways) => {
        const topic = { name: "foo", ttlMs: usualTtlMs, createdMs: 0, epoch: "0" };
        const log = new Log();
        const expiries = new Expiries(log, usualTtlMs, new Timeline(new TestClock()));
        let retained: Message[] = [];
        let createdMs = 0;
        const expected = () => retained.filter(({ ttlMs }) => ttlMs > 0).sort(byExpiry)[0];
        const assertFirst = (message: Message | undefined) => {
          assertEquals(expiries.first, message && { id: message.id, expiresMs: message.expiresMs });
          assertEquals(expiries.expiresMs, message?.expiresMs ?? Infinity);
          for (const { id, ttlMs } of retained) assertEquals(expiries.ttlOf(id), ttlMs);
        };
        const drop = (message: Message | undefined) => {
          if (message === undefined) return;
          log.drop(message.id);
          expiries.remove(message.id);
          retained = retained.filter((other) => other !== message);
        };
        for (const step of steps) {
          if ("ttlMs" in step) {
            createdMs += step.afterMs;
            const message = new Message(topic, { id: log.next, payload, createdMs, ttlMs: step.ttlMs });
            log.append(message, 1);
            expiries.add(message);
            retained.push(message);
          } else if ("drop" in step) drop(retained[step.drop]);
          else if ("oldest" in step) drop(log.get(log.first));
          else if ("expire" in step) drop(expected());
          else while (retained.length > 0) drop(retained[0]);
          if (asksAlways) assertFirst(expected());
        }
        assertFirst(expected());
      },
    ),
    { numRuns: 2000 },
  );
});

Deno.test("Expiries.first of messages that never expire is none", () => {
  const log = new Log();
  const expiries = new Expiries(log, 1000, new Timeline(new TestClock()));
  const topic = { name: "foo", ttlMs: 1000, createdMs: 0, epoch: "0" };
  for (let id = 0; id < 3; id++) {
    const message = new Message(topic, { id, payload, createdMs: 0, ttlMs: 0 });
    log.append(message, 1);
    expiries.add(message);
  }
  assertEquals(expiries.first, undefined);
});

function byExpiry(a: Message, b: Message): number {
  return a.expiresMs - b.expiresMs || a.id - b.id;
}
