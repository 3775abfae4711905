import { Inbox } from "../../lib/client/inbox.ts";
import { assertEquals } from "../deps.ts";

Deno.test("Inbox gives items in order and knows their size, however long it is in use", () => {
  const inbox = new Inbox<number>();
  let [put, got] = [0, 0];
  for (let round = 0; round < 5_000; round++) {
    inbox.push(put++, 8);
    inbox.push(put++, 8);
    assertEquals(inbox.shift(), got++);
  }
  assertEquals(inbox.size, 8 * (put - got));
  while (got < put) assertEquals(inbox.shift(), got++);
  assertEquals(inbox.shift(), undefined);
  assertEquals(inbox.size, 0);
  inbox.push(1, 5);
  inbox.clear();
  assertEquals([inbox.shift(), inbox.size], [undefined, 0]);
});
