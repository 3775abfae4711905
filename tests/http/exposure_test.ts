/**
 * Who may ask: `Host`, `Origin`, `Sec-Fetch-Site`, `Sec-Purpose` and the headers of proxies.
 *
 * @module
 */

import type { ExposureOptions } from "../../lib/http/exposure.ts";
import { assert, assertEquals } from "../deps.ts";
import { type Fields, HANDSHAKE, serve, type Serving } from "./serving.ts";

const OK = undefined;

/** What a server answers to requests with certain header fields: the code of a refusal, or that there is none. */
interface Table {
  readonly [fields: string]: string | undefined;
}

const EVERYWHERE: Table = {
  "host: a b": "bad_host",
  "sec-fetch-site: none": OK,
  "sec-fetch-site: same-origin": OK,
  "sec-purpose: prefetch": "cross_site",
  "sec-purpose: prefetch;prerender": "cross_site",
  "origin: http://localhost": OK,
  "origin: http://localhost:3000": OK,
  "origin: https://127.0.0.1:3000": OK,
  "origin: http://127.1.2.3": OK,
  "origin: http://[::1]:3000": OK,
  "origin: http://localhost:3000 / sec-fetch-site: cross-site": OK,
};

const FOREIGN: Table = {
  "origin: https://evil.example": "origin_not_allowed",
  "origin: https://evil.example / sec-fetch-site: same-origin": "origin_not_allowed",
  "origin: null": "origin_not_allowed",
  "origin: ": "origin_not_allowed",
  "origin: file://": "origin_not_allowed",
  "origin: localhost": "origin_not_allowed",
  "origin: ftp://localhost": "origin_not_allowed",
  "origin: http://localhost.evil.example": "origin_not_allowed",
  "origin: http://localhost@evil.example": "origin_not_allowed",
  "origin: http://127.0.0.1.evil.example": "origin_not_allowed",
  "origin: http://localhost, https://evil.example": "origin_not_allowed",
  "origin: http://[::2]": "origin_not_allowed",
  "origin: http://10.0.0.1": "origin_not_allowed",
  "sec-fetch-site: cross-site": "cross_site",
};

const LOCAL_HOSTS: Table = {
  "host: localhost": OK,
  "host: LocalHost:8000": OK,
  "host: 127.0.0.1": OK,
  "host: 127.255.0.9:1": OK,
  "host: [::1]": OK,
  "host: [::1]:65535": OK,
};

const FOREIGN_HOSTS: Table = {
  "host: evil.example": "host_not_allowed",
  "host: evil.example:8000": "host_not_allowed",
  "host: evil.example / origin: http://evil.example": "host_not_allowed",
  "host: evil.example / sec-fetch-site: same-origin": "host_not_allowed",
  "host: localhost.evil.example": "host_not_allowed",
  "host: 127.0.0.1.evil.example": "host_not_allowed",
  "host: 127.0.0.256": "host_not_allowed",
  "host: 127.0.0": "host_not_allowed",
  "host: 128.0.0.1": "host_not_allowed",
  "host: 2130706433": "host_not_allowed",
  "host: 0.0.0.0": "host_not_allowed",
  "host: 192.168.1.2:8000": "host_not_allowed",
  "host: [::]": "host_not_allowed",
  "host: [::ffff:127.0.0.1]": "host_not_allowed",
};

const PROXIED: Table = {
  "forwarded: for=192.0.2.1": "proxied",
  "x-forwarded-for: 192.0.2.1": "proxied",
  "x-real-ip: 127.0.0.1": "proxied",
  "via: 1.1 proxy": "proxied",
};

const MODES: readonly (readonly [mode: string, options: ExposureOptions, table: Table])[] = [
  ["on loopback", {}, {
    ...EVERYWHERE,
    ...FOREIGN,
    ...LOCAL_HOSTS,
    ...FOREIGN_HOSTS,
    ...PROXIED,
    "sec-fetch-site: same-site": OK, // another port of this machine
  }],
  ["with a public host", { publicHosts: ["Bus.Example"] }, {
    ...EVERYWHERE,
    ...FOREIGN,
    ...LOCAL_HOSTS,
    ...FOREIGN_HOSTS,
    ...PROXIED,
    "host: bus.example": OK,
    "host: BUS.example:443": OK,
    "host: other.bus.example": "host_not_allowed",
    "origin: https://bus.example": OK,
    "origin: https://other.bus.example": "origin_not_allowed",
    "host: bus.example / sec-fetch-site: same-origin": OK,
    "host: bus.example / sec-fetch-site: same-site": "cross_site", // somebody else's subdomain, perhaps
  }],
  ["behind a proxy", { publicHosts: ["bus.example"], trustProxy: true }, {
    ...EVERYWHERE,
    ...FOREIGN,
    ...FOREIGN_HOSTS,
    "host: bus.example / x-forwarded-for: 192.0.2.1": OK,
    "host: evil.example / x-forwarded-for: 192.0.2.1": "host_not_allowed",
    "via: 1.1 proxy": OK,
    "forwarded: for=192.0.2.1;host=evil.example": OK,
    "x-forwarded-for: 192.0.2.1 / origin: https://evil.example": "origin_not_allowed",
  }],
  ["with an allowed origin", { allowOrigins: ["https://App.example"] }, {
    ...EVERYWHERE,
    ...FOREIGN,
    ...FOREIGN_HOSTS,
    "origin: https://app.example": OK,
    "origin: https://app.example / sec-fetch-site: cross-site": OK,
    "origin: http://app.example": "origin_not_allowed",
    "origin: https://app.example:8443": "origin_not_allowed",
    "origin: https://app.example.evil.example": "origin_not_allowed",
    "host: app.example": "host_not_allowed",
  }],
  ["with every origin allowed", { allowOrigins: ["*"] }, {
    ...EVERYWHERE,
    ...FOREIGN_HOSTS,
    ...PROXIED,
    "origin: https://evil.example": OK,
    "origin: null": OK,
    "sec-fetch-site: cross-site": OK,
    "origin: https://evil.example / sec-fetch-site: cross-site": OK,
  }],
  ["open to the network", { open: true }, {
    ...EVERYWHERE,
    ...FOREIGN,
    ...LOCAL_HOSTS,
    "host: 192.168.1.2:8000": OK,
    "host: bus.lan": OK,
    "host: 192.168.1.2:8000 / origin: http://192.168.1.2:8000": OK,
    "host: 192.168.1.2:8000 / origin: http://192.168.1.2:9000": "origin_not_allowed",
    "host: 192.168.1.2:8000 / origin: http://192.168.1.3:8000": "origin_not_allowed",
    "host: bus.lan / sec-fetch-site: same-site": "cross_site",
    "x-forwarded-for: 192.0.2.1": OK,
    "via: 1.1 proxy": OK,
  }],
];

for (const [mode, options, table] of MODES) {
  for (const [given, code] of Object.entries(table)) {
    Deno.test(`exposure ${mode}: "${given}" is ${code ?? "let in"}`, async () => {
      await using server = serve({}, options);
      server.bus.put("t", "hi");
      const fields = Object.fromEntries(given.split(" / ").map((field) => field.split(/: (.*)/).slice(0, 2)));
      if (code === undefined) {
        assertEquals((await server.ask("GET /t", fields)).status, 200);
        assertEquals((await server.ask("PUT /t", fields, "hi")).status, 202);
        assertEquals((await server.ask("DELETE /t", fields)).status, 204);
      } else {
        assertEquals(await everyWayIn(server, fields), [code]);
        assertEquals(unharmed(server), true);
      }
    });
  }
}

/** The codes with which everything a client could do is refused. */
async function everyWayIn(server: Serving, fields: Fields): Promise<(string | null)[]> {
  const codes = new Set<string | null>();
  for (const line of ["GET /t", "GET /", "GET /-/health", "PUT /t", "POST /u", "DELETE /t"]) {
    codes.add((await server.ask(line, fields)).error);
  }
  codes.add((await server.ask("GET /t", { ...HANDSHAKE, ...fields })).error);
  return [...codes];
}

/** Whether the bus is as it was: one message, in topic `t`, not taken; nobody subscribed. */
function unharmed({ bus }: Serving): boolean {
  const { topics, messages, pulled, published, subscriptions } = bus.totals();
  return topics === 1 && messages === 1 && pulled === 0 && published === 1 && subscriptions === 0 &&
    bus.topic("t")?.pending === 1;
}

Deno.test("exposure: a refusal names what was seen and the flag that would allow it", async () => {
  await using server = serve();
  const refusals: [Fields, string][] = [
    [{ host: "evil.example:1" }, `Refused: this server is not "evil.example:1"; allow it with --public-host`],
    [
      { origin: "https://evil.example" },
      `Refused: pages of "https://evil.example" may not use this bus; allow them with --allow-origin`,
    ],
    [{ via: "x" }, `Refused: the request came through a proxy (via); allow it with --trust-proxy`],
    [{ "sec-fetch-site": "cross-site" }, `Refused: the request comes from another site (Sec-Fetch-Site: "cross-site")`],
  ];
  for (const [fields, text] of refusals) {
    const { status, body } = await server.ask("GET /t", fields);
    assertEquals([status, body], [403, `${text}\n`]);
  }
});

Deno.test("CORS: a page of an allowed origin may read every header of the bus, any other none", async () => {
  await using server = serve({}, { allowOrigins: ["https://app.example"] });
  const origin = "https://app.example";
  const answers = [
    await server.ask("PUT /t?split=lines", { origin }, "a\nb"),
    await server.ask("PUT /t", { origin, "msgbus-meta-trace": "1", "msgbus-key": "k" }, "c"),
    await server.ask("GET /t?since=last:1&format=raw", { origin }),
    await server.ask("HEAD /t", { origin }),
    await server.ask("GET /t", { origin }),
    await server.ask("GET /nothing", { origin }),
    await server.ask("GET /t", { origin, "msgbus-nonsense": "1" }),
    await server.ask("PATCH /t", { origin }),
  ];
  const sent = new Set(answers.flatMap(({ headers }) => [...headers.keys()]).filter((name) => /^msgbus-/.test(name)));
  for (const name of ["id", "error", "cursor", "meta-trace", "key", "next"]) assert(sent.has(`msgbus-${name}`), name);
  for (const { headers } of answers) {
    assertEquals(headers.get("access-control-allow-origin"), origin);
    assertEquals(headers.get("access-control-allow-credentials"), null);
    assertEquals(headers.get("vary"), "origin");
    const exposed = headers.get("access-control-expose-headers")?.split(", ") ?? [];
    assertEquals(exposed, [...headers.keys()].filter((name) => sent.has(name)));
  }
  const refused = await server.ask("GET /t", { origin: "https://evil.example" });
  assertEquals([...refused.headers.keys()].filter((name) => name.startsWith("access-control-")), []);
});

Deno.test("CORS: without Origin an answer has no header of it", async () => {
  await using server = serve({}, { allowOrigins: ["*"] });
  const { headers } = await server.ask("GET /");
  assertEquals([...headers.keys()].filter((name) => name === "vary" || name.startsWith("access-control-")), []);
});

Deno.test("CORS: the preflight of a foreign page allows nothing, and tells who may", async () => {
  await using server = serve({}, { allowOrigins: ["https://app.example"] });
  const asked = { "access-control-request-method": "PUT", "access-control-request-headers": "msgbus-ttl" };
  for (const origin of ["https://evil.example", "null", undefined]) {
    const { status, headers } = await server.ask("OPTIONS /t", { origin, ...asked });
    assertEquals(status, 204);
    assertEquals([...headers.keys()].filter((name) => name.startsWith("access-control-")), []);
  }
  for (const origin of ["https://app.example", "http://localhost:3000"]) {
    const { status, headers } = await server.ask("OPTIONS /t", { origin, ...asked });
    assertEquals([status, headers.get("access-control-allow-origin")], [204, origin]);
    assertEquals(headers.get("access-control-allow-methods"), "GET, HEAD, PUT, POST, DELETE, OPTIONS");
    assertEquals(headers.get("access-control-allow-headers"), "*");
    assertEquals(headers.get("access-control-allow-credentials"), null);
  }
});

Deno.test("CORS: with every origin allowed, a preflight still allows no credentials", async () => {
  await using server = serve({}, { allowOrigins: ["*"] });
  const { headers } = await server.ask("OPTIONS /t", { origin: "https://evil.example" });
  assertEquals(headers.get("access-control-allow-origin"), "https://evil.example");
  assertEquals(headers.get("access-control-allow-credentials"), null);
});

Deno.test("CORS: a preflight to a host that this server is not is refused", async () => {
  await using server = serve();
  const { status, error } = await server.ask("OPTIONS /t", { host: "evil.example", origin: "http://evil.example" });
  assertEquals([status, error], [403, "host_not_allowed"]);
});

/** What a browser sends for what a page of https://evil.example does, as Fetch and Fetch Metadata say. */
const EVIL_PAGE: readonly (readonly [what: string, line: string, fields: Fields, body?: string])[] = [
  ["<img>", "GET /t", { accept: "image/avif,image/webp,*/*;q=0.8", ...fetched("no-cors", "image") }],
  ["<script>", "GET /t", { accept: "*/*", ...fetched("no-cors", "script") }],
  ["<iframe>", "GET /t", { accept: "text/html", ...fetched("navigate", "iframe") }],
  ["a link that is followed", "GET /t", { accept: "text/html", ...fetched("navigate", "document") }],
  ["<link rel=prefetch>", "GET /t", { "sec-purpose": "prefetch", ...fetched("no-cors", "empty") }],
  ["a prerendered page", "GET /t", { "sec-purpose": "prefetch;prerender", ...fetched("navigate", "document") }],
  ["fetch no-cors", "GET /t", { accept: "*/*", ...fetched("no-cors", "empty") }],
  ["fetch no-cors of the list", "GET /", { accept: "*/*", ...fetched("no-cors", "empty") }],
  ["fetch cors", "GET /t", { origin: "https://evil.example", ...fetched("cors", "empty") }],
  ["fetch HEAD", "HEAD /t", { origin: "https://evil.example", ...fetched("cors", "empty") }],
  ["fetch no-cors POST", "POST /t", { origin: "https://evil.example", ...fetched("no-cors", "empty") }, "evil"],
  ["EventSource", "GET /t", { accept: "text/event-stream", origin: "https://evil.example" }],
  ["<form>", "POST /t", {
    origin: "https://evil.example",
    "content-type": "application/x-www-form-urlencoded",
    ...fetched("navigate", "document"),
  }, "a=b"],
  ["<form> without referrer", "POST /t", {
    origin: "null",
    "content-type": "text/plain",
    ...fetched("navigate", "document"),
  }, "evil"],
  ["<form method=get>", "GET /t?", { accept: "text/html", ...fetched("navigate", "document") }],
  ["a sandboxed frame", "GET /t", { origin: "null", ...fetched("cors", "empty") }],
  ["sendBeacon", "POST /t", { origin: "https://evil.example", "content-type": "text/plain" }, "evil"],
  ["WebSocket", "GET /t", { ...HANDSHAKE, origin: "https://evil.example", ...fetched("websocket", "websocket") }],
  ["WebSocket of an older browser", "GET /t", { ...HANDSHAKE, origin: "https://evil.example" }],
  ["fetch after DNS rebinding", "GET /t", { host: "evil.example:8000", "sec-fetch-site": "same-origin" }],
  ["fetch of an older browser after DNS rebinding", "GET /t", { host: "evil.example:8000" }],
  ["POST after DNS rebinding", "POST /t", { host: "evil.example:8000", origin: "http://evil.example:8000" }, "evil"],
  ["WebSocket after DNS rebinding", "GET /t", {
    ...HANDSHAKE,
    host: "evil.example:8000",
    origin: "http://evil.example:8000",
  }],
];

function fetched(mode: string, dest: string): Fields {
  return {
    "sec-fetch-site": "cross-site",
    "sec-fetch-mode": mode,
    "sec-fetch-dest": dest,
    referer: "https://evil.example/",
  };
}

for (const [what, line, fields, body] of EVIL_PAGE) {
  Deno.test(`the evil page gets nowhere with ${what}`, async () => {
    await using server = serve();
    server.bus.put("t", "a secret");
    const answer = await server.ask(line, fields, body);
    assertEquals(answer.status, 403);
    assertEquals(answer.headers.get("access-control-allow-origin"), null);
    assert(!answer.body.includes(btoa("a secret")));
    assertEquals(unharmed(server), true);
  });
}

for (const line of ["PUT /t", "DELETE /t"]) {
  Deno.test(`the evil page gets nowhere with fetch ${line}: its preflight is not granted`, async () => {
    await using server = serve();
    server.bus.put("t", "a secret");
    const origin = "https://evil.example";
    const asked = { origin, "access-control-request-method": line.split(" ")[0] };
    const { headers } = await server.ask("OPTIONS /t", { ...asked, ...fetched("cors", "empty") });
    assertEquals(headers.get("access-control-allow-origin"), null);
    // A browser stops here. One that doesn't is refused, too.
    assertEquals((await server.ask(line, { origin })).status, 403);
    assertEquals(unharmed(server), true);
  });
}
