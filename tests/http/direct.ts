/**
 * The handler asked in the process of the test, without a socket: a test sees every chunk of an answer as it is made, and
 * nothing happens before it lets time pass.
 *
 * @module
 */

import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import type { EndReason, Subscription } from "../../lib/bus/subscription.ts";
import type { BusError } from "../../lib/errors.ts";
import { createHandler, type HandlerOptions } from "../../lib/http/handler.ts";
import { TestClock } from "../bus/test_clock.ts";

const HOST = "localhost:8000";
const INFO: Deno.ServeHandlerInfo<Deno.Addr> = {
  remoteAddr: { transport: "tcp", hostname: "127.0.0.1", port: 54_321 },
  completed: Promise.resolve(),
};

/** A handler without a server. */
export interface Direct extends AsyncDisposable {
  readonly bus: MessageBus;
  readonly clock: TestClock;
  /** The subscriptions that began, in their order. */
  readonly subscribed: Subscription[];
  /** How subscriptions ended, in that order. */
  readonly ended: EndReason[];
  readonly refusals: BusError[];
  /** Asks for a target. */
  get(target: string, headers?: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<Response>;
  /** Asks for a target and reads the chunks of the answer. */
  stream(target: string, headers?: Readonly<Record<string, string>>): Promise<Chunks>;
}

/** Makes a bus and its handler, with a clock that stands still. It must not have had a bug when it is disposed. */
export function direct(
  { observer = {}, ...busOptions }: BusOptions = {},
  handlerOptions: HandlerOptions = {},
): Direct {
  const clock = new TestClock();
  const subscribed: Subscription[] = [];
  const ended: EndReason[] = [];
  const refusals: BusError[] = [];
  const bugs: unknown[] = [];
  const bus = new MessageBus({
    clock,
    observer: {
      ...observer,
      subscribed: (subscription) => void subscribed.push(subscription),
      unsubscribed: (_subscription, reason) => void ended.push(reason),
    },
    ...busOptions,
  });
  const handler = createHandler(bus, {
    clock,
    onRefusal: (error) => void refusals.push(error),
    onBug: (error) => void bugs.push(error),
    ...handlerOptions,
  });
  const get: Direct["get"] = async (target, headers = {}, signal) =>
    await handler(new Request(`http://${HOST}${target}`, { headers: { host: HOST, ...headers }, signal }), INFO);
  return {
    bus,
    clock,
    subscribed,
    ended,
    refusals,
    get,
    stream: async (target, headers) => new Chunks(await get(target, headers)),
    async [Symbol.asyncDispose]() {
      await bus.close();
      if (bugs.length > 0) throw new Error("The handler had a bug", { cause: bugs[0] });
    },
  };
}

const decoder = new TextDecoder();

/** The body of an answer, chunk by chunk, as the handler made them. */
export class Chunks {
  readonly response: Response;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;

  constructor(response: Response) {
    this.response = response;
    this.#reader = response.body!.getReader();
  }

  /** The next chunk; `undefined` after the last. Rejects if the stream fails. */
  async next(): Promise<Uint8Array | undefined> {
    return (await this.#reader.read()).value;
  }

  /** The next chunk as text; empty after the last. */
  async text(): Promise<string> {
    return decoder.decode(await this.next());
  }

  /** Everything that is left, as text. */
  async rest(): Promise<string> {
    let text = "";
    for (let chunk = await this.next(); chunk !== undefined; chunk = await this.next()) text += decoder.decode(chunk);
    return text;
  }

  /** Leaves. */
  cancel(): Promise<void> {
    return this.#reader.cancel();
  }
}

/** Resolves when everything has happened that can happen without an event from outside. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
