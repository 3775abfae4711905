/**
 * A client and its server in the process of the test, without a socket: one clock for both, and answers that get lost.
 *
 * @module
 */

import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import type { ClientClock } from "../../lib/client/backoff.ts";
import { Client } from "../../lib/client/client.ts";
import type { WorkOptions } from "../../lib/client/work.ts";
import { createHandler } from "../../lib/http/handler.ts";
import { TestClock } from "../bus/test_clock.ts";

const INFO: Deno.ServeHandlerInfo<Deno.Addr> = {
  remoteAddr: { transport: "tcp", hostname: "127.0.0.1", port: 54_321 },
  completed: Promise.resolve(),
};

/**
 * What becomes of a request: `away` never reaches the server; of `lost` it is the answer that doesn't arrive; `silent` is
 * never answered; a response is another server's. Everything else is answered by the bus.
 */
export type Fate = "away" | "lost" | "silent" | Response | undefined;

/** A bus, and a client that reaches it as the test wants. */
export interface DirectBus extends AsyncDisposable {
  readonly bus: MessageBus;
  readonly clock: TestClock;
  readonly client: Client;
  /** What every worker needs: the clock, without chance. */
  readonly world: Pick<WorkOptions, "clock">;
  /** The requests, `METHOD /path?query`, in their order, with the body of those that settle leases. */
  readonly asked: string[];
  /** Decides what becomes of a request. */
  fate: (request: string) => Fate;
  /** Resolves when as many requests as that have been asked that contain `part`, from the beginning on. */
  askedFor(part: string, count?: number): Promise<string>;
}

/** Time by hand, while turns of the event loop end by themselves. */
class TurningClock extends TestClock {
  override defer(task: () => void): void {
    setTimeout(task, 0);
  }
}

/** Makes a bus, its handler and a client. The handler must not have had a bug when it is disposed. */
export function directBus(options: BusOptions = {}): DirectBus {
  const clock = new TurningClock();
  const bus = new MessageBus({ clock, ttlMs: 0, ...options });
  const bugs: unknown[] = [];
  const handler = createHandler(bus, { clock, onBug: (error) => void bugs.push(error) });
  const asked: string[] = [];
  let bell = Promise.withResolvers<void>();
  const client = new Client("http://localhost:8000", {
    async fetch(url, init) {
      const { pathname, search } = new URL(url);
      const said = `${init.method} ${pathname}${search}`;
      asked.push(pathname.startsWith("/-/") && typeof init.body === "string" ? `${said} ${init.body}` : said);
      const fate = direct.fate(said);
      bell.resolve();
      bell = Promise.withResolvers();
      const { signal } = init;
      const given = Promise.withResolvers<never>();
      given.promise.catch(() => {});
      if (signal?.aborted) throw signal.reason;
      signal?.addEventListener("abort", () => given.reject(signal.reason));
      if (fate === "away") throw new TypeError("connection refused");
      if (fate === "silent") return await given.promise;
      if (fate instanceof Response) return fate;
      const request = new Request(url, { ...init, headers: { ...init.headers, host: "localhost:8000" } });
      const answer = await Promise.race([handler(request, INFO), given.promise]);
      if (fate !== "lost") return answer;
      await answer.body?.cancel();
      throw new TypeError("connection reset");
    },
  });
  const clientClock: ClientClock = {
    now: () => clock.now(),
    random: () => 0,
    schedule: (task, delayMs) => clock.schedule(task, delayMs),
  };
  const direct: DirectBus = {
    bus,
    clock,
    client,
    world: { clock: clientClock },
    asked,
    fate: () => undefined,
    async askedFor(part, count = 1) {
      for (;;) {
        const found = asked.filter((request) => request.includes(part));
        if (found.length >= count) return found[count - 1]!;
        await bell.promise;
      }
    },
    async [Symbol.asyncDispose]() {
      await bus.close();
      if (bugs.length > 0) throw new Error("The handler had a bug", { cause: bugs[0] });
    },
  };
  return direct;
}
