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
