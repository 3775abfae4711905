/**
 * `GET /metrics`, and what a handler tells of its answers.
 *
 * @module
 */

import { MessageBus } from "../../lib/bus/bus.ts";
import { type Answer, createHandler } from "../../lib/http/handler.ts";
import { assert, assertEquals, assertMatch } from "../deps.ts";
import { HANDSHAKE, serve } from "../http/serving.ts";

const PAGE = "# HELP a b\n# TYPE a gauge\na 1\n";

Deno.test("GET /metrics answers what it is given, in the type of the format", async () => {
  await using server = serve({}, { metrics: () => PAGE });
  const { status, headers, body } = await server.ask("GET /metrics");
  assertEquals([status, body], [200, PAGE]);
  assertEquals(headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  assertEquals(headers.get("cache-control"), "no-store");
});

Deno.test("HEAD /metrics answers the head alone", async () => {
  await using server = serve({}, { metrics: () => PAGE });
  const { status, headers, body } = await server.ask("HEAD /metrics");
  assertEquals([status, headers.get("content-length"), body], [200, String(PAGE.length), ""]);
});

Deno.test("GET /metrics is no endpoint of a handler without metrics", async () => {
  await using server = serve();
  const { status, error } = await server.ask("GET /metrics");
  assertEquals([status, error], [404, "no_endpoint"]);
});

/** Requests that /metrics refuses as every endpoint does. */
const REFUSED = [
  ["DELETE /metrics", {}, 405, "method_not_allowed"],
  ["POST /metrics", {}, 405, "method_not_allowed"],
  ["PUT /metrics", {}, 405, "method_not_allowed"],
  ["GET /metrics?a=b", {}, 400, "unknown_parameter"],
  ["GET /metrics", { host: "evil.example" }, 403, "host_not_allowed"],
  ["GET /metrics", { origin: "https://evil.example" }, 403, "origin_not_allowed"],
  ["GET /metrics", { "x-forwarded-for": "192.0.2.1" }, 403, "proxied"],
] as const;

for (const [line, fields, expectedStatus, code] of REFUSED) {
  Deno.test(`${line} ${JSON.stringify(fields)} is ${expectedStatus} ${code}`, async () => {
    await using server = serve({}, { metrics: () => PAGE });
    const { status, error } = await server.ask(line, fields);
    assertEquals([status, error], [expectedStatus, code]);
  });
}

/** Requests, and what is told of their answers. */
const ANSWERS: readonly (readonly [line: string, body: string, told: Omit<Answer, "seconds">])[] = [
  ["POST /t", "hi", { method: "POST", route: "publish", status: 202, error: undefined }],
  ["PUT /t", "hi", { method: "PUT", route: "publish", status: 202, error: undefined }],
  ["GET /t", "", { method: "GET", route: "pull", status: 200, error: undefined }],
  ["GET /none", "", { method: "GET", route: "pull", status: 404, error: "no_topic" }],
  ["PUT /t", "too long", { method: "PUT", route: "publish", status: 413, error: "too_large" }],
  ["HEAD /t", "", { method: "HEAD", route: "other", status: 200, error: undefined }],
  ["GET /", "", { method: "GET", route: "other", status: 200, error: undefined }],
  ["GET /a#b", "", { method: "GET", route: "other", status: 400, error: "bad_target" }],
  ["BREW /t", "", { method: "BREW", route: "other", status: 501, error: "unknown_method" }],
  ["OPTIONS /t", "", { method: "OPTIONS", route: "other", status: 204, error: undefined }],
  ["DELETE /t", "", { method: "DELETE", route: "other", status: 204, error: undefined }],
];

Deno.test("HandlerOptions.onAnswer is told of each answer, once", async () => {
  const answers: Answer[] = [];
  await using server = serve({ maxPayloadBytes: 4 }, { onAnswer: (answer) => void answers.push(answer) });
  for (const [line, body] of ANSWERS) await server.ask(line, {}, body);
  assertEquals(answers.map(({ seconds: _, ...told }) => told), ANSWERS.map(([, , told]) => told));
  assert(answers.every(({ seconds }) => seconds > 0 && seconds < 10));
});

Deno.test("HandlerOptions.onAnswer is told of a subscription when it begins, and of one that is refused", async () => {
  const answers: Answer[] = [];
  await using server = serve({}, { onAnswer: (answer) => void answers.push(answer) });
  await server.ask("GET /t", HANDSHAKE);
  await server.ask("GET /t", { ...HANDSHAKE, "sec-websocket-version": "8" });
  assertEquals(answers.map(({ seconds: _, ...told }) => told), [
    { method: "GET", route: "subscribe", status: 101, error: undefined },
    { method: "GET", route: "subscribe", status: 426, error: "upgrade_required" },
  ]);
});

Deno.test("HandlerOptions.onAnswer is told of a bug as internal", async () => {
  const answers: Answer[] = [];
  await using server = serve({}, {
    onAnswer: (answer) => void answers.push(answer),
    metrics: () => {
      throw new TypeError("a bug");
    },
  });
  assertEquals((await server.ask("GET /metrics")).status, 500);
  assertEquals([answers[0]?.status, answers[0]?.error], [500, "internal"]);
  assertMatch(String(server.bugs.pop()), /a bug/);
});

Deno.test("HandlerOptions.onAnswer is told of a publish whose client has gone", async () => {
  const answer = Promise.withResolvers<Answer>();
  await using server = serve({}, { onAnswer: answer.resolve });
  const conn = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  await conn.write(server.request("POST /t", { "content-length": "10" }, "half"));
  conn.close();
  const { method, route, status } = await answer.promise;
  assertEquals([method, route, Math.floor(status / 100)], ["POST", "publish", 4]);
});

Deno.test("createHandler without onAnswer does not ask what time it is", async () => {
  const platform = performance.now;
  performance.now = () => {
    throw new Error("asked");
  };
  try {
    const handler = createHandler(new MessageBus());
    const request = new Request("http://localhost/", { headers: { host: "localhost" } });
    assertEquals((await handler(request, {} as Deno.ServeHandlerInfo)).status, 200);
  } finally {
    performance.now = platform;
  }
});
