import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import type { Message } from "../../lib/message.ts";
import { assert, assertEquals, assertMatch, assertRejects } from "../deps.ts";
import { codeOf, codeOfRejection } from "./error_code.ts";
import { LaterStore } from "./later_store.ts";
import { TestClock } from "./test_clock.ts";

function setUp(options: BusOptions = {}) {
  const clock = new TestClock();
  return { clock, bus: new MessageBus({ clock, ...options }) };
}

const tokenOf = (message: Message | undefined) => message!.headers["msgbus-reply-to"]!;

Deno.test("MessageBus.request publishes a message that says how to answer it, and resolves to the answer", async () => {
  const { bus, clock } = setUp();
  bus.put("t", "before");
  bus.get("t");
  const asked = bus.request("t", "2+2?", { headers: { Trace: "1" }, contentType: "text/plain", key: "k", ttlMs: 5000 });
  const message = bus.get("t")!;
  assertMatch(tokenOf(message), /^[\w-]{22}$/);
  assertEquals([message.id, message.text(), message.contentType, message.key], [1, "2+2?", "text/plain", "k"]);
  assertEquals({ ...message.headers }, { trace: "1", "msgbus-reply-to": tokenOf(message) });
  assertEquals(message.expiresMs, clock.now() + 5000);
  bus.reply(tokenOf(message), "4", { contentType: "text/x-answer" });
  const { receipt, reply } = await asked;
  assertEquals([receipt.id, receipt.cursor, receipt.topic], [1, message.cursor, "t"]);
  assertEquals(reply, { payload: new Uint8Array([0x34]), contentType: "text/x-answer" });
  assertEquals(clock.timers, 1);
});

Deno.test("MessageBus.reply: the first answer counts, later ones are gone, and so is what nobody asked", async () => {
  const { bus } = setUp();
  const asked = bus.request("t", "?");
  const token = tokenOf(bus.get("t"));
  bus.reply(token, "first");
  assertEquals(codeOf(() => bus.reply(token, "second")), "reply_gone");
  assertEquals(new TextDecoder().decode((await asked).reply!.payload), "first");
  for (const guess of [token, "", "guess", "__proto__"]) {
    assertEquals(codeOf(() => bus.reply(guess, "x")), "reply_gone");
  }
});

Deno.test("MessageBus.request: everybody who sees the message may answer, in the turn of the publish, too", async () => {
  const { bus, clock } = setUp();
  bus.subscribe("t", {
    onReady: (subscription) => {
      const message = subscription.take();
      if (message !== undefined) bus.reply(tokenOf(message), "from a subscriber");
    },
  });
  // That it has read everything so far.
  clock.flush();
  const asked = bus.request("t", "?");
  clock.flush();
  assertEquals(new TextDecoder().decode((await asked).reply!.payload), "from a subscriber");
});

Deno.test("MessageBus.request without an answer in time has none, and the message stays", async () => {
  const { bus, clock } = setUp();
  for (const [options, timeoutMs] of [[{ timeoutMs: 500 }, 500], [{}, 30_000]] as const) {
    const asked = bus.request("t", "?", options);
    await settled();
    clock.tick(timeoutMs - 1);
    const message = bus.get("t");
    clock.tick(1);
    const { receipt, reply } = await asked;
    assertEquals([receipt.id, reply], [message!.id, undefined]);
    assertEquals(codeOf(() => bus.reply(tokenOf(message), "late")), "reply_gone");
  }
});

Deno.test("MessageBus.request ends with the reason of its signal, and can't be answered then", async () => {
  const { bus, clock } = setUp();
  const controller = new AbortController();
  const asked = bus.request("t", "?", { signal: controller.signal });
  await settled();
  assertEquals(clock.timers, 2);
  const reason = new Error("enough");
  controller.abort(reason);
  assertEquals(await asked.catch((error) => error), reason);
  assertEquals(codeOf(() => bus.reply(tokenOf(bus.get("t")), "late")), "reply_gone");
  assertEquals(clock.timers, 1);
  await assertRejects(() => bus.request("t", "?", { signal: controller.signal }), Error, "enough");
  assertEquals(bus.topic("t")!.seq, 1);
});

Deno.test("MessageBus.drain ends waiting requests with draining, and takes no new ones", async () => {
  const { bus } = setUp();
  const asked = codeOfRejection(bus.request("t", "?"));
  await settled();
  bus.drain();
  assertEquals(await asked, "draining");
  assertEquals(codeOf(() => bus.reply(tokenOf(bus.get("t")), "late")), "reply_gone");
  assertEquals(await codeOfRejection(bus.request("t", "?")), "draining");
  assertEquals(bus.topic("t")!.seq, 1);
  await bus.close();
  assertEquals(await codeOfRejection(bus.request("t", "?")), "already_closed");
  assertEquals(codeOf(() => bus.reply("x", "y")), "already_closed");
});

Deno.test("MessageBus.reply refuses what is too large or no media type, and the request waits on", async () => {
  const { bus } = setUp({ maxPayloadBytes: 4 });
  const asked = bus.request("t", "?");
  const token = tokenOf(bus.get("t"));
  assertEquals(codeOf(() => bus.reply(token, "fünf")), "too_large");
  assertEquals(codeOf(() => bus.reply(token, "x", { contentType: "a\r\nb: c" })), "bad_header");
  bus.reply(token, new Uint8Array(4));
  assertEquals((await asked).reply, { payload: new Uint8Array(4), contentType: undefined });
});

Deno.test("MessageBus.request that can't be published waits for nothing", async () => {
  const { bus, clock } = setUp({ maxPayloadBytes: 4 });
  for (
    const [topic, payload, options, code] of [
      ["t", "too long", {}, "too_large"],
      ["t//u", "?", {}, "bad_topic"],
      ["t", "?", { headers: { "msgbus-reply-to": "mine" } }, "bad_header"],
      ["t", "?", { ifMatch: { next: 5 } }, "seq_mismatch"],
      ["t", "?", { timeoutMs: -1 }, "bad_option"],
      ["t", "?", { timeoutMs: 0.5 }, "bad_option"],
      ["t", "?", { timeoutMs: 2 ** 31 }, "bad_option"],
      ["t", "?", { timeoutMs: NaN }, "bad_option"],
    ] as const
  ) assertEquals(await codeOfRejection(bus.request(topic, payload, options)), code);
  assertEquals([bus.topics(), clock.delays.includes(30_000)], [[], false]);
});

Deno.test("MessageBus.request doesn't know repeats, whatever a program says", async () => {
  const { bus } = setUp();
  const options = { idempotencyKey: "k" } as object;
  const asked = [bus.request("t", "?", options), bus.request("t", "?", options)];
  for (const _ of asked) bus.reply(tokenOf(bus.get("t")), "!");
  assertEquals((await Promise.all(asked)).map(({ receipt }) => receipt.id), [0, 1]);
});

Deno.test("MessageBus.request waits for the store first, and then for as long as it says", async () => {
  const store = new LaterStore();
  const { bus, clock } = setUp({ store });
  const asked = bus.request("t", "?", { timeoutMs: 1000 });
  clock.tick(5000);
  assertEquals(store.waiting, ["append 1 to t"]);
  await store.answer();
  clock.tick(999);
  const pulled = bus.pull("t");
  await store.answer();
  bus.reply(tokenOf(await pulled), "in time");
  assert((await asked).reply !== undefined);
});

Deno.test("MessageBus.request that the store refuses rejects with that, and holds nothing", async () => {
  const store = new LaterStore();
  const { bus, clock } = setUp({ store });
  const asked = assertRejects(() => bus.request("t", "?"), Error, "the disk is full");
  await store.refuse();
  await asked;
  assertEquals([bus.topics(), clock.delays.includes(30_000)], [[], false]);
});

/** Resolves when what has happened is known everywhere. */
async function settled(): Promise<void> {
  for (let i = 0; i < 8; i++) await undefined;
}
