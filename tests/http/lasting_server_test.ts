import { LastingServer } from "../../lib/http/lasting_server.ts";
import { assertEquals } from "../deps.ts";

/** A server that a test stops. */
function stoppable() {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let shutdowns = 0;
  const server = {
    addr: { transport: "tcp", hostname: "127.0.0.1", port: 1234 },
    finished: promise,
    shutdown: () => {
      shutdowns++;
      resolve();
      return Promise.resolve();
    },
  } as unknown as Deno.HttpServer<Deno.NetAddr>;
  return { server, stop: reject, shutdowns: () => shutdowns };
}

Deno.test("LastingServer listens again on its port when the platform has stopped, however often that fails", async () => {
  const [first, second] = [stoppable(), stoppable()];
  const started = Promise.withResolvers<void>();
  const ports: number[] = [];
  const lost: unknown[] = [];
  const lasting = new LastingServer(first.server, (port) => {
    ports.push(port);
    if (ports.length < 3) throw new Deno.errors.AddrInUse("not yet");
    started.resolve();
    return second.server;
  }, (error) => lost.push(error));
  const fault = new Error("Too many open files (os error 24)");
  first.stop(fault);
  await started.promise;
  assertEquals([ports, lost], [[1234, 1234, 1234], [fault]]);
  await lasting.shutdown();
  assertEquals([first.shutdowns(), second.shutdowns()], [1, 1]);
});

Deno.test("LastingServer doesn't listen again after it was shut down", async () => {
  const only = stoppable();
  let starts = 0;
  const lost: unknown[] = [];
  const lasting = new LastingServer(only.server, () => {
    starts++;
    return only.server;
  }, (error) => lost.push(error));
  await lasting.shutdown();
  await lasting.shutdown();
  assertEquals([starts, lost], [0, []]);
});
