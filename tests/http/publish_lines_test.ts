/**
 * How to publish, said in the lines of a WebSocket: `?mode=publish`.
 *
 * @module
 */

import { TestClock } from "../bus/test_clock.ts";
import { assert, assertEquals, assertLess } from "../deps.ts";
import { serve, type Serving } from "./serving.ts";
import { Socket } from "./socket.ts";

const LINES = "/t?mode=publish&frames=ndjson";

/** Opens a socket to a bus whose time stands still. */
async function setUp(
  run: (world: {
    server: Serving;
    clock: TestClock;
    ask: (...lines: (object | string)[]) => Promise<Record<string, unknown>[]>;
  }) => Promise<void>,
): Promise<void> {
  const clock = new TestClock();
  await using server = serve({ clock, ttlMs: 0 }, { clock });
  await using socket = await Socket.open(server.port, LINES);
  const ask = async (...lines: (object | string)[]) => {
    socket.send(lines.map((line) => typeof line === "string" ? line : JSON.stringify(line)).join("\n"));
    return (await socket.next())!.trimEnd().split("\n").map((line) => JSON.parse(line));
  };
  await run({ server, clock, ask });
}

Deno.test("mode=publish: a line says what its payload is, in the words of the API", () =>
  setUp(async ({ server, clock, ask }) => {
    await ask({ text: "a", contentType: "text/plain", headers: { "X-Trace": "é" }, key: "k\u2028", ttl: "5s" });
    const message = server.bus.get("t")!;
    assertEquals([message.contentType, { ...message.headers }, message.key], [
      "text/plain",
      { "x-trace": "é" },
      "k\u2028",
    ]);
    assertEquals(message.expiresMs, clock.now() + 5000);
  }));

Deno.test("mode=publish: a duration is a text, or a number of seconds", () =>
  setUp(async ({ server, clock, ask }) => {
    const ttls = [["5s", 5000], [5, 5000], [0.5, 500], [1.1, 1100], [0.003, 3], ["5", 5000], ["1m", 60_000]] as const;
    for (const [ttl, ms] of ttls) {
      await ask({ text: "a", ttl });
      assertEquals(server.bus.get("t")!.expiresMs, clock.now() + ms, `${ttl}`);
    }
    for (const ttl of [0, "0", -0]) {
      await ask({ text: "a", ttl });
      assertEquals(server.bus.get("t")!.expiresMs, Infinity);
    }
  }));

Deno.test("mode=publish: a line may be for later, and is answered with a token and a time", () =>
  setUp(async ({ server, clock, ask }) => {
    const [first, second, third] = await ask(
      { text: "b", delay: 60 },
      { json: [1], at: "2018-03-25T15:18:48.732+02:00", key: "k" },
      { text: "now" },
    );
    assertEquals(Object.keys(first!), ["topic", "durability", "scheduled", "due"]);
    assertEquals([first!.topic, first!.due, second!.due], [
      "t",
      "2018-03-25T13:19:38.732Z",
      "2018-03-25T13:18:48.732Z",
    ]);
    assertEquals(third!.id, 0);
    assertEquals(server.bus.scheduled("t").map(({ token }) => token), [second!.scheduled, first!.scheduled]);
    clock.tick(60_000);
    assertEquals([0, 1, 2].map(() => server.bus.get("t")!.text()), ["now", "[1]", "b"]);
  }));

Deno.test("mode=publish: a repeat is known by its key, within a frame too", () =>
  setUp(async ({ server, ask }) => {
    const line = { text: "a", idempotencyKey: "k" };
    const [first, second] = await ask(line, line);
    assertEquals([first!.duplicate, second], [undefined, { ...first, duplicate: true }]);
    assertEquals((await ask({ payload: "YQ==", idempotencyKey: "k" }))[0], second);
    assertEquals((await ask({ text: "b", idempotencyKey: "k" }))[0]!.error, "idempotency_conflict");
    const later = { text: "c", delay: 1, idempotencyKey: "later" };
    const [scheduled, again] = await ask(later, later);
    assertEquals(again, { ...scheduled, duplicate: true });
    assertEquals([server.bus.topic("t")!.seq, server.bus.totals().scheduled], [1, 1]);
  }));

Deno.test("mode=publish: a line is published only at its position, a number or a text", () =>
  setUp(async ({ server, ask }) => {
    const receipts = await ask({ text: "a", ifMatch: 0 }, { text: "b", ifMatch: "1" }, { text: "c", ifMatch: 1 });
    assertEquals(receipts.map(({ id, error }) => id ?? error), [0, 1, "seq_mismatch"]);
    const { cursor } = receipts[1]!;
    assertEquals((await ask({ text: "d", ifMatch: cursor }, { text: "e", ifMatch: `"3"` })).map(({ id }) => id), [
      2,
      3,
    ]);
    assertEquals(server.bus.topic("t")!.seq, 4);
  }));

const DEEP = "[".repeat(20_000) + "]".repeat(20_000);

/** Lines that are refused, and how. */
const REFUSED: readonly (readonly [line: string, code: string])[] = [
  ...["-1", "1e300", "0.0001", "1e-9", '""', '"soon"', '"-5s"', "null", "true", "[]", "{}", DEEP].flatMap((value) => [
    [`{"text":"a","ttl":${value}}`, "bad_parameter"] as const,
    [`{"text":"a","delay":${value}}`, "bad_parameter"] as const,
  ]),
  ['{"text":"a","at":5}', "bad_parameter"],
  ['{"text":"a","at":"10m"}', "bad_parameter"],
  ['{"text":"a","at":"9999-12-31T23:59:59Z"}', "bad_parameter"],
  ['{"text":"a","delay":1,"at":"2018-03-25T13:18:38Z"}', "bad_parameter"],
  ['{"text":"a","delay":1,"ifMatch":0}', "bad_parameter"],
  ['{"text":"a","at":"2018-03-25T13:18:38Z","ifMatch":0}', "bad_parameter"],
  ['{"text":"a","ifMatch":-1}', "bad_parameter"],
  ['{"text":"a","ifMatch":1.5}', "bad_parameter"],
  ['{"text":"a","ifMatch":9007199254740993}', "bad_parameter"],
  ['{"text":"a","ifMatch":"*"}', "bad_parameter"],
  ['{"text":"a","ifMatch":null}', "bad_parameter"],
  ['{"text":"a","key":5}', "bad_parameter"],
  [`{"text":"a","key":${DEEP}}`, "bad_parameter"],
  ['{"text":"a","key":""}', "bad_header"],
  ['{"text":"a","key":"\\n"}', "bad_header"],
  ['{"text":"a","key":"\\ud800"}', "bad_header"],
  [`{"text":"a","key":"${"x".repeat(257)}"}`, "headers_too_large"],
  ['{"text":"a","idempotencyKey":""}', "bad_header"],
  ['{"text":"a","idempotencyKey":1}', "bad_parameter"],
  ['{"text":"a","contentType":"text"}', "bad_header"],
  ['{"text":"a","contentType":"text/plain\\r\\nx: y"}', "bad_header"],
  ['{"text":"a","contentType":"text/plain; x=\\"日\\""}', "bad_header"],
  ['{"text":"a","contentType":null}', "bad_parameter"],
  ['{"text":"a","headers":null}', "bad_header"],
  ['{"text":"a","headers":[]}', "bad_header"],
  ['{"text":"a","headers":"x"}', "bad_header"],
  ['{"text":"a","headers":{"a":1}}', "bad_header"],
  ['{"text":"a","headers":{"a":null}}', "bad_header"],
  ['{"text":"a","headers":{"a":{"toString":1}}}', "bad_header"],
  [`{"text":"a","headers":{"a":${DEEP}}}`, "bad_header"],
  ['{"text":"a","headers":{"":"b"}}', "bad_header"],
  ['{"text":"a","headers":{"a\\r\\nb":"c"}}', "bad_header"],
  ['{"text":"a","headers":{"a":"b\\nc"}}', "bad_header"],
  ['{"text":"a","headers":{"Msgbus-Reply-To":"b"}}', "bad_header"],
  ['{"text":"a","headers":{"a":"b","A":"c"}}', "bad_header"],
  ['{"text":"a","split":"lines"}', "bad_request"],
  ['{"text":"a","reply":"5s"}', "bad_request"],
  ['{"text":"a","Ttl":"5s"}', "bad_request"],
  ['{"text":"a","idempotency-key":"k"}', "bad_request"],
  ['{"text":"a","meta-a":"b"}', "bad_request"],
  ['{"ttl":"5s"}', "bad_request"],
  ['{"headers":{}}', "bad_request"],
];

Deno.test("mode=publish: an option that can't be meant is refused by its code, and the lines around it are published", () =>
  setUp(async ({ server, ask }) => {
    for (const [line, code] of REFUSED) {
      const { bus } = server;
      const seq = bus.topic("t")?.seq ?? 0;
      const [before, refused, after] = await ask(`{"text":"before"}`, line, `{"text":"after"}`);
      assertEquals([before!.id, refused!.error, after!.id], [seq, code, seq + 1], line.slice(0, 80));
      const message = refused!.message as string;
      assert(/^\P{Cc}+$/u.test(message), message);
      assertLess(message.length, 300);
    }
    assertEquals(server.bus.totals().scheduled, 0);
  }));

Deno.test("mode=publish: any name of a header is data", () =>
  setUp(async ({ server, ask }) => {
    await ask(`{"text":"a","headers":{"__proto__":"x","constructor":"y"}}`);
    assertEquals(Object.entries(server.bus.get("t")!.headers), [["__proto__", "x"], ["constructor", "y"]]);
  }));
