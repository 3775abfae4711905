/**
 * Listening on an address.
 *
 * @module
 */

import { BusError } from "../../lib/errors.ts";
import { assertFree, isLoopbackAddress, listen, type Listening } from "../../lib/http/listen.ts";
import { assertEquals, assertMatch, assertRejects } from "../deps.ts";

const WATCH = { onBug: reportError, onLost: reportError };
const HANDLER = () => Promise.resolve(new Response("here"));

async function stop({ servers }: Listening): Promise<void> {
  await Promise.all(servers.map((server) => server.shutdown()));
}

Deno.test("listen gives the port that was taken in the name as it was written", async () => {
  const listening = await listen("127.0.0.1:0", HANDLER, WATCH);
  const { port } = listening.servers[0]!.addr;
  assertEquals(listening.name, `127.0.0.1:${port}`);
  assertEquals(await (await fetch(`http://127.0.0.1:${port}/`)).text(), "here");
  await stop(listening);
});

Deno.test("listen on localhost takes the same port in every family there is", async () => {
  const listening = await listen("localhost:0", HANDLER, WATCH);
  const ports = listening.servers.map(({ addr }) => addr.port);
  assertMatch(listening.name, /^localhost:[1-9]\d*$/);
  assertEquals(new Set(ports).size, 1);
  assertEquals(listening.servers[0]!.addr.hostname, "127.0.0.1");
  await stop(listening);
});

Deno.test("assertFree refuses what listen would, the same address twice too, and lets go of all of it", async () => {
  const listening = await listen("localhost:0", HANDLER, WATCH);
  const bind = `localhost:${listening.servers[0]!.addr.port}`;
  const error = await assertRejects(() => assertFree(["127.0.0.1:0", bind]), BusError);
  assertEquals([error.code, error.message], ["address_in_use", `Cannot listen on ${bind}: the address is in use`]);
  await stop(listening);
  assertEquals((await assertRejects(() => assertFree([bind, bind]), BusError)).code, "address_in_use");
  await assertFree([bind]);
  await stop(await listen(bind, HANDLER, WATCH));
});

Deno.test("listen on a port that is taken in one family lets go of it in the other", async () => {
  for (const hostname of ["127.0.0.1", "::1"]) {
    let taken: Deno.Listener;
    try {
      taken = Deno.listen({ hostname, port: 0 });
    } catch {
      continue; // no IPv6 here
    }
    const { port } = taken.addr as Deno.NetAddr;
    const error = await assertRejects(() => listen(`localhost:${port}`, HANDLER, WATCH), BusError);
    assertEquals(error.code, "address_in_use");
    assertEquals(error.message, `Cannot listen on localhost:${port}: the address is in use`);
    taken.close();
    await stop(await listen(`localhost:${port}`, HANDLER, WATCH));
  }
});

Deno.test("isLoopbackAddress knows the addresses that only this machine reaches", () => {
  for (const text of ["localhost:1", "LocalHost:1", "127.0.0.1:1", "127.1.2.3:1", "[::1]:1"]) {
    assertEquals(isLoopbackAddress(text), true, text);
  }
  for (const text of [":1", "0.0.0.0:1", "[::]:1", "127.0.0.1.lan:1", "127.0.0.256:1", "192.168.1.2:1", "host:1"]) {
    assertEquals(isLoopbackAddress(text), false, text);
  }
});
