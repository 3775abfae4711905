/**
 * The evil page in a real browser, which decides itself what it sends. Needs Chromium, and permission to run it; skipped
 * without.
 *
 * @module
 */

import { assert, assertEquals } from "../deps.ts";
import { serve, type Serving } from "./serving.ts";

const BROWSER = "chromium";

async function canRunBrowser(): Promise<boolean> {
  try {
    return (await new Deno.Command(BROWSER, { args: ["--version"], stdout: "null", stderr: "null" }).output()).success;
  } catch {
    return false;
  }
}

/** What the page tried, and what it thinks came of it. */
type Findings = Readonly<Record<string, string>>;

/** Opens a page with a name of its own for this machine, and gives what it finds. */
async function visit(bus: Serving, host: string): Promise<Findings> {
  const findings = Promise.withResolvers<Findings>();
  const page = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    if (request.method === "GET") {
      return new Response(`<!doctype html><title>page</title><script>(${script})(${bus.port}, "${host}")</script>`, {
        headers: { "content-type": "text/html" },
      });
    }
    findings.resolve(await request.json());
    return new Response();
  });
  const profile = await Deno.makeTempDir();
  const browser = new Deno.Command(BROWSER, {
    args: [
      ..."--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync".split(" "),
      ..."--disable-background-networking --disable-component-update --disable-dev-shm-usage".split(" "),
      `--user-data-dir=${profile}`,
      // A name that is not loopback, though it leads there: what DNS rebinding does.
      `--host-resolver-rules=MAP ${host} 127.0.0.1`,
      `http://${host}:${page.addr.port}/`,
    ],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  try {
    return await findings.promise;
  } finally {
    browser.kill("SIGKILL");
    await browser.status;
    await page.shutdown();
    await removed(profile);
  }
}

/** Removes a folder that the browser's last processes may still write to. */
async function removed(folder: string): Promise<void> {
  for (let attempt = 1;; attempt++) {
    try {
      return await Deno.remove(folder, { recursive: true });
    } catch (error) {
      if (attempt === 1000) throw error;
    }
  }
}

/** What the page uses of a browser. */
interface Page {
  readonly document: { createElement(name: string): PageElement; readonly documentElement: PageElement };
  readonly location: { readonly href: string };
  readonly navigator: { sendBeacon(url: string, data: string): boolean };
}

interface PageElement extends Ending {
  name: string;
  setAttribute(name: string, value: string): void;
  append(element: PageElement): void;
  submit(): void;
}

interface Ending {
  addEventListener(type: string, listener: () => void): void;
}

/** Runs in the page: tries everything a page can do to a bus on this machine, then reports to its own server. */
const script = async function (port: number, host: string): Promise<void> {
  const { document, location, navigator } = globalThis as unknown as Page;
  const bus = `http://localhost:${port}`;
  const findings: Record<string, string> = {};

  // Each attempt ends with an event of its own, whatever comes of it.
  const ended = (target: Ending, good: string, bad: string) =>
    new Promise<string>((resolve) => {
      target.addEventListener(good, () => resolve(good));
      target.addEventListener(bad, () => resolve(bad));
    });
  const element = (name: string, attributes: Record<string, string>) => {
    const made = document.createElement(name);
    for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
    const end = ended(made, "load", "error");
    document.documentElement.append(made);
    return end;
  };
  const form = (method: string, enctype: string) => {
    const frame = document.createElement("iframe");
    frame.name = `${method}${Math.random()}`;
    document.documentElement.append(frame);
    const made = document.createElement("form");
    Object.assign(made, { action: `${bus}/t`, method, enctype, target: frame.name });
    const end = ended(frame, "load", "error");
    document.documentElement.append(made);
    made.submit();
    return end;
  };
  const fetched = (url: string, init: RequestInit) =>
    fetch(url, init).then((response) => `${response.type} ${response.status}`, () => "rejected");

  const attempts: Record<string, () => Promise<string>> = {
    img: () => element("img", { src: `${bus}/t` }),
    script: () => element("script", { src: `${bus}/t` }),
    stylesheet: () => element("link", { rel: "stylesheet", href: `${bus}/t` }),
    prefetch: () => element("link", { rel: "prefetch", href: `${bus}/t` }),
    iframe: () => element("iframe", { src: `${bus}/t` }),
    "sandboxed iframe": () => element("iframe", { src: `${bus}/t`, sandbox: "allow-scripts" }),
    "img without referrer": () => element("img", { src: `${bus}/t?`, referrerpolicy: "no-referrer" }),
    "form get": () => form("get", "text/plain"),
    "form post": () => form("post", "application/x-www-form-urlencoded"),
    "form post text": () => form("post", "text/plain"),
    "fetch no-cors": () => fetched(`${bus}/t`, { mode: "no-cors" }),
    "fetch no-cors list": () => fetched(`${bus}/`, { mode: "no-cors" }),
    "fetch no-cors post": () => fetched(`${bus}/t`, { mode: "no-cors", method: "POST", body: "evil" }),
    "fetch cors": () => fetched(`${bus}/t`, {}),
    "fetch cors post": () => fetched(`${bus}/t`, { method: "POST", body: "evil" }),
    "fetch cors put": () => fetched(`${bus}/t`, { method: "PUT", body: "evil" }),
    "fetch cors delete": () => fetched(`${bus}/t`, { method: "DELETE" }),
    "fetch rebound": () => fetched(`http://${host}:${port}/t`, { mode: "no-cors" }),
    "fetch rebound post": () => fetched(`http://${host}:${port}/t`, { mode: "no-cors", method: "POST", body: "evil" }),
    beacon: () => Promise.resolve(String(navigator.sendBeacon(`${bus}/t`, "evil"))),
    EventSource: () => ended(new EventSource(`${bus}/t`), "open", "error"),
    WebSocket: () => ended(new WebSocket(`ws://localhost:${port}/t`), "open", "error"),
    "WebSocket rebound": () => ended(new WebSocket(`ws://${host}:${port}/t`), "open", "error"),
  };
  for (const [name, attempt] of Object.entries(attempts)) findings[name] = await attempt();
  await fetch(location.href, { method: "POST", body: JSON.stringify(findings) });
};

const ignore = !await canRunBrowser();

Deno.test({
  name: "the evil page in a real browser reads, publishes, deletes and takes nothing",
  ignore,
  async fn() {
    await using server = serve();
    server.bus.put("t", "a secret");
    const findings = await visit(server, "evil.example");
    const { topics, messages, published, pulled, subscriptions, delivered } = server.bus.totals();
    assertEquals([topics, messages, published, pulled, subscriptions, delivered], [1, 1, 1, 0, 0, 0]);
    assertEquals(server.bus.topic("t")?.pending, 1);
    const tried = Object.keys(findings);
    assert(tried.length > 20, tried.join());
    for (const name of tried.filter((name) => name.startsWith("fetch cors"))) assertEquals(findings[name], "rejected");
    for (const name of ["WebSocket", "WebSocket rebound", "EventSource"]) assertEquals(findings[name], "error", name);
    const codes = new Set(server.refusals.map(({ error }) => error.code));
    assertEquals([...codes].sort(), ["cross_site", "host_not_allowed", "origin_not_allowed"]);
  },
});

Deno.test({
  name: "the same page from a loopback origin gets everything, so that the evil page's failure means something",
  ignore,
  async fn() {
    await using server = serve();
    server.bus.put("t", "a secret");
    const findings = await visit(server, "localhost");
    const { published, pulled } = server.bus.totals();
    assert(published > 3 && pulled > 2, JSON.stringify([findings, published, pulled]));
    assertEquals([findings["fetch cors post"], findings["fetch cors delete"]], ["cors 202", "cors 204"]);
    assertEquals([findings.WebSocket, findings.EventSource], ["open", "open"]);
  },
});
