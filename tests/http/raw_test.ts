/**
 * Payloads as answers of their own, `format=raw`: what strangers wrote, and nothing that a browser would run.
 *
 * @module
 */

import { BusError } from "../../lib/errors.ts";
import { encodePercent } from "../../lib/wire/percent.ts";
import { TestClock } from "../bus/test_clock.ts";
import { assert, assertEquals, assertGreater, assertMatch, fc } from "../deps.ts";
import { Connection, serve } from "./serving.ts";

Deno.test("raw: a payload comes with its content type, and everything else said of it in headers", async () => {
  await using server = serve({ clock: new TestClock() });
  server.bus.put("é/x y", "hi", { contentType: "text/csv", headers: { "x-trace": "a b é" }, key: "k:%" });
  const { headers, body } = await server.ask("GET /%C3%A9/x%20y?format=raw");
  const { date: _date, vary: _vary, "content-length": _length, ...rest } = Object.fromEntries(headers);
  assertEquals(body, "hi");
  assertEquals(rest, {
    "cache-control": "no-store",
    "content-security-policy": "sandbox; default-src 'none'",
    "content-type": "text/csv",
    "msgbus-created": "2018-03-25T13:18:38.732Z",
    "msgbus-cursor": server.bus.topic("é/x y")!.cursor,
    "msgbus-expires": "2018-03-25T13:19:38.732Z",
    "msgbus-id": "0",
    "msgbus-key": "k:%25",
    "msgbus-meta-x-trace": "a%20b%20%C3%A9",
    "msgbus-topic": "%C3%A9/x%20y",
    "x-content-type-options": "nosniff",
  });
});

Deno.test("raw: a payload of which nothing is said is an octet stream, and shown as one", async () => {
  await using server = serve();
  server.bus.put("t", "<script>alert(1)</script>");
  const { headers } = await server.ask("GET /t?format=raw");
  assertEquals([headers.get("content-type"), headers.get("content-disposition")], ["application/octet-stream", null]);
});

Deno.test("raw: a lease, its attempt and what the server says of a message are headers, too", async () => {
  await using server = serve();
  const asked = server.bus.request("t", "?", { headers: { a: "b" } });
  const { headers } = await server.ask("GET /t?lease=30s&format=raw");
  assertEquals([headers.get("msgbus-attempt"), headers.get("msgbus-meta-a")], ["1", "b"]);
  const { done } = await server.bus.ack(headers.get("msgbus-lease")!);
  assertEquals(done.length, 1);
  server.bus.reply(headers.get("msgbus-reply-to")!, "!");
  await asked;
});

Deno.test("raw: what is browsed is the same", async () => {
  await using server = serve();
  server.bus.put("t", "hi", { contentType: "text/html", key: "k" });
  const { headers } = await server.ask("GET /t?since=0&format=raw");
  assertEquals(
    ["content-type", "content-disposition", "msgbus-key"].map((name) => headers.get(name)),
    ["text/html", "attachment", "k"],
  );
});

/** Types that some browser shows by running something of them, or that nobody knows. */
const ACTIVE = [
  "text/html",
  "TEXT/HTML; charset=utf-8",
  "text/html;",
  "application/xhtml+xml",
  "image/svg+xml",
  "IMAGE/SVG+XML",
  "text/xml",
  "application/xml",
  "application/rss+xml",
  "application/pdf",
  "text/javascript",
  "application/javascript",
  "application/ecmascript",
  "text/css",
  "text/vtt",
  "text/x-component",
  "text/rtf",
  "multipart/x-mixed-replace; boundary=a",
  "multipart/related",
  "message/rfc822",
  "application/x-shockwave-flash",
  "application/x-java-applet",
  "application/wasm",
  "application/mathml+xml",
  "application/ld+json",
  "text/event-stream",
  "text/plainly",
  "xtext/plain",
  "image/pngx",
  "font/woff2",
  "model/x3d+xml",
  "*/*",
  "a/b",
];
const INERT = [
  "text/plain",
  "Text/Plain; charset=utf-8",
  "text/csv",
  "text/markdown",
  "application/json",
  "application/json;x=y",
  "application/x-ndjson",
  "application/octet-stream",
  "image/png",
  "image/jpeg",
  "image/webp",
  "audio/mpeg",
  "video/mp4",
];

Deno.test("raw: a browser is told to save what it might run, and nothing else", async () => {
  await using server = serve();
  for (const [types, disposition] of [[ACTIVE, "attachment"], [INERT, null]] as const) {
    for (const contentType of types) {
      server.bus.put("t", "<script>alert(1)</script>", { contentType });
      const { headers } = await server.ask("GET /t?format=raw");
      assertEquals([headers.get("content-type"), headers.get("content-disposition")], [contentType, disposition]);
      assertEquals(headers.get("content-security-policy"), "sandbox; default-src 'none'");
      assertEquals(headers.get("x-content-type-options"), "nosniff");
    }
  }
});

Deno.test("raw: a header of a message never stands for one of the answer", async () => {
  await using server = serve();
  const names = [
    "set-cookie",
    "location",
    "content-security-policy",
    "transfer-encoding",
    "content-length",
    "id",
    "refresh",
  ];
  server.bus.put("t", "hi", { headers: Object.fromEntries(names.map((name) => [name, "evil"])) });
  const { headers, body } = await server.ask("GET /t?format=raw");
  for (const name of names) assertEquals(headers.get(`msgbus-meta-${name}`), "evil");
  assertEquals([...headers].filter(([name, value]) => value.includes("evil") && !name.startsWith("msgbus-meta-")), []);
  assertEquals([headers.get("msgbus-id"), body], ["0", "hi"]);
});

const FIELD = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\x20-\x7e]*$/;

Deno.test("raw: whatever can be published comes back as it was said, byte for byte on the socket, and ends no line", async () => {
  await using server = serve({ ttlMs: 0 });
  using connection = await Connection.open(server.port);
  const nasty = fc.oneof(
    fc.string({ unit: "binary", maxLength: 20 }),
    fc.string({
      unit: fc.constantFrom("\r", "\n", "\0", ":", " ", "%", "a", "é", "😀", "\u2028", "\x85", '"', "\t"),
      maxLength: 12,
    }),
    fc.constantFrom("a\r\nset-cookie: b=c", "%0d%0aset-cookie:%20b", " lead and trail ", "\u202e", "HTTP/1.1 200 OK"),
  );
  const name = fc.oneof(fc.constantFrom("a", "set-cookie", "__proto__", "x-y"), nasty);
  const type = fc.oneof(fc.constantFrom("text/html", "a/b;c=d"), nasty.map((text) => `a/b; c="${text}"`), nasty);
  let published = 0;
  await fc.assert(
    fc.asyncProperty(fc.option(type, { nil: undefined }), name, nasty, nasty, async (contentType, name, value, key) => {
      try {
        server.bus.put("t", "hi", { contentType, headers: { [name]: value }, key });
      } catch (error) {
        assert(error instanceof BusError && ["bad_header", "headers_too_large"].includes(error.code), `${error}`);
        return;
      }
      published++;
      await connection.write(server.request("GET /t?format=raw"));
      let head = "";
      while (!head.endsWith("\r\n\r\n")) head += String.fromCharCode((await connection.bytes(1))[0]!);
      assertEquals(new TextDecoder().decode(await connection.bytes(2)), "hi");
      const [status, ...fields] = head.trimEnd().split("\r\n");
      assertEquals(status, "HTTP/1.1 200 OK");
      for (const field of fields) assertMatch(field, FIELD);
      const valueOf = (name: string) =>
        fields.filter((field) => field.startsWith(`${name}: `)).map((field) => field.slice(name.length + 2));
      assertEquals(valueOf("content-type"), [contentType ?? "application/octet-stream"]);
      assertEquals(valueOf("msgbus-key").map(decodeURIComponent), [key]);
      assertEquals(valueOf(`msgbus-meta-${name.toLowerCase()}`).map(decodeURIComponent), [value]);
      assertEquals(valueOf("msgbus-key"), [encodePercent(key)]);
      assertEquals(valueOf("content-length"), ["2"]);
      assertEquals(valueOf("set-cookie"), []);
    }),
    { numRuns: 1000 },
  );
  // Most of what is made up at random is refused; what comes through must be enough to mean something.
  assertGreater(published, 50);
});
