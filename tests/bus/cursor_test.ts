import { Cursor } from "../../lib/bus/cursor.ts";
import { Log } from "../../lib/bus/log.ts";
import { Message } from "../../lib/message.ts";
import { assertEquals, fc } from "../deps.ts";

const topic = { name: "foo", ttlMs: 0, createdMs: 0, epoch: "0" };
const messageOf = (id: number) => new Message(topic, { id, payload: new Uint8Array(), createdMs: 0 });
const step = fc.record({ append: fc.nat(9), drop: fc.nat(9), read: fc.nat(9) });

Deno.test("Cursor gives every retained message once, in order, and jumps over what was dropped", () => {
  fc.assert(fc.property(fc.array(step), (steps) => {
    const log = new Log();
    const cursor = new Cursor(0);
    let wanted = 0;
    for (const { append, drop, read } of steps) {
      for (let i = 0; i < append; i++) log.append(messageOf(log.next));
      for (let i = 0; i < drop && log.length > 0; i++) log.dropOldest();
      for (let i = 0; i < read; i++) {
        assertEquals(cursor.next, wanted);
        const expected = Math.max(wanted, log.first);
        const message = cursor.peek(log);
        assertEquals(message?.id, expected < log.next ? expected : undefined);
        assertEquals(cursor.lag(log), log.next - expected);
        if (message === undefined) break;
        cursor.passOver(message);
        wanted = expected + 1;
      }
    }
  }));
});

Deno.test("Cursor.peek doesn't move it", () => {
  const log = new Log();
  log.append(messageOf(0));
  const cursor = new Cursor(0);
  assertEquals(cursor.peek(log)?.id, 0);
  assertEquals(cursor.peek(log)?.id, 0);
  assertEquals(cursor.lag(log), 1);
});
