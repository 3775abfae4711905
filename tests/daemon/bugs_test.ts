/**
 * What becomes of a process with a bug.
 *
 * @module
 */

import { assertEquals, assertStringIncludes } from "../deps.ts";
import { Lines } from "../processes.ts";
import { publish } from "./daemon.ts";

/** A server with bugs, and what it logs. */
interface Buggy extends AsyncDisposable {
  readonly port: number;
  readonly code: Promise<number>;
  /** Has it run into a bug that no request is to blame for. */
  fail(how: "\n" | "!"): Promise<void>;
  /** The next line of its log. */
  line(): Promise<{ lvl: string; evt: string; msg: string }>;
}

async function buggy(): Promise<Buggy> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--allow-net=127.0.0.1", import.meta.resolve("./buggy.ts")],
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const lines = new Lines(child.stderr);
  const line = async () => JSON.parse((await lines.next())!);
  const ended = child.status;
  return {
    port: Number((await line()).msg.slice(1)),
    code: ended.then(({ code }) => code),
    fail: (how) => writer.write(new TextEncoder().encode(how)),
    line,
    async [Symbol.asyncDispose]() {
      await writer.close().catch(() => {});
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await ended;
      await lines.rest();
    },
  };
}

Deno.test("msgbusd answers a request with a bug with 500, logs the stack as a bug, and goes on", async () => {
  await using server = await buggy();
  assertEquals(await publish(server.port, "t", "hi"), 500);
  const { lvl, evt, msg } = await server.line();
  assertEquals([lvl, evt], ["warn", "bug"]);
  assertStringIncludes(msg, "TypeError: a bug in a request\n    at ");
  const health = await fetch(`http://127.0.0.1:${server.port}/-/health`);
  assertEquals([health.status, await health.text()], [200, "ok\n"]);
});

for (const [how, what] of [["\n", "a rejection nobody catches"], ["!", "an error nobody catches"]] as const) {
  Deno.test(`msgbusd survives ${what}, but at the third within a minute it drains and exits with 70`, async () => {
    await using server = await buggy();
    for (let bug = 0; bug < 3; bug++) {
      if (bug < 2) assertEquals(await fetch(`http://127.0.0.1:${server.port}/`).then((r) => r.text()), "");
      await server.fail(how);
      const { evt, msg } = await server.line();
      assertEquals(evt, "bug");
      assertStringIncludes(msg, `TypeError: ${what}\n    at `);
    }
    assertEquals([(await server.line()).evt, (await server.line()).evt], ["draining", "drained"]);
    assertEquals(await server.code, 70);
  });
}
