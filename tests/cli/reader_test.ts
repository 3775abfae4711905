import type { Io } from "../../lib/cli/io.ts";
import { main } from "../../lib/cli/main.ts";
import { formatGap } from "../../lib/cli/reader.ts";
import { assertEquals } from "../deps.ts";
import { lastingPort } from "../lasting_port.ts";
import { serveBus } from "../client/local_server.ts";

Deno.test("formatGap says how many messages are missing, and which, as far as that is known", () => {
  const gap = (from: number | null, to: number | null) => formatGap({ topic: "orders", from, to, reason: "expired" });
  assertEquals(gap(7, 9), 'missed 3 messages of "orders" (7 to 9): expired');
  assertEquals(gap(7, 7), 'missed 1 message of "orders" (7): expired');
  assertEquals(gap(null, 9), 'missed messages of "orders" (up to 9): expired');
  assertEquals(gap(7, null), 'missed messages of "orders" (from 7 on): expired');
  assertEquals(gap(null, null), 'missed messages of "orders": expired');
});

/** The world of a command at a terminal; `onSay` is called with each line that is said. */
function terminalIo(onSay: (line: string) => void): { readonly io: Io; readonly interruption: AbortController } {
  const interruption = new AbortController();
  const io: Io = {
    stdin: new ReadableStream(),
    write: () => Promise.resolve(),
    say: onSay,
    explain() {},
    terminal: { columns: 80, draw() {} },
    env: () => undefined,
    listenForInterrupt: () => ({ signal: interruption.signal, exitCode: undefined, [Symbol.dispose]() {} }),
  };
  return { io, interruption };
}

Deno.test("msgbus sub says at a terminal that it is subscribed, once", async () => {
  let server = serveBus({}, lastingPort());
  let stopped: Promise<void> | undefined;
  const said: string[] = [];
  const { io, interruption } = terminalIo((line) => {
    said.push(line);
    if (line.startsWith("subscribed")) stopped = server.stop();
    else if (line.endsWith(" s")) stopped = stopped!.then(() => void (server = serveBus({}, server.port)));
    else interruption.abort();
  });
  const { uri } = server;
  assertEquals(await main(["sub", "/a/*", "--uri", uri], io), 0);
  await stopped;
  await server.stop();
  assertEquals([said[0], said.at(-1)], [`subscribed to "a/*" at ${uri}`, `connected to ${uri}`]);
  assertEquals(said.filter((line) => line.includes("subscribed")).length, 1);
});
