/**
 * A connection that subscribes and counts what it gets.
 *
 * @module
 */

import { connect, readUntil, write } from "./connection.ts";
import { encodeFrame, FrameReader, OPCODE } from "./frame.ts";
import { openEventStream, openWebSocket } from "./http.ts";
import { type LookName, LOOKS, MarkFinder, timeOf } from "./message.ts";
import * as mqtt from "./mqtt.ts";
import * as nats from "./nats.ts";

/** Where and how to subscribe. */
export interface SubscriptionPlan {
  /** Server-sent events, or WebSocket: with nothing but messages, or with one of these protocols inside. */
  readonly protocol: "sse" | "websocket" | "nats" | "mqtt";
  /** The port on 127.0.0.1. */
  readonly port: number;
  /** The path of the request. */
  readonly path: string;
  /** The subprotocol of the WebSocket. */
  readonly subprotocol?: string;
  /** The subject or topic, where the path doesn't say. */
  readonly topic: string;
  /** How payloads look. */
  readonly look: LookName;
}

/** What all subscribers of a session have received. */
export class Tally {
  /** Messages, each once for each subscriber that got it. */
  deliveries = 0;
  /** When the last of them came, by `performance.now`. */
  lastMs = 0;
  /** How long each was under way, in milliseconds, while this is set. */
  latenciesMs: number[] | undefined;
  /** What went wrong first. */
  failure: unknown;
}

const OPEN: Readonly<
  Record<
    SubscriptionPlan["protocol"],
    (connection: Deno.TcpConn, plan: SubscriptionPlan, name: string) => Promise<Uint8Array>
  >
> = {
  sse: (connection, { port, path }) => openEventStream(connection, port, path),
  websocket: openWebSocket,
  async nats(connection, plan) {
    await openWebSocket(connection, plan);
    await write(connection, encodeFrame(OPCODE.binary, nats.encodeConnect({ verbose: false })));
    await write(connection, encodeFrame(OPCODE.binary, nats.encodeSubscribe(plan.topic)));
    return await readUntil(connection, nats.PONG);
  },
  async mqtt(connection, plan, name) {
    await openWebSocket(connection, plan);
    await write(connection, encodeFrame(OPCODE.binary, mqtt.encodeConnect(name)));
    await readUntil(connection, mqtt.CONNACK);
    await write(connection, encodeFrame(OPCODE.binary, mqtt.encodeSubscribe(plan.topic)));
    return await readUntil(connection, mqtt.SUBACK);
  },
};

// As much of what came before stays in the buffer: the time of a message is before its mark.
const CARRY_BYTES = 32;

/** Subscribes over one connection, and counts into a {@linkcode Tally}. */
export class Subscriber {
  readonly #connection: Deno.TcpConn;
  readonly #tally: Tally;
  readonly #look: (typeof LOOKS)[LookName];
  readonly #marks: MarkFinder;
  readonly #frames: FrameReader | undefined;
  readonly #buffer: Uint8Array<ArrayBuffer>;
  #closed = false;

  private constructor(connection: Deno.TcpConn, plan: SubscriptionPlan, tally: Tally, bufferBytes: number) {
    this.#connection = connection;
    this.#tally = tally;
    this.#look = LOOKS[plan.look];
    this.#marks = new MarkFinder(this.#look.mark);
    this.#buffer = new Uint8Array(CARRY_BYTES + bufferBytes + 1);
    if (plan.protocol === "sse") return;
    this.#frames = new FrameReader({
      data: (bytes, from, to) => this.#count(bytes, from, to),
      ping: (payload) => void connection.write(encodeFrame(OPCODE.pong, payload)),
    });
  }

  /** Connects; from then on it gets what is published. `name` is who it is. */
  static async connect(
    plan: SubscriptionPlan,
    { name, tally, bufferBytes }: { name: string; tally: Tally; bufferBytes: number },
  ): Promise<Subscriber> {
    const connection = await connect(plan.port);
    const rest = await OPEN[plan.protocol](connection, plan, name);
    const subscriber = new Subscriber(connection, plan, tally, bufferBytes);
    subscriber.#buffer.set(rest, CARRY_BYTES);
    void subscriber.#run(rest.length);
    return subscriber;
  }

  async #run(firstCount: number): Promise<void> {
    const space = this.#buffer.subarray(CARRY_BYTES, -1);
    try {
      for (let count: number | null = firstCount; count !== null; count = await this.#connection.read(space)) {
        this.#take(CARRY_BYTES + count);
      }
      if (!this.#closed) throw new Error("The server closed a subscriber's connection");
    } catch (error) {
      if (!this.#closed) this.#tally.failure ??= error;
    }
  }

  #take(end: number): void {
    const buffer = this.#buffer;
    buffer[end] = this.#look.mark;
    if (this.#frames === undefined) this.#count(buffer, CARRY_BYTES, end);
    else this.#frames.read(buffer, CARRY_BYTES, end);
    buffer.copyWithin(0, end - CARRY_BYTES, end);
  }

  #count(bytes: Uint8Array, from: number, to: number): void {
    const tally = this.#tally;
    const { latenciesMs } = tally;
    const nowMs = performance.now();
    let count = 0;
    for (let at = this.#marks.next(bytes, from, to); at >= 0; at = this.#marks.next(bytes, at + 1, to)) {
      count++;
      latenciesMs?.push(nowMs - timeOf(bytes, at, this.#look));
    }
    if (count === 0) return;
    tally.deliveries += count;
    tally.lastMs = nowMs;
  }

  /** Closes the connection. */
  close(): void {
    this.#closed = true;
    this.#connection.close();
  }
}
