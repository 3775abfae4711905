/**
 * What every EventSource must get, whoever has written it.
 *
 * @module
 */

import { decodeEnvelope } from "../../lib/wire/json.ts";
import { assertEquals, assertMatch } from "../deps.ts";
import { serve } from "../http/serving.ts";
import { lastingPort } from "../lasting_port.ts";
import { startServer } from "../processes.ts";
import { CuttingProxy } from "./cutting_proxy.ts";

/** What an EventSource has told. */
export interface Heard {
  readonly type: string;
  readonly data: string;
  readonly lastEventId: string;
}

/** The events that a listener tells. */
export const TYPES = ["message", "gap", "caught-up", "deleted", "bye"] as const;

/** An EventSource that is open until it is disposed. */
export interface Listening extends AsyncDisposable {
  /** The next event. */
  next(): Promise<Heard>;
}

/** How to run the suite. */
export interface SuiteOptions {
  /** What tests are called after. */
  readonly name: string;
  /** Says that the tests are skipped, and why, if they are. */
  readonly without?: string;
  /** Opens an EventSource. */
  listen(url: string): Listening | Promise<Listening>;
}

/** Declares the tests for one EventSource. They take as long as it waits before it connects again: some seconds. */
export function testEventSource({ name, without = "", listen }: SuiteOptions): void {
  const ignore = without !== "";

  Deno.test({
    name: `${name} hears messages and events, each once and in order${without}`,
    ignore,
    async fn() {
      await using server = serve({ maxMessages: 3 });
      for (const payload of ["a", "b", "c", "é😀\n\n\0"]) server.bus.put("t", payload);
      await using source = await listen(`${server.uri}/t?since=0`);
      assertEquals(await shapes(source, 5), ["gap", 1, 2, 3, "caught-up"]);
      const live = server.bus.put("t", "\r\nevent: bye\r\n\r\n");
      const { type, data, lastEventId } = await source.next();
      assertEquals([type, lastEventId], ["message", live.cursor]);
      assertEquals(decodeEnvelope(data).text(), "\r\nevent: bye\r\n\r\n");
      await server.bus.delete("t");
      assertEquals((await source.next()).type, "deleted");
    },
  });

  Deno.test({
    name: `${name} loses nothing and hears nothing twice when its connection is cut${without}`,
    ignore,
    async fn() {
      await using server = serve();
      await using proxy = new CuttingProxy(server.port);
      for (const payload of ["a", "b"]) server.bus.put("t", payload);
      await using source = await listen(`http://127.0.0.1:${proxy.port}/t`);
      assertEquals(await shapes(source, 1), ["caught-up"]);
      server.bus.put("t", "c");
      assertEquals(await shapes(source, 1), [2]);
      proxy.cut();
      for (const payload of ["d", "e"]) server.bus.put("t", payload);
      assertEquals(await shapes(source, 3), [3, 4, "caught-up"]);
      server.bus.put("t", "f");
      assertEquals(await shapes(source, 1), [5]);
    },
  });

  Deno.test({
    name: `${name} is told that there is a gap when its server was killed and started again${without}`,
    ignore,
    async fn() {
      const port = lastingPort();
      const put = (payload: string) => fetch(`http://127.0.0.1:${port}/t`, { method: "PUT", body: payload });
      const first = await startServer([], port);
      await using source = await listen(`http://127.0.0.1:${port}/t`);
      assertEquals(await shapes(source, 1), ["caught-up"]);
      for (const payload of ["a", "b"]) await (await put(payload)).body?.cancel();
      assertEquals(await shapes(source, 2), [0, 1]);
      await first[Symbol.asyncDispose](); // by SIGKILL
      await using _second = await startServer([], port);
      const gap = await source.next();
      assertEquals([gap.type, JSON.parse(gap.data).reason], ["gap", "reset"]);
      assertMatch(gap.lastEventId, /^0(@[0-9a-z]+)?$/);
      await (await put("c")).body?.cancel();
      const after = [await shapes(source, 1), await shapes(source, 1)].flat();
      // It may have connected before the message was published or after.
      assertEquals(after.toSorted(), [0, "caught-up"]);
    },
  });
}

/** What is common to every EventSource. */
interface Source {
  addEventListener(type: string, listener: (event: { type: string; data: string; lastEventId: string }) => void): void;
  close(): void;
}

/** Listens to an EventSource of this process. */
export function listening(source: Source): Listening {
  const heard: Heard[] = [];
  let bell = Promise.withResolvers<void>();
  for (const type of TYPES) {
    source.addEventListener(type, ({ type, data, lastEventId }) => {
      heard.push({ type, data, lastEventId });
      bell.resolve();
      bell = Promise.withResolvers();
    });
  }
  return {
    async next() {
      while (heard.length === 0) await bell.promise;
      return heard.shift()!;
    },
    [Symbol.asyncDispose]() {
      source.close();
      return Promise.resolve();
    },
  };
}

/** The ids of messages and the types of events. */
async function shapes(source: Listening, count: number): Promise<(number | string)[]> {
  const shapes: (number | string)[] = [];
  for (let i = 0; i < count; i++) {
    const { type, data } = await source.next();
    shapes.push(type === "message" ? JSON.parse(data).id : type);
  }
  return shapes;
}
