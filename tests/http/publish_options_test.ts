/**
 * How to publish, said in headers and query parameters.
 *
 * @module
 */

import { TestClock } from "../bus/test_clock.ts";
import { assert, assertEquals, assertMatch, assertStringIncludes } from "../deps.ts";
import { direct } from "./direct.ts";
import { type Fields, serve } from "./serving.ts";

const JSON_WANTED = { accept: "application/json" };

/** What a message says of itself. */
const SAID = { contentType: "text/plain; charset=utf-8", headers: { trace: "é 1", "x-y": "z" }, key: "k/é %" };

const WAYS: readonly (readonly [way: string, line: string, fields: Fields])[] = [
  ["headers", "PUT /t", {
    "content-type": SAID.contentType,
    "Msgbus-Key": "k/%C3%A9%20%25",
    "Msgbus-Meta-Trace": "%C3%A9 1",
    "msgbus-meta-X-Y": "z",
    "Msgbus-Ttl": "5s",
  }],
  [
    "query parameters",
    `POST /t?ttl=5s&key=k/%C3%A9+%25&meta-trace=%C3%A9+1&meta-x-y=z&content-type=${
      encodeURIComponent(SAID.contentType)
    }`,
    {},
  ],
  ["both", "POST /t?ttl=5s&meta-trace=%C3%A9%201&content-type=text/plain%3B+charset%3Dutf-8", {
    "msgbus-meta-x-y": "z",
    "msgbus-key": "k%2F%C3%A9%20%25",
    "content-type": "text/html",
  }],
];

for (const [way, line, fields] of WAYS) {
  Deno.test(`publish: content type, headers, key and time to live are taken from ${way}`, async () => {
    await using server = serve({ clock: new TestClock() });
    assertEquals((await server.ask(line, fields, "hi")).status, 202);
    const envelope = JSON.parse((await server.ask("GET /t?since=earliest")).body);
    assertEquals([envelope.contentType, envelope.key], [SAID.contentType, SAID.key]);
    assertEquals(envelope.headers, SAID.headers);
    assertEquals([envelope.expires, envelope.topic.ttl], ["2018-03-25T13:18:43.732Z", 60_000_000_000]);
    assertEquals(Object.keys(envelope).slice(5), ["contentType", "headers", "key"]);
  });
}

Deno.test("publish: what is said is in every format: envelope, lines and events", async () => {
  await using server = direct();
  server.bus.put("t", "hi", { contentType: "text/plain", headers: { a: "b" }, key: "k" });
  const whole = await (await server.get("/t?since=0")).text();
  assertStringIncludes(whole, `,"contentType":"text/plain","headers":{"a":"b"},"key":"k"}\n`);
  assertEquals(await (await server.get("/t")).text(), whole);
  for (const format of ["sse", "ndjson"]) {
    const chunks = await server.stream(`/t?format=${format}&since=earliest`);
    server.clock.flush();
    let text = "";
    while (!text.includes("caught-up")) text += await chunks.text();
    assertStringIncludes(text, whole);
    await chunks.cancel();
  }
});

Deno.test("publish: what curl -d says of every body doesn't count, unless a parameter says it", async () => {
  await using server = serve();
  const form = "application/x-www-form-urlencoded";
  for (const type of [form, `${form}; charset=UTF-8`, "Application/X-WWW-Form-Urlencoded", `${form} ;x=y`]) {
    assertEquals((await server.ask("POST /t", { "content-type": type }, "hi")).status, 202);
    assertEquals(server.bus.get("t")!.attributes, undefined, type);
  }
  await server.ask(`POST /t?content-type=${form}`, { "content-type": form }, "a=b");
  assertEquals(server.bus.get("t")!.contentType, form);
  await server.ask("POST /t?content-type=text/css", { "content-type": "text/html" }, "hi");
  assertEquals(server.bus.get("t")!.contentType, "text/css");
});

Deno.test("publish: raw bytes in headers are read as UTF-8", async () => {
  await using server = serve();
  const request = server.request(
    "PUT /t",
    { "msgbus-key": "ké", "msgbus-meta-a": "日 %41", "idempotency-key": "é%41" },
    "x",
  );
  const [answer] = await server.raw(request);
  assertEquals(answer!.status, 202);
  const { key, headers } = server.bus.get("t")!;
  assertEquals([key, headers.a], ["ké", "日 A"]);
  const again = await server.ask("PUT /t?idempotency-key=%C3%A9%2541", {}, "x");
  assertEquals(again.headers.get("msgbus-duplicate"), "true");
});

Deno.test("publish: a header of bytes that are not UTF-8 is refused", async () => {
  await using server = serve();
  for (const name of ["msgbus-key", "msgbus-meta-a", "idempotency-key", "msgbus-ttl", "if-match"]) {
    const bytes = server.request("PUT /t", { [name]: "X" }, "hi").map((byte) => byte === 0x58 ? 0xe9 : byte);
    const [answer] = await server.raw(bytes);
    assertEquals([answer!.status, answer!.error], [400, "bad_header"], name);
  }
  assertEquals(server.bus.topics(), []);
});

/** What is refused, and how. */
const REFUSED: readonly (readonly [line: string, fields: Fields, status: number, code: string])[] = [
  ...["", "soon", "-1", "1.5", "1h30m", "1e3", "300000000d", "9223372036855ms"].flatMap((value) => [
    [`PUT /t?ttl=${value}`, {}, 400, "bad_parameter"] as const,
    ["PUT /t", { "msgbus-ttl": value }, 400, "bad_header"] as const,
  ]),
  ["PUT /t?delay=x", {}, 400, "bad_parameter"],
  ["PUT /t?delay=3651d", {}, 400, "bad_parameter"],
  ["PUT /t?at=10m", {}, 400, "bad_parameter"],
  ["PUT /t?at=2018-03-25", {}, 400, "bad_parameter"],
  ["PUT /t?at=2018-02-30T25:00:00Z", {}, 400, "bad_parameter"],
  ["PUT /t?at=9999-12-31T23:59:59Z", {}, 400, "bad_parameter"],
  ["PUT /t", { "msgbus-at": "tomorrow" }, 400, "bad_header"],
  ["PUT /t?key=", {}, 400, "bad_header"],
  ["PUT /t?key=%0A", {}, 400, "bad_header"],
  ["PUT /t?key=%ff", {}, 400, "bad_parameter"],
  ["PUT /t", { "msgbus-key": "%0d%0aX: y" }, 400, "bad_header"],
  ["PUT /t", { "msgbus-key": "100%" }, 400, "bad_header"],
  ["PUT /t", { "msgbus-key": "%00" }, 400, "bad_header"],
  ["PUT /t", { "msgbus-key": "x".repeat(257) }, 431, "headers_too_large"],
  ["PUT /t", { "msgbus-key": "%C3%A9".repeat(129) }, 431, "headers_too_large"],
  ["PUT /t", { "idempotency-key": "x".repeat(257) }, 431, "headers_too_large"],
  ["PUT /t?idempotency-key=", {}, 400, "bad_header"],
  ["PUT /t", { "msgbus-meta-": "x" }, 400, "bad_header"],
  ["PUT /t?meta-=x", {}, 400, "bad_header"],
  ["PUT /t?meta-a%20b=x", {}, 400, "bad_header"],
  ["PUT /t?meta-a=x&meta-A=y", {}, 400, "bad_header"],
  ["PUT /t", { "msgbus-meta-msgbus-reply-to": "x" }, 400, "bad_header"],
  ["PUT /t?meta-Msgbus-Reply-To=x", {}, 400, "bad_header"],
  ["PUT /t", { "msgbus-meta-a": "%0a" }, 400, "bad_header"],
  ["PUT /t", { "msgbus-meta-a": "x".repeat(8192) }, 431, "headers_too_large"],
  [
    "PUT /t",
    Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`msgbus-meta-${i}`, "x"])),
    431,
    "headers_too_large",
  ],
  ["PUT /t", { "content-type": "text" }, 400, "bad_header"],
  ["PUT /t", { "content-type": "text/html, text/plain" }, 400, "bad_header"],
  ["PUT /t", { "content-type": `a/${"b".repeat(300)}` }, 400, "bad_header"],
  ["PUT /t?content-type=", {}, 400, "bad_header"],
  ["PUT /t?content-type=text/plain%0d%0aX:+y", {}, 400, "bad_header"],
  ["PUT /t", { "if-match": "*" }, 400, "bad_header"],
  ["PUT /t", { "if-match": 'W/"5"' }, 400, "bad_header"],
  ["PUT /t", { "if-match": '"5", "6"' }, 400, "bad_header"],
  ["PUT /t?if-match=-1", {}, 400, "bad_parameter"],
  ["PUT /t?if-match=9007199254740993", {}, 400, "bad_parameter"],
  ["PUT /t?if-match=1", {}, 412, "seq_mismatch"],
  ["PUT /t", { "if-match": "0@abc" }, 412, "seq_mismatch"],
  ["PUT /t?split=words", {}, 400, "bad_parameter"],
  ["PUT /t?reply=0", {}, 400, "bad_parameter"],
  ["PUT /t?reply=301s", {}, 400, "bad_parameter"],
  ["PUT /t?reply=", {}, 400, "bad_parameter"],
  ["PUT /t?ttl=1s&ttl=2s", {}, 400, "bad_parameter"],
  ["PUT /t?Ttl=1s", {}, 400, "unknown_parameter"],
  ["PUT /t?msgbus-ttl=1s", {}, 400, "unknown_parameter"],
  ["PUT /t?group=g", {}, 400, "unknown_parameter"],
  ["PUT /t", { "msgbus-split": "lines" }, 400, "unknown_header"],
  ["PUT /t", { "msgbus-id": "5" }, 400, "unknown_header"],
  ["PUT /t", { "msgbus-metatrace": "5" }, 400, "unknown_header"],
  // Contradictions.
  ["PUT /t?ttl=1s", { "msgbus-ttl": "1s" }, 400, "bad_parameter"],
  ["PUT /t?key=a", { "msgbus-key": "a" }, 400, "bad_parameter"],
  ["PUT /t?meta-a=1", { "msgbus-meta-a": "1" }, 400, "bad_parameter"],
  ["PUT /t?idempotency-key=a", { "idempotency-key": "a" }, 400, "bad_parameter"],
  ["PUT /t?if-match=0", { "if-match": "0" }, 400, "bad_parameter"],
  ["PUT /t?delay=1s&at=2018-03-25T13:18:38Z", {}, 400, "bad_parameter"],
  ["PUT /t?delay=1s", { "msgbus-at": "2018-03-25T13:18:38Z" }, 400, "bad_parameter"],
  ["PUT /t?delay=1s&if-match=0", {}, 400, "bad_parameter"],
  ["PUT /t?at=2018-03-25T13:18:38Z", { "if-match": "0" }, 400, "bad_parameter"],
  ["PUT /t?delay=1s&split=lines", {}, 400, "bad_parameter"],
  ["PUT /t?reply=1s&split=lines", {}, 400, "bad_parameter"],
  ["PUT /t?reply=1s&delay=1s", {}, 400, "bad_parameter"],
  ["PUT /t?reply=1s&at=2018-03-25T13:18:38Z", {}, 400, "bad_parameter"],
  ["PUT /t?reply=1s", { "idempotency-key": "a" }, 400, "bad_parameter"],
  // What says how to publish goes with nothing else.
  ["GET /t", { "msgbus-ttl": "1s" }, 400, "unknown_header"],
  ["GET /", { "msgbus-meta-a": "b" }, 400, "unknown_header"],
  ["HEAD /t", { "msgbus-key": "a" }, 400, "unknown_header"],
  ["DELETE /t", { "msgbus-delay": "1s" }, 400, "unknown_header"],
  ["GET /-/health", { "msgbus-at": "x" }, 400, "unknown_header"],
  ["POST /-/ack", { "msgbus-meta-a": "b" }, 400, "unknown_header"],
  ["POST /-/reply/x", { "msgbus-ttl": "1s" }, 400, "unknown_header"],
  ["GET /t?ttl=1s", {}, 400, "unknown_parameter"],
];

Deno.test("publish: what can't be meant is refused by its status and code, takes no id and makes no topic", async () => {
  await using server = serve();
  for (const [line, fields, status, code] of REFUSED) {
    const answer = await server.ask(line, fields, line.startsWith("PUT") ? "hi" : "");
    const what = `${line} ${JSON.stringify(fields).slice(0, 80)}`;
    assertEquals([answer.status, answer.error], [status, code], what);
    assert(/^\P{Cc}*\n?$/u.test(answer.body) && answer.body.length < 400, answer.body);
    assertEquals(server.bus.topics(), [], what);
  }
});

Deno.test("publish: standard headers that any client may send mean nothing where nothing is published", async () => {
  await using server = serve();
  server.bus.put("t", "hi");
  const fields = { "if-match": "*", "content-type": "nonsense", "idempotency-key": "" };
  assertEquals((await server.ask("GET /t", fields)).status, 200);
  assertEquals((await server.ask("DELETE /t", fields)).status, 204);
});

Deno.test("publish: 64 headers of 8 KiB and keys of 256 bytes are kept, and come back", async () => {
  await using server = serve();
  const names = Array.from({ length: 64 }, (_, i) => `x${i}`);
  const bytes = 8192 - names.join("").length;
  const value = "v".repeat(Math.floor(bytes / 64));
  const fields = Object.fromEntries(names.map((name) => [`msgbus-meta-${name}`, value]));
  const key = "é".repeat(128);
  const { status } = await server.ask("PUT /t", { ...fields, "msgbus-key": encodeURIComponent(key) }, "hi");
  assertEquals(status, 202);
  const raw = await server.ask("GET /t?format=raw");
  for (const name of names) assertEquals(raw.headers.get(`msgbus-meta-${name}`), value);
  assertEquals(decodeURIComponent(raw.headers.get("msgbus-key")!), key);
});

Deno.test("publish: Idempotency-Key answers a repeat as the first, with Msgbus-Duplicate", async () => {
  await using server = serve();
  const fields = { "idempotency-key": "order 1", ...JSON_WANTED };
  const first = await server.ask("PUT /t", fields, "hi");
  server.bus.put("t", "between");
  const again = await server.ask("POST /t?idempotency-key=order+1", JSON_WANTED, "hi");
  assertEquals([first.status, again.status], [202, 202]);
  assertEquals([first.headers.get("msgbus-duplicate"), again.headers.get("msgbus-duplicate")], [null, "true"]);
  assertEquals(["id", "cursor"].map((name) => again.headers.get(`msgbus-${name}`)), [
    "0",
    first.headers.get("msgbus-cursor"),
  ]);
  assertEquals(JSON.parse(again.body), { ...JSON.parse(first.body), duplicate: true });
  const plain = await server.ask("PUT /t", { "idempotency-key": "order 1" }, "hi");
  assertEquals([plain.body, plain.headers.get("msgbus-duplicate")], ["", "true"]);
  const other = await server.ask("PUT /t", fields, "ho");
  assertEquals([other.status, other.error], [422, "idempotency_conflict"]);
  assertEquals((await server.ask("PUT /u", fields, "ho")).headers.get("msgbus-duplicate"), null);
  assertEquals([server.bus.topic("t")!.seq, server.bus.totals().duplicates], [2, 2]);
});

Deno.test("publish: a repeat of split lines is answered with their count", async () => {
  await using server = serve();
  const ask = (body: string) => server.ask("PUT /t?split=lines&idempotency-key=k", {}, body);
  assertEquals((await ask("a\nb\n")).headers.get("msgbus-count"), "2");
  const again = await ask("a\r\n\nb");
  assertEquals(["id", "count", "duplicate"].map((name) => again.headers.get(`msgbus-${name}`)), ["0", "2", "true"]);
  assertEquals((await ask("ab")).error, "idempotency_conflict");
});

Deno.test("publish: If-Match takes an id, in quotation marks or not, and a cursor", async () => {
  await using server = serve();
  let cursor = "0";
  for (
    const [id, form] of [(at: string) => at, (at: string) => `"${at}"`, (at: string) => at.split("@")[0]].entries()
  ) {
    const answer = await server.ask("PUT /t", { "if-match": form(cursor) }, "hi");
    assertEquals(answer.headers.get("msgbus-id"), String(id));
    cursor = answer.headers.get("msgbus-cursor")!;
  }
  const stale = await server.ask("PUT /t", { "if-match": "2" }, "hi");
  assertEquals([stale.status, stale.error], [412, "seq_mismatch"]);
  assertMatch(stale.body, /its next id is 3@[0-9a-z]+\n$/);
  assertEquals((await server.ask(`PUT /t?if-match=${cursor}`, {}, "hi")).status, 202);
  assertEquals((await server.ask("PUT /t?if-match=4&split=lines", {}, "a\nb")).headers.get("msgbus-count"), "2");
});

Deno.test("publish: a ttl of 0 keeps the message, and one of its own lets it go", async () => {
  const clock = new TestClock();
  await using server = serve({ clock, ttlMs: 1000 });
  await server.ask("PUT /t?ttl=0", {}, "kept");
  await server.ask("PUT /t", { "msgbus-ttl": "500ms" }, "short");
  const [kept, short] = (await server.ask("GET /t?since=0")).body.trim().split("\n").map((line) => JSON.parse(line));
  assertEquals([kept.expires, short.expires], ["0001-01-01T00:00:00Z", "2018-03-25T13:18:39.232Z"]);
});

Deno.test("publish: in an answer nothing of what a stranger said ends a line, whatever it is", async () => {
  await using server = serve();
  const hostile = [
    "\r\nSet-Cookie: a=b",
    "%0d%0aSet-Cookie: a=b",
    "\n\nHTTP/1.1 200 OK",
    "é\u2028",
    "a\tb",
    "%25%0A",
    '"\\',
    "; x",
    " ",
  ];
  for (const value of hostile) {
    for (
      const [name, encoded] of [["query", encodeURIComponent(value)], ["header", value], [
        "encoded",
        encodeURIComponent(value),
      ]]
    ) {
      const fields: Fields = name === "query" ? {} : { "msgbus-key": encoded!, "msgbus-meta-a": encoded! };
      const query = name === "query" ? `?key=${encoded}&meta-a=${encoded}` : "";
      // A header with a line end in it is two headers, or a broken request.
      const [published] = await server.raw(server.request(`PUT /t${query}`, fields, "hi"));
      assert(published === undefined || [202, 400].includes(published.status));
      if (published?.status !== 202) continue;
      const raw = await server.ask("GET /t?format=raw");
      assertEquals([raw.status, raw.headers.get("set-cookie"), raw.body], [200, null, "hi"]);
      assertEquals([...raw.headers.keys()].filter((name) => name.startsWith("msgbus-meta-")), ["msgbus-meta-a"]);
    }
  }
});
