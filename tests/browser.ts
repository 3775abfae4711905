/**
 * A page in a real browser. Needs Chromium, and permission to run it.
 *
 * @module
 */

import { installed } from "./installed.ts";

const BROWSER = "chromium";

/** Whether there is a browser. */
export const hasBrowser = await installed(BROWSER);

/** A page that is open until it is disposed. */
export interface Page extends AsyncDisposable {
  /** The next thing it reports. */
  report(): Promise<unknown>;
}

/**
 * Opens a page with a name of its own for this machine and runs `script(report, ...args)` in it; everything a script uses
 * must be in it.
 */
export async function openPage<const A extends readonly (string | number)[]>(
  script: (report: (value: unknown) => Promise<void>, ...args: A) => unknown,
  args: A,
  host = "localhost",
): Promise<Page> {
  const reports: unknown[] = [];
  let bell = Promise.withResolvers<void>();
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    if (request.method === "GET") {
      const call = `(${script})(${[report, ...args.map((arg) => JSON.stringify(arg))].join(", ")})`;
      return new Response(`<!doctype html><title>page</title><script>${call}</script>`, {
        headers: { "content-type": "text/html" },
      });
    }
    reports.push(await request.json());
    bell.resolve();
    bell = Promise.withResolvers();
    return new Response();
  });
  const profile = await Deno.makeTempDir();
  const browser = new Deno.Command(BROWSER, {
    args: [
      ..."--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync".split(" "),
      ..."--disable-background-networking --disable-component-update --disable-dev-shm-usage".split(" "),
      `--user-data-dir=${profile}`,
      // A name that is not loopback, though it leads there: what DNS rebinding does.
      ...(host === "localhost" ? [] : [`--host-resolver-rules=MAP ${host} 127.0.0.1`]),
      `http://${host}:${server.addr.port}/`,
    ],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  return {
    async report() {
      while (reports.length === 0) await bell.promise;
      return reports.shift();
    },
    async [Symbol.asyncDispose]() {
      browser.kill("SIGKILL");
      await browser.status;
      await server.shutdown();
      await removed(profile);
    },
  };
}

/** Runs in the page. One report after the other, so that they come in order. */
const report = `((last) => (value) => last = last.then(() => fetch(location.href, {
  method: "POST", body: JSON.stringify(value)
})))(Promise.resolve())`;

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
