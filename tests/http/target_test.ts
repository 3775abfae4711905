/**
 * Request targets, `Host`, methods, parameters and headers, as they are sent.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "../deps.ts";
import { serve } from "./serving.ts";

/** A target that is published to, and the topic it means. */
const TOPICS: readonly (readonly [target: string, topic: string])[] = [
  ["/a", "a"],
  ["/a/", "a"],
  ["//a//", "a"],
  ["//evil/x", "evil/x"],
  ["/%2Fa%2f", "a"],
  ["/a%2Fb", "a/b"],
  ["/a+b", "a+b"],
  ["/a%20b", "a b"],
  ["/%61", "a"],
  ["/%C3%A9", "é"],
  ["/%F0%9F%98%80", "😀"],
  ["/...", "..."],
  ["/a..b", "a..b"],
  ["/a&b=c;d", "a&b=c;d"],
  ["/a:b@c", "a:b@c"],
  ["/~a_-.!$'()", "~a_-.!$'()"],
  ["/%22%3C%3E%7B%7D", `"<>{}`],
  ["/" + "a".repeat(512), "a".repeat(512)],
  ["/" + "a/".repeat(15) + "a", "a/".repeat(15) + "a"],
  ["/a?", "a"],
  ["/a?&", "a"],
  ["/http://other/x".replace("//", "%2F"), "http:/other/x"],
];

/** A target that is refused wherever it is used, and the code. */
const REFUSED: readonly (readonly [target: string, code: string])[] = [
  // B1: judged as sent, not after somebody resolved it
  ["/a/../b", "bad_topic"],
  ["/a/%2e%2e/b", "bad_topic"],
  ["/a/%2E./b", "bad_topic"],
  ["/a/./b", "bad_topic"],
  ["/..", "bad_topic"],
  ["/a/..%2fb", "bad_topic"],
  ["/a\\..\\b", "bad_topic"],
  ["/a/..%5cb", "bad_topic"],
  ["/\\evil/x", "bad_topic"],
  // B2
  ["/a//b", "bad_topic"],
  ["/a%2F%2Fb", "bad_topic"],
  ["//", "bad_topic"],
  ["/%2F", "bad_topic"],
  // B3
  ["/a%00", "bad_topic"],
  ["/a%0d%0ab", "bad_topic"],
  ["/%1f", "bad_topic"],
  ["/%7f", "bad_topic"],
  ["/%c2%85", "bad_topic"],
  ["/%e2%80%a8", "bad_topic"],
  ["/%e2%80%a9", "bad_topic"],
  // B4
  ["/%c0%ae", "bad_topic"],
  ["/%ed%a0%80", "bad_topic"],
  ["/%ff", "bad_topic"],
  ["/%", "bad_topic"],
  ["/%zz", "bad_topic"],
  ["/%u0041", "bad_topic"],
  ["/%2", "bad_topic"],
  // B5
  ["/%252e%252e", "bad_topic"],
  // B6: é in two characters, full-width dots, zero-width and bidirectional controls, a non-character
  ["/e%CC%81", "not_nfc"],
  ["/a/%EF%BC%8E%EF%BC%8E/b", "bad_topic"],
  ["/a%E2%80%8Bb", "bad_topic"],
  ["/a%E2%80%AEb", "bad_topic"],
  ["/%EF%BB%BFa", "bad_topic"],
  ["/%EF%BF%BF", "bad_topic"],
  ["/%EF%B7%90", "bad_topic"],
  // B7
  ["/" + "a".repeat(513), "bad_topic"],
  ["/" + "%C3%A9".repeat(257), "bad_topic"],
  ["/" + "a/".repeat(16) + "a", "bad_topic"],
  // B8
  ["/*", "bad_topic"],
  ["/a/*", "bad_topic"],
  ["/a,b", "bad_topic"],
  ["/a%23b", "bad_topic"],
  ["/a%3Fb", "bad_topic"],
  ["/a%2Cb", "bad_topic"],
  // A fragment is never sent.
  ["/a#b", "bad_target"],
  ["/a?#b", "bad_target"],
  ["/a?nonsense", "unknown_parameter"],
  ["/a?__proto__=1", "unknown_parameter"],
  ["/a?%", "bad_parameter"],
  ["/a?%ff=1", "bad_parameter"],
  ["/" + "a".repeat(9000), "target_too_long"],
  ["/a?" + "b".repeat(9000), "target_too_long"],
];

/** Names that clients read but don't publish to. */
const RESERVED = ["/-", "/-/x", "/metrics", "/a/-dead", "/-a", "/%2Dx", "/a/-/b"];

for (const [target, topic] of TOPICS) {
  Deno.test(`target: ${abbreviated(target)} is topic ${abbreviated(topic)}`, async () => {
    await using server = serve();
    assertEquals((await server.ask(`PUT ${target}`, {}, "hi")).status, 202);
    assertEquals(server.bus.topics().map(({ name }) => name), [topic]);
    assertEquals(JSON.parse((await server.ask(`GET ${target}`)).body).topic.name, topic);
    assertEquals((await server.ask(`DELETE ${target}`)).status, 204);
  });
}

for (const [target, code] of REFUSED) {
  Deno.test(`target: ${abbreviated(target)} is ${code}`, async () => {
    await using server = serve();
    server.bus.put("b", "never taken");
    for (const method of ["PUT", "GET", "HEAD", "DELETE"]) {
      const { status, error, body } = await server.ask(`${method} ${target}`);
      assertEquals([status, error], [code === "target_too_long" ? 414 : 400, code], method);
      assert(/^\P{Cc}*\n?$/u.test(body) && body.length < 300, body);
    }
    assertEquals(server.bus.topics().map(({ name, pending }) => [name, pending]), [["b", 1]]);
  });
}

for (const target of RESERVED) {
  Deno.test(`target: ${target} is reserved`, async () => {
    await using server = serve();
    for (const method of ["PUT", "POST"]) {
      const { status, error } = await server.ask(`${method} ${target}`, {}, "hi");
      // What is an endpoint, or would be one, answers for itself.
      const isEndpoint = ["/-", "/-/x", "/metrics"].includes(target);
      assertEquals([status, error], isEndpoint ? [404, "no_endpoint"] : [403, "reserved"]);
    }
    assertEquals(server.bus.topics(), []);
    assertEquals((await server.ask(`GET ${target}`)).status, 404);
  });
}

Deno.test("target: bytes beyond ASCII are refused by the platform or read as UTF-8, never a bug", async () => {
  await using server = serve();
  const [utf8] = await server.raw(server.request("PUT /é", {}, "hi"));
  assert(utf8 === undefined || [202, 400].includes(utf8.status));
  const invalid = server.request("PUT /X", {}, "hi").map((byte) => byte === 0x58 ? 0xff : byte);
  const [latin] = await server.raw(invalid);
  assert(latin === undefined || latin.status === 400);
  assert(server.bus.topics().every(({ name }) => name === "é"));
});

Deno.test("target: a parameter that is not known is refused, and named", async () => {
  await using server = serve();
  await server.ask("PUT /t", {}, "hi");
  const { error, body } = await server.ask("GET /t?sinse=0");
  assertEquals([error, body], ["unknown_parameter", `Unknown query parameter "sinse"\n`]);
  for (const line of ["GET /?x=1", "HEAD /t?x", "DELETE /t?x=1", "GET /-/health?x", "PUT /t?Split=lines"]) {
    assertEquals((await server.ask(line)).error, "unknown_parameter", line);
  }
  assertEquals(server.bus.topic("t")?.pending, 1);
});

Deno.test("target: a parameter given twice, or with a value it cannot have, is refused", async () => {
  await using server = serve();
  const twice = await server.ask("PUT /t?split=lines&split=lines", {}, "a");
  assertEquals([twice.error, twice.body], ["bad_parameter", `Query parameter "split" is given twice\n`]);
  for (const value of ["", "words", "LINES", "lines%00", "lines+"]) {
    const { status, error } = await server.ask(`PUT /t?split=${value}`, {}, "a");
    assertEquals([status, error], [400, "bad_parameter"], value);
  }
  assertEquals(server.bus.topics(), []);
  assertEquals((await server.ask("PUT /t?s%70lit=l%69nes", {}, "a")).headers.get("msgbus-count"), "1");
});

Deno.test("target: what is echoed of a request is escaped and cut", async () => {
  await using server = serve();
  const { body } = await server.ask(`GET /t?${"%1b[2J%0A".repeat(200)}=1`);
  assertStringIncludes(body, `Unknown query parameter "\\u001b[2J\\n`);
  assert(body.length < 400 && body.indexOf("\n") === body.length - 1);
});

Deno.test("target: the absolute form of this server is its path, any other authority is refused", async () => {
  await using server = serve();
  const host = `localhost:${server.port}`;
  assertEquals((await server.ask(`PUT http://${host}/t`, {}, "hi")).status, 202);
  assertEquals((await server.ask(`GET http://${host}`)).body, "t\n");
  assertEquals(server.bus.topics().map(({ name }) => name), ["t"]);
  for (
    const target of [
      "http://evil.example/t",
      `http://user:pass@${host}/t`,
      `http://localhost:1/t`,
      `http://${host}.evil.example/t`,
      `http://${host}?split=lines`,
      "ftp://localhost/t",
      "t",
      "",
    ]
  ) {
    const [answer] = await server.raw(server.request(`DELETE ${target}`));
    assertEquals(answer?.status, 400, target);
  }
  assertEquals(server.bus.topics().length, 1);
});

Deno.test("target: the asterisk form is refused", async () => {
  await using server = serve();
  const { status, error } = await server.ask("OPTIONS *");
  assertEquals([status, error], [400, "bad_target"]);
});

for (
  const [what, host] of [
    ["no Host", undefined],
    ["an empty Host", ""],
    ["a Host with a path", "a/b?c"],
    ["a Host with a question mark", "localhost?x"],
    ["a Host with a fragment", "localhost#x"],
    ["a Host with a user", "a@localhost"],
    ["a Host of brackets", "]["],
    ["a Host with a space", "a b"],
    ["a Host of 300 bytes", "a".repeat(300)],
    ["a Host with a port that is none", "localhost:http"],
    ["a list of Hosts", "localhost, localhost"],
    ["a Host with a backslash", "localhost\\evil"],
    ["a Host with a percent sign", "local%68ost"],
  ] as const
) {
  Deno.test(`target: ${what} is bad_host`, async () => {
    await using server = serve();
    server.bus.put("t", "never taken");
    for (const line of ["GET /t", "DELETE /t", "PUT /t", "OPTIONS /t"]) {
      const { status, error } = await server.ask(line, { host });
      assertEquals([status, error], [400, "bad_host"], line);
    }
    assertEquals(server.bus.topic("t")?.pending, 1);
  });
}

Deno.test("target: two Hosts are refused", async () => {
  await using server = serve();
  server.bus.put("t", "never taken");
  for (const second of ["localhost", "evil.example"]) {
    const [answer] = await server.raw(server.request("GET /t", { host: `localhost\r\nhost: ${second}` }));
    assertEquals(answer?.status, 400);
  }
  assertEquals(server.bus.topic("t")?.pending, 1);
});

Deno.test("target: HTTP/1.0 without Host is refused", async () => {
  await using server = serve();
  const [answer] = await server.raw("GET /-/health HTTP/1.0\r\n\r\n");
  assertEquals([answer?.status, answer?.error], [400, "bad_host"]);
});

Deno.test("method: an unknown one is 501, whatever else is wrong", async () => {
  await using server = serve();
  for (const line of ["get /t", "PUBLISHX /t", "TRACE /t", "CONNECT localhost:1", "BREW /a//b", "PROPFIND /"]) {
    const { status, error } = await server.ask(line);
    assertEquals([status, error], [501, "unknown_method"], line);
  }
});

Deno.test("method: a known one that is not allowed is 405 and says what is", async () => {
  await using server = serve();
  for (
    const [line, allow] of [
      ["PATCH /t", "GET, HEAD, PUT, POST, DELETE, OPTIONS"],
      ["PATCH /", "GET, HEAD, OPTIONS"],
      ["PUT /", "GET, HEAD, OPTIONS"],
      ["POST /", "GET, HEAD, OPTIONS"],
      ["DELETE /", "GET, HEAD, OPTIONS"],
    ] as const
  ) {
    const { status, error, headers } = await server.ask(line);
    assertEquals([status, error, headers.get("allow")], [405, "method_not_allowed", allow], line);
  }
});

Deno.test("header: a Msgbus- header that is not known is refused, because it would have no effect", async () => {
  await using server = serve();
  server.bus.put("t", "never taken");
  for (const line of ["PUT /t", "GET /t", "DELETE /t"]) {
    const { status, error, body } = await server.ask(line, { "Msgbus-Nonsense": "1" });
    assertEquals([status, error, body], [400, "unknown_header", `Unknown header "msgbus-nonsense"\n`]);
  }
  assertEquals(server.bus.topic("t")?.length, 1);
});

/** A target as the name of a test shows it. */
function abbreviated(target: string): string {
  return target.length > 40 ? `${target.slice(0, 20)}… (${target.length})` : target;
}
