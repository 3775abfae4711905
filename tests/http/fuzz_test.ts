/**
 * Requests with broken bytes: whatever comes, the server answers as documented and serves the next request.
 *
 * @module
 */

import { assertEquals } from "../deps.ts";
import { STATUS } from "../../lib/http/respond.ts";
import { Connection, HANDSHAKE, joined, serve, type Serving } from "./serving.ts";

const REQUESTS = 5_000;
const AT_ONCE = 8;
// Another one finds other things; a finding becomes a test of its own elsewhere.
const SEED = 20_180_325;

/** The statuses that the documentation names; 500 is not among them, because it would be a bug. */
const DOCUMENTED: ReadonlySet<number> = new Set(
  [100, 101, 200, 202, 204, ...Object.values(STATUS)].filter((status) => status !== 500),
);

/** Random numbers from a seed (mulberry32). */
function randomFrom(seed: number): (below: number) => number {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor(((t ^ (t >>> 14)) >>> 0) / 2 ** 32 * below);
  };
}

type Random = ReturnType<typeof randomFrom>;

function corpus(server: Serving): Uint8Array[] {
  const { request } = server;
  const chunks = "5\r\nhello\r\n0\r\n\r\n";
  return [
    request("GET /t"),
    request("GET /"),
    request("GET /", { accept: "application/json" }),
    request("GET /a%2Fb?x=1&y#z"),
    request("HEAD /t"),
    request("DELETE /t"),
    request("OPTIONS /t", { origin: "http://localhost:1", "access-control-request-method": "PUT" }),
    request("PUT /t", {}, "hello"),
    request("PUT /t", {}, "over the limit"),
    request("POST /%C3%A9/../x?split=lines", {}, "a\r\nb\n"),
    joined([request("PUT /t", { "transfer-encoding": "chunked" }), chunks]),
    joined([request("PUT /t", { "transfer-encoding": "chunked", "content-length": "5" }), chunks]),
    request("PUT /t", { expect: "100-continue", "content-encoding": "gzip" }, "hello"),
    request("GET /t", { origin: "https://evil.example", "sec-fetch-site": "cross-site", "sec-purpose": "prefetch" }),
    request("GET /t", { "x-forwarded-for": "1.2.3.4", forwarded: "for=x", via: "1.1 x" }),
    joined([request("GET /t", { ...HANDSHAKE, "last-event-id": "0@abc" }), "\x81\x85\0\0\0\0hello\x88\x80\0\0\0\0"]),
    request("GET /t", { ...HANDSHAKE, "sec-websocket-protocol": "a,msgbus" }),
    request("GET http://localhost/t", { host: "localhost" }),
    request("CONNECT localhost:1", { "msgbus-ttl": "1s" }),
    request(
      "PUT /t?ttl=5s&key=a+b&meta-a=b&content-type=text/plain",
      { "idempotency-key": "k", "if-match": "0" },
      "hello",
    ),
    request(
      "PUT /t",
      { "msgbus-delay": "1ms", "msgbus-key": "%C3%A9", "msgbus-meta-a": "b", "content-type": "a/b" },
      "x",
    ),
    request("POST /t?at=2018-03-25T13:18:38+02:00", { accept: "application/json" }, "x"),
    request("POST /t?reply=1ms", {}, "?"),
    request("POST /-/reply/abc", { "content-type": "text/plain" }, "!"),
    request("DELETE /-/scheduled?topic=t&token=abc"),
    joined([request("GET /t"), request("PUT /t", {}, "hello"), request("GET /t")]),
  ];
}

const TOKENS = [
  "\r\n",
  "\r",
  "\n",
  "\0",
  " ",
  "\t",
  ":",
  "/",
  "..",
  "%",
  "%2f",
  "%00",
  "#",
  "?",
  "&",
  "=",
  "@",
  "[",
  "]",
]
  .concat(["\\", ",", ";", "-1", "99999999999999999999", "HTTP/1.0", "HTTP/2.0", "Host: x\r\n", "\xff", "é", "chunked"])
  .concat(["Content-Length: 3\r\n", "Transfer-Encoding: gzip\r\n", "Upgrade: websocket\r\n", "*", "a".repeat(9_000)]);

/** Breaks a request in a few places. */
function mutated(random: Random, all: readonly Uint8Array[]): Uint8Array {
  let bytes = all[random(all.length)]!;
  for (let i = random(4); i >= 0; i--) {
    const at = random(bytes.length + 1);
    const length = random(16);
    const [before, after] = [bytes.slice(0, at), bytes.slice(at)];
    const other = all[random(all.length)]!;
    switch (random(6)) {
      case 0: // another byte
        bytes = joined([before, Uint8Array.of(random(256)), after.slice(1)]);
        break;
      case 1: // some bytes less
        bytes = joined([before, after.slice(length)]);
        break;
      case 2: // some bytes twice
        bytes = joined([before, after.slice(0, length), after]);
        break;
      case 3: // the end of another request
        bytes = joined([before, other.slice(random(other.length))]);
        break;
      case 4: // a whole request in the middle
        bytes = joined([before, other, after]);
        break;
      default:
        bytes = joined([before, TOKENS[random(TOKENS.length)]!, after]);
    }
  }
  return bytes;
}

Deno.test(`handler: ${REQUESTS} broken requests are answered as documented, and the next one works (seed ${SEED})`, async () => {
  await using server = serve({ maxPayloadBytes: 8, maxMessages: 16, maxTopics: 64 });
  const random = randomFrom(SEED);
  const all = corpus(server);
  const decoder = new TextDecoder("latin1");
  const seen = new Set<number>();
  for (let sent = 0; sent < REQUESTS; sent += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
      const bytes = mutated(random, all);
      const connection = await Connection.open(server.port);
      await connection.write(bytes);
      await connection.endOfRequests();
      const answers = decoder.decode(await connection.rest());
      for (const [, status] of answers.matchAll(/HTTP\/1\.[01] (\d{3}) /g)) {
        seen.add(Number(status));
        if (!DOCUMENTED.has(Number(status))) throw new Error(`${status} to ${JSON.stringify(decoder.decode(bytes))}`);
      }
      if (server.bugs.length > 0) throw new Error(JSON.stringify(decoder.decode(bytes)), { cause: server.bugs[0] });
    }));
    if (sent % 500 === 0) assertEquals((await server.ask("GET /-/health")).status, 200);
  }
  assertEquals((await server.ask("PUT /after", {}, "hi")).status, 202);
  // It went deeper than the grammar of HTTP.
  assertEquals([101, 200, 202, 204, 400, 403, 404, 413, 415, 501].filter((status) => !seen.has(status)), []);
});

const PATHS = [
  "/t",
  "/",
  "/u",
  "/missing",
  "/t,u",
  "/*",
  "/**",
  "/t/*",
  "/%2A",
  "/t%2Cu",
  "/-/health",
  "/metrics",
  "/a//b",
];
const NAMES = [
  "since",
  "index",
  "limit",
  "wait",
  "format",
  "frames",
  "mode",
  "split",
  "lease",
  "group",
  "x",
  "Since",
  "%73ince",
];
const VALUES = [
  "",
  "0",
  "1",
  "2",
  "-1",
  "1001",
  "10001",
  "1e9",
  "9007199254740993",
  "latest",
  "earliest",
  "last:2",
  "last:0",
  "last:x",
]
  .concat([
    "1@abc",
    "0@",
    "T",
    "Tjf6ynu4k",
    "Tzzzzzzzzzzz",
    "10m",
    "1ms",
    "2ms",
    "5m1s",
    "99999999d",
    "0001-01-01T00:00:00Z",
  ])
  .concat([
    "2018-03-25T13:18:38+00:00",
    "2018-03-25T13:18:38%2B00:00",
    "9999-12-31T23:59:60.999999999Z",
    "275760-09-13T00:00:00Z",
  ])
  .concat([
    "sse",
    "ndjson",
    "raw",
    "SSE",
    "publish",
    "subscribe",
    "lines",
    "%00",
    "%ff",
    "%",
    "+",
    "a=b",
    "é",
    "*",
    ",",
  ]);
const FIELDS: readonly (readonly [name: string, values: readonly string[]])[] = [
  ["accept", [
    "*/*",
    "text/event-stream",
    "application/x-ndjson;q=0.1",
    "text/html,*/*",
    "application/json",
    ",;=,",
    "",
    "text/event-stream,".repeat(200),
  ]],
  ["last-event-id", ["0", "1", "99", "1@abc", "Tjf6ynu4k", "", "x", "9".repeat(2_000), "../"]],
  ["upgrade", ["websocket", "h2c, WebSocket", "x"]],
  ["connection", ["Upgrade", "keep-alive, upgrade", "close"]],
  ["sec-websocket-version", ["13", "8", ""]],
  ["sec-websocket-key", ["dGhlIHNhbXBsZSBub25jZQ==", "x"]],
  ["sec-websocket-protocol", ["msgbus", "msgbus.ndjson", "a,msgbus.ndjson,b", ",", "x"]],
  ["origin", ["http://localhost:1", "https://evil.example", "null", ""]],
  ["if-none-match", ["*"]],
  ["range", ["bytes=0-1"]],
];
const FRAMES = [
  "",
  "\x81\x80\0\0\0\0",
  '\x81\x8c\0\0\0\0{"text":"a"}',
  "\x82\x81\0\0\0\0x",
  "\x89\x80\0\0\0\0",
  "\x88\x80\0\0\0\0",
  "\x01\x81\0\0\0\0x",
];

/** Values that go with a name; without them nearly everything would be refused at once. */
const FITTING: Readonly<Record<string, readonly string[]>> = {
  since: ["0", "1", "latest", "earliest", "last:2", "10m", "99@abc", "Tjf6ynu4k", "2018-03-25T13:18:38+00:00"],
  limit: ["1", "2", "1000"],
  wait: ["0", "1ms", "20ms"],
  format: ["sse", "ndjson", "raw"],
  frames: ["ndjson"],
  mode: ["publish", "subscribe"],
};

/** Values of what says how to publish: nearly all of them could be meant. */
const PUBLISH_VALUES: Readonly<Record<string, readonly string[]>> = {
  ttl: ["0", "1ms", "5s", "soon", "99999999999d"],
  delay: ["0", "1ms", "7d", "-1"],
  at: ["2018-03-25T13:18:38+02:00", "1969-01-01T00:00:00Z", "tomorrow"],
  key: ["k", "%C3%A9", "%00", "%", "x".repeat(300)],
  "idempotency-key": ["a", "b", "", "\xe9"],
  "if-match": ["0", '"1"', "2@abc", "*"],
  "content-type": [
    "text/plain",
    "a/b;c=d",
    "application/x-www-form-urlencoded",
    "nonsense",
    ";".repeat(200),
    "a/b" + ";  ".repeat(80),
  ],
  "meta-a": ["b", "%0d%0ax: y", "\xff"],
  "meta-msgbus-x": ["y"],
  split: ["lines"],
  reply: ["1ms", "0", "1h"],
};

function publishFrom(random: Random, server: Serving): Uint8Array {
  const one = <T>(all: readonly T[]) => all[random(all.length)]!;
  const query: string[] = [];
  const fields: Record<string, string> = {};
  for (const name of Object.keys(PUBLISH_VALUES)) {
    if (random(8) > 0) continue;
    const value = one(PUBLISH_VALUES[name]!);
    const isStandard = ["idempotency-key", "if-match", "content-type"].includes(name);
    if (random(2) === 0) query.push(`${name}=${random(4) === 0 ? value : encodeURI(value)}`);
    else fields[isStandard ? name : `msgbus-${name}`] = value;
  }
  const body = one(["", "a", "b", "a\nb\n", "more than eight"]);
  const head = `${one(["PUT", "POST"])} ${one(["/t", "/u", "/t/-dead", "/-/reply/x"])}`;
  return server.request(`${head}${query.length === 0 ? "" : `?${query.join("&")}`}`, fields, body);
}

Deno.test(`handler: ${REQUESTS} random publishes are answered as documented (seed ${SEED})`, async () => {
  await using server = serve({ maxPayloadBytes: 8, maxMessages: 64, maxTopics: 4 });
  const random = randomFrom(SEED);
  const seen = new Set<number>();
  for (let sent = 0; sent < REQUESTS; sent += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
      const bytes = publishFrom(random, server);
      // Not half closed: who waits for a reply would be taken for one that has left.
      using connection = await Connection.open(server.port);
      await connection.write(bytes);
      const { status } = await connection.answer();
      seen.add(status);
      if (!DOCUMENTED.has(status)) throw new Error(`${status} to ${new TextDecoder().decode(bytes)}`);
      if (server.bugs.length > 0) throw new Error(new TextDecoder().decode(bytes), { cause: server.bugs[0] });
      server.bus.get("t");
    }));
  }
  assertEquals([202, 400, 403, 410, 412, 413, 422, 431, 504].filter((status) => !seen.has(status)), []);
  assertEquals((await server.ask("GET /-/health")).status, 200);
});

function readingFrom(random: Random, server: Serving): Uint8Array {
  const one = <T>(all: readonly T[]) => all[random(all.length)]!;
  const fitting = random(3) > 0;
  const names = Array.from({ length: random(4) }, () => one(fitting ? Object.keys(FITTING) : NAMES));
  const query = [...new Set(names)].map((name) => `${name}=${one((fitting && FITTING[name]) || VALUES)}`).join("&");
  const whole = random(4) === 0 ? HANDSHAKE : {};
  const fields = Object.fromEntries(FIELDS.filter(() => random(6) === 0).map(([name, values]) => [name, one(values)]));
  const method = random(10) === 0 ? one(["HEAD", "DELETE", "PUT", "OPTIONS"]) : "GET";
  const head = server.request(`${method} ${one(PATHS)}${query === "" ? "" : `?${query}`}`, { ...whole, ...fields });
  return joined([head, Uint8Array.from(one(FRAMES), (character) => character.charCodeAt(0))]);
}

Deno.test(`handler: ${REQUESTS} random readings are answered as documented, whether or not they end (seed ${SEED})`, async () => {
  await using server = serve({ maxPayloadBytes: 8, maxMessages: 16, maxTopics: 64 });
  const random = randomFrom(SEED);
  const decoder = new TextDecoder("latin1");
  const seen = new Map<number, number>();
  for (let sent = 0; sent < REQUESTS; sent += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, async (_, i) => {
      const bytes = readingFrom(random, server);
      using connection = await Connection.open(server.port);
      await connection.write(bytes);
      // Waits end with a message, streams and sockets with the connection.
      server.bus.put(i % 2 === 0 ? "t" : "u", "hi");
      const begin = decoder.decode(await connection.bytes("HTTP/1.1 200".length));
      const status = Number(begin.slice(-3));
      seen.set(status, (seen.get(status) ?? 0) + 1);
      if (!DOCUMENTED.has(status)) throw new Error(`${begin} to ${JSON.stringify(decoder.decode(bytes))}`);
      if (server.bugs.length > 0) throw new Error(JSON.stringify(decoder.decode(bytes)), { cause: server.bugs[0] });
    }));
  }
  assertEquals([101, 200, 204, 400, 403, 404, 426].filter((status) => !seen.has(status)), []);
  assertEquals((await server.ask("GET /-/health")).status, 200);
});
