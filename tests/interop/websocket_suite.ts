/**
 * What every WebSocket client must be able to do, whoever has written it.
 *
 * @module
 */

import { encodeEnvelope } from "../../lib/wire/json.ts";
import { assertEquals } from "../deps.ts";
import { serve } from "../http/serving.ts";
import { shapeOf } from "../http/streams.ts";

/** What a client tells: that it is open, a frame, or that it was closed. */
export type Told =
  | { readonly open: string }
  | { readonly frame: string }
  | { readonly closed: number };

/** A client that is there until it is disposed. */
export interface Conversation extends AsyncDisposable {
  /** The next thing it tells. */
  next(): Promise<Told>;
  /** Has it send a frame. */
  send(frame: string): void | Promise<void>;
}

/** How to run the suite. */
export interface SuiteOptions {
  /** What tests are called after. */
  readonly name: string;
  /** Says that the tests are skipped, and why, if they are. */
  readonly without?: string;
  /** Connects, offering subprotocols. */
  connect(url: string, protocols: readonly string[]): Conversation | Promise<Conversation>;
}

/** Declares the tests for one client. */
export function testWebSocket({ name, without = "", connect }: SuiteOptions): void {
  const ignore = without !== "";

  Deno.test({
    name: `${name} gets an envelope a frame, and is told when the topic is deleted${without}`,
    ignore,
    async fn() {
      await using server = serve();
      const [a, b] = ["a", "é😀\n"].map((payload) => server.bus.put("t", payload));
      await using client = await connect(`ws://127.0.0.1:${server.port}/t?since=0`, []);
      assertEquals(await told(client, 3), [
        { open: "" },
        { frame: encodeEnvelope(a!) },
        { frame: encodeEnvelope(b!) },
      ]);
      const live = server.bus.put("t", new Uint8Array(300_000));
      assertEquals(await client.next(), { frame: encodeEnvelope(live) });
      await server.bus.delete("t");
      assertEquals(await client.next(), { closed: 4404 });
    },
  });

  Deno.test({
    name: `${name} gets lines and events with msgbus.ndjson, and is told when the server drains${without}`,
    ignore,
    async fn() {
      await using server = serve({ maxMessages: 2 });
      for (const payload of ["a", "b", "c"]) server.bus.put("t", payload);
      await using client = await connect(`ws://127.0.0.1:${server.port}/t?since=0`, ["msgbus.ndjson", "msgbus"]);
      assertEquals(await client.next(), { open: "msgbus.ndjson" });
      const frame = await client.next() as { frame: string };
      assertEquals(shapeOf(frame.frame), ["gap", 1, 2, "caught-up"]);
      server.bus.drain();
      const bye = await client.next() as { frame: string };
      assertEquals([shapeOf(bye.frame), await client.next()], [["bye"], { closed: 1001 }]);
    },
  });

  Deno.test({
    name: `${name} publishes and gets receipts${without}`,
    ignore,
    async fn() {
      await using server = serve();
      await using client = await connect(`ws://127.0.0.1:${server.port}/t?mode=publish`, []);
      assertEquals(await client.next(), { open: "" });
      for (const [id, payload] of ["a", "é😀", ""].entries()) {
        await client.send(payload);
        const { frame } = await client.next() as { frame: string };
        assertEquals([JSON.parse(frame).id, server.bus.get("t")!.text()], [id, payload]);
      }
    },
  });
}

async function told(client: Conversation, count: number): Promise<Told[]> {
  const all: Told[] = [];
  for (let i = 0; i < count; i++) all.push(await client.next());
  return all;
}

/** What is common to every WebSocket. */
interface SocketLike {
  readonly protocol: string;
  onopen: unknown;
  onmessage: unknown;
  onclose: unknown;
  send(data: string): void;
  close(): void;
}

/** Talks with a WebSocket of this process. */
export function conversation(socket: SocketLike): Conversation {
  const all: Told[] = [];
  let bell = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  const tell = (told: Told) => {
    all.push(told);
    bell.resolve();
    bell = Promise.withResolvers();
  };
  socket.onopen = () => tell({ open: socket.protocol });
  socket.onmessage = ({ data }: { data: string }) => tell({ frame: data });
  socket.onclose = ({ code }: { code: number }) => {
    tell({ closed: code });
    closed.resolve();
  };
  return {
    async next() {
      while (all.length === 0) await bell.promise;
      return all.shift()!;
    },
    send: (frame) => socket.send(frame),
    async [Symbol.asyncDispose]() {
      socket.close();
      await closed.promise;
    },
  };
}
