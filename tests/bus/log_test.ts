import { Log } from "../../lib/bus/log.ts";
import { Message } from "../../lib/message.ts";
import { assertEquals, assertStrictEquals, fc } from "../deps.ts";

const topic = { name: "foo", ttlMs: 0, createdMs: 0, epoch: "0" };
const payload = new Uint8Array();
const messageOf = (id: number, createdMs = 0) => new Message(topic, { id, payload, createdMs });

// A segment has 1024 slots; these fill and empty several.
const amount = fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 1020, max: 1030 }), fc.nat(3000));
const step = fc.record({ append: amount, drop: amount });

Deno.test("Log holds what an array holds, over many segments", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), fc.array(fc.nat(20_000), { maxLength: 20 }), (steps, probes) => {
      const log = new Log();
      const model: Message[] = [];
      let next = 0;
      for (const { append, drop } of steps) {
        for (let i = 0; i < append; i++) {
          const message = messageOf(next++);
          log.append(message);
          model.push(message);
        }
        for (const dropped of model.splice(0, drop)) assertStrictEquals(log.dropOldest(), dropped);
        const first = next - model.length;
        assertEquals([log.first, log.next, log.length], [first, next, model.length]);
        assertStrictEquals(log.oldest, model[0]);
        for (const id of [...probes, first - 1, first, next - 1, next]) {
          assertStrictEquals(log.get(id), model[id - first]);
        }
      }
    }),
    { numRuns: 200 },
  );
});

Deno.test("Log.get knows no dropped message and none that is not there yet", () => {
  const log = new Log();
  for (let id = 0; id < 5000; id++) log.append(messageOf(id));
  for (let id = 0; id < 4000; id++) {
    log.dropOldest();
    assertEquals(log.get(id), undefined);
  }
  assertEquals([log.get(-1), log.get(5000), log.get(1e9)], [undefined, undefined, undefined]);
  assertEquals(log.get(4000)?.id, 4000);
});

Deno.test("Log goes on with the next id after it was emptied", () => {
  const log = new Log();
  log.append(messageOf(0));
  log.dropOldest();
  assertEquals([log.first, log.next, log.oldest], [1, 1, undefined]);
  log.append(messageOf(1));
  assertEquals(log.get(1)?.id, 1);
});

Deno.test("Log.firstSince is the oldest retained message created at or after a time, or the end", () => {
  const steps = fc.array(fc.record({ afterMs: fc.nat(3), drop: fc.boolean() }), { maxLength: 50 });
  fc.assert(fc.property(steps, fc.nat(100), (steps, createdMs) => {
    const log = new Log();
    let nowMs = 0;
    for (const { afterMs, drop } of steps) {
      nowMs += afterMs;
      log.append(messageOf(log.next, nowMs));
      if (drop) log.dropOldest();
    }
    let expected = log.first;
    while (expected < log.next && log.get(expected)!.createdMs < createdMs) expected++;
    assertEquals(log.firstSince(createdMs), expected);
  }));
});
