/**
 * Sockets of a group that come, work, fail and go in any order: nothing is lost, nothing is done twice, and nothing is
 * kept of them.
 *
 * @module
 */

import { MessageBus } from "../../lib/bus/bus.ts";
import { TestClock } from "../bus/test_clock.ts";
import { assertEquals, assertLessOrEqual, fc } from "../deps.ts";
import { range } from "./streams.ts";
import { turn, WorkerSocket } from "./worker_socket.ts";

/** What happens. `who` is a socket, `which` a message that it was sent. */
type Step =
  | { readonly does: "publish"; readonly count: number; readonly key?: string | undefined; readonly bytes: number }
  | { readonly does: "open"; readonly inflight: number }
  | { readonly does: "end"; readonly who: number; readonly how: "close" | "error" | "garbage" | "too much" }
  | { readonly does: "ack"; readonly who: number; readonly which: number; readonly count: number }
  | { readonly does: "nack"; readonly who: number; readonly which: number; readonly delay: string }
  | { readonly does: "extend"; readonly who: number; readonly which: number }
  | { readonly does: "read"; readonly who: number; readonly frames: number }
  | { readonly does: "poll" }
  | { readonly does: "tick"; readonly ms: number };

const SIZES = [1, 1, 5000, 70_000];
const PAYLOADS = new Map(SIZES.map((bytes) => [bytes, new Uint8Array(bytes)]));
// What makes a socket's buffer full, what may wait for the end of the turn then, and the largest message as an envelope.
const MAX_BUFFERED_BYTES = (64 + 16) * 1024 + 95_000;

const who = fc.nat(9);
const which = fc.nat(50);
const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    does: fc.constant("publish" as const),
    count: fc.integer({ min: 1, max: 20 }),
    key: fc.option(fc.constantFrom("a", "b"), { nil: undefined }),
    bytes: fc.constantFrom(...SIZES),
  }),
  fc.record({ does: fc.constant("open" as const), inflight: fc.constantFrom(1, 2, 10, 1000) }),
  fc.record({
    does: fc.constant("end" as const),
    who,
    how: fc.constantFrom("close" as const, "error" as const, "garbage" as const, "too much" as const),
  }),
  fc.record({ does: fc.constant("ack" as const), who, which, count: fc.integer({ min: 1, max: 20 }) }),
  fc.record({ does: fc.constant("nack" as const), who, which, delay: fc.constantFrom("0", "1s", "1m") }),
  fc.record({ does: fc.constant("extend" as const), who, which }),
  fc.record({ does: fc.constant("read" as const), who, frames: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ does: fc.constant("poll" as const) }),
  fc.record({ does: fc.constant("tick" as const), ms: fc.constantFrom(1, 20, 300, 10_000, 31_000) }),
);

class Group {
  readonly clock = new TestClock();
  readonly bus = new MessageBus({ clock: this.clock, ttlMs: 0, maxAttempts: 3, maxLeased: 500 });
  sockets: { readonly socket: WorkerSocket; readonly inflight: number }[] = [];
  /** Every socket there ever was. */
  readonly all: WorkerSocket[] = [];
  /** Polls that are answered, or not. */
  readonly polls: Promise<void>[] = [];
  readonly leave = new AbortController();
  published = 0;
  extended = false;

  async take(step: Step): Promise<void> {
    switch (step.does) {
      case "publish":
        for (let i = 0; i < step.count; i++) this.bus.put("t", PAYLOADS.get(step.bytes)!, { key: step.key });
        this.published += step.count;
        break;
      case "open": {
        const socket = new WorkerSocket(this.bus, this.clock, { inflight: step.inflight });
        this.sockets.push({ socket, inflight: step.inflight });
        this.all.push(socket);
        break;
      }
      case "poll":
        this.polls.push(this.poll());
        break;
      case "tick":
        this.clock.tick(step.ms);
        break;
      default: {
        const { socket } = this.sockets[step.who % this.sockets.length] ?? {};
        if (socket !== undefined) this.by(socket, step);
      }
    }
    // Sometimes several things happen in one turn.
    if (step.does !== "publish") await turn(this.clock);
  }

  by(socket: WorkerSocket, step: Step & { readonly who: number }): void {
    const sent = socket.lines.filter(({ lease }) => lease !== undefined);
    const tokens = (which: number, count: number) =>
      range(which, which + count).flatMap((i) => sent[i % sent.length]?.lease ?? []);
    switch (step.does) {
      case "end":
        if (step.how === "garbage") socket.sends("garbage");
        else if (step.how === "too much") socket.sends(" ".repeat(1024 ** 2 + 1));
        else socket.happens(step.how);
        this.sockets = this.sockets.filter((other) => other.socket !== socket);
        break;
      case "ack":
        if (sent.length > 0) socket.sends([{ ack: tokens(step.which, step.count) }]);
        break;
      case "nack":
        if (sent.length > 0) socket.sends([{ nack: tokens(step.which, 1), delay: step.delay }]);
        break;
      case "extend":
        // One that has ended is had again, and may be one more than inflight.
        this.extended = true;
        if (sent.length > 0) socket.sends([{ extend: tokens(step.which, 1) }]);
        break;
      case "read":
        socket.read(step.frames);
    }
  }

  /** Another client, that leases a message over HTTP and is done with it. */
  async poll(): Promise<void> {
    const message = await this.bus.pull("t", {
      group: "g",
      leaseMs: 10_000,
      waitMs: 60_000,
      signal: this.leave.signal,
    }).catch((error) => {
      if (!this.leave.signal.aborted && error.code !== "too_many_leased") throw error;
      return undefined;
    });
    if (message === undefined) return;
    await this.bus.ack(message.lease!);
  }

  get stats() {
    return this.bus.groups("t").find(({ group }) => group === "g") ?? { leased: 0, acked: 0, dead: 0, lost: 0 };
  }

  /** No more is leased than sockets may have, and no more is buffered. */
  check(): void {
    const most = this.sockets.reduce((sum, { inflight }) => sum + inflight, 0);
    if (!this.extended) assertLessOrEqual(this.stats.leased, most);
    for (const socket of this.all) {
      assertLessOrEqual(socket.highestAmount, MAX_BUFFERED_BYTES);
      assertEquals(socket.bugs, []);
    }
  }

  /** Everybody goes, and whoever comes next finds all that isn't done, once. */
  async end(): Promise<void> {
    for (const { socket } of this.sockets) {
      socket.read();
      await turn(this.clock);
      socket.happens("close");
    }
    this.leave.abort();
    await Promise.all(this.polls);
    await turn(this.clock);
    this.clock.tick(60_000);
    const { acked, dead, lost, leased } = this.stats;
    assertEquals([leased, this.clock.deferred], [0, 0]);
    const { messages } = await this.bus.pullBatch("t", { group: "g", limit: 10_000, maxBytes: Infinity });
    const left = new Set(messages.map(({ id }) => id));
    assertEquals(left.size, messages.length);
    for (const { headers } of (await this.bus.browse("t/-dead", { limit: 10_000 }))?.messages ?? []) {
      assertEquals(left.has(Number(headers!["msgbus-dead-id"])), false);
    }
    assertEquals(acked + dead + lost + left.size, this.published);
    // The tokens of leases that had ended were good until now.
    assertEquals(this.bus.totals().leased, 0);
    await this.bus.close();
    assertEquals(this.clock.timers, 0);
  }
}

Deno.test("push group: sockets come, work, fail and go, and each message is done once or there for the next", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { minLength: 1, maxLength: 60, size: "max" }), async (taken) => {
      const group = new Group();
      for (const step of taken) {
        await group.take(step);
        group.check();
      }
      await group.end();
    }),
    { numRuns: 300 },
  );
});
