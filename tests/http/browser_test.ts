/**
 * The evil page in a real browser, which decides itself what it sends. Needs Chromium, and permission to run it; skipped
 * without.
 *
 * @module
 */

import { hasBrowser, openPage } from "../browser.ts";
import { assert, assertEquals } from "../deps.ts";
import { unlessInstalled } from "../installed.ts";
import { serve, type Serving } from "./serving.ts";

/** What the page tried, and what it thinks came of it. */
type Findings = Readonly<Record<string, string>>;

/** Opens a page with a name of its own for this machine, and gives what it finds. */
async function visit(bus: Serving, host: string): Promise<Findings> {
  await using page = await openPage(script, [bus.port, host], host);
  return await page.report() as Findings;
}

/** What the page uses of a browser. */
interface Window {
  readonly document: { createElement(name: string): PageElement; readonly documentElement: PageElement };
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
const script = async function (
  report: (value: unknown) => Promise<void>,
  port: number,
  host: string,
): Promise<void> {
  const { document, navigator } = globalThis as unknown as Window;
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
  await report(findings);
};

const without = unlessInstalled("chromium", hasBrowser);

Deno.test({
  name: `the evil page in a real browser reads, publishes, deletes and takes nothing${without}`,
  ignore: !hasBrowser,
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
  name: `the same page from a loopback origin gets everything, so that the evil page's failure means something${without}`,
  ignore: !hasBrowser,
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
