/**
 * A connection that publishes.
 *
 * @module
 */

import { answerLength, isSuccess } from "../answer.ts";
import { connect, readUntil, write } from "./connection.ts";
import { encodePost } from "./http.ts";
import * as mqtt from "./mqtt.ts";
import * as nats from "./nats.ts";
import * as redis from "./redis.ts";

/** Where and how to publish. */
export interface Publication {
  /**
   * A `POST`; `PUB`, acknowledged because the connection is verbose; `PUB` to a stream, acknowledged by that; `XADD`;
   * `PUBLISH` with QoS 1.
   */
  readonly protocol: "http" | "nats" | "jetstream" | "redis" | "mqtt";
  /** The port on 127.0.0.1. */
  readonly port: number;
  /** The path of the request, the subject, the key or the topic. */
  readonly target: string;
  /** How many messages a publish has, each in a line of its own. Default: one, which is all of it. */
  readonly lines?: number | undefined;
}

interface Protocol {
  /** Says who we are. */
  open(connection: Deno.TcpConn, name: string): Promise<unknown>;
  /** One publish. */
  encode(publication: Publication, payload: string, name: string): Uint8Array;
  /** How long the acknowledgement is that begins at `from`; `Infinity` if it isn't there yet. */
  acknowledgementLength(bytes: Uint8Array, from: number, to: number): number;
}

const PROTOCOLS = {
  http: {
    open: () => Promise.resolve(),
    encode: ({ port, target }, payload) => encodePost(port, target, payload),
    acknowledgementLength(bytes, from, to) {
      const length = answerLength(bytes, from, to);
      if (length !== Infinity && !isSuccess(bytes, from)) throw refused(bytes, from, to);
      return length;
    },
  },
  nats: {
    async open(connection) {
      await readUntil(connection, "\r\n", "INFO");
      await write(connection, nats.encodeConnect({ verbose: true }));
      await readUntil(connection, nats.OK, nats.OK);
    },
    encode: ({ target }, payload) => nats.encodePublish(target, payload),
    acknowledgementLength(bytes, from, to) {
      const pingLength = bytes[from] === nats.PING.charCodeAt(0) ? nats.PING.length : 0;
      return pingLength + constantLength(bytes, from + pingLength, to, nats.OK);
    },
  },
  jetstream: {
    async open(connection, name) {
      await readUntil(connection, "\r\n", "INFO");
      await write(connection, nats.encodeConnect({ verbose: false }));
      await write(connection, nats.encodeSubscribe(nats.inboxOf(name)));
      await readUntil(connection, nats.PONG, nats.PONG);
    },
    encode: ({ target }, payload, name) => nats.encodePublish(target, payload, nats.inboxOf(name)),
    acknowledgementLength(bytes, from, to) {
      const pingLength = bytes[from] === nats.PING.charCodeAt(0) ? nats.PING.length : 0;
      if (bytes[from + pingLength] === nats.ERROR.charCodeAt(0)) throw refused(bytes, from, to);
      const length = nats.messageLength(bytes, from + pingLength, to);
      if (length !== Infinity && !nats.isStreamAnswer(bytes, from + pingLength)) throw refused(bytes, from, to);
      return pingLength + length;
    },
  },
  redis: {
    open: () => Promise.resolve(),
    encode: ({ target }, payload) => redis.encodeAdd(target, payload),
    acknowledgementLength(bytes, from, to) {
      if (from < to && !redis.isBulk(bytes, from)) throw refused(bytes, from, to);
      return redis.bulkLength(bytes, from, to);
    },
  },
  mqtt: {
    async open(connection, name) {
      await write(connection, mqtt.encodeConnect(name));
      await readUntil(connection, mqtt.CONNACK, mqtt.CONNACK);
    },
    encode: ({ target }, payload) => mqtt.encodePublish(target, payload),
    acknowledgementLength: (bytes, from, to) => constantLength(bytes, from, to, mqtt.PUBACK),
  },
} as const satisfies Record<Publication["protocol"], Protocol>;

const BUFFER_BYTES = 16 * 1024;

/** Publishes over one connection. */
export class Publisher {
  readonly #connection: Deno.TcpConn;
  readonly #publication: Publication;
  readonly #protocol: Protocol;
  readonly #name: string;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #from = 0;
  #to = 0;

  private constructor(connection: Deno.TcpConn, publication: Publication, name: string) {
    this.#connection = connection;
    this.#publication = publication;
    this.#protocol = PROTOCOLS[publication.protocol];
    this.#name = name;
  }

  /** Connects; `name` is who it is. */
  static async connect(publication: Publication, name: string): Promise<Publisher> {
    const connection = await connect(publication.port);
    await PROTOCOLS[publication.protocol].open(connection, name);
    return new Publisher(connection, publication, name);
  }

  /** The bytes of one publish. */
  encode(payload: string): Uint8Array {
    return this.#protocol.encode(this.#publication, payload, this.#name);
  }

  /** Publishes what {@linkcode encode} made, and doesn't wait for its acknowledgement. */
  send(publish: Uint8Array): Promise<void> {
    return write(this.#connection, publish);
  }

  /** The next acknowledgement. Throws an `Error` if the server refuses. */
  async acknowledgement(): Promise<void> {
    while (!this.#takeAcknowledgement()) this.#took(await this.#connection.read(this.#space()));
  }

  /**
   * Publishes what {@linkcode encode} made, waits for the acknowledgement, and so on until `goesOn`, which is asked after
   * each, says no. One function, since what the generator takes for a publish the server can't have.
   */
  async publishInTurn(publish: Uint8Array, goesOn: () => boolean): Promise<void> {
    const connection = this.#connection;
    do {
      const written = await connection.write(publish);
      if (written < publish.length) await write(connection, publish.subarray(written));
      do this.#took(await connection.read(this.#space())); while (!this.#takeAcknowledgement());
    } while (goesOn());
  }

  #takeAcknowledgement(): boolean {
    const length = this.#protocol.acknowledgementLength(this.#buffer, this.#from, this.#to);
    if (length === Infinity) return false;
    this.#from += length;
    return true;
  }

  /** Where to read to. */
  #space(): Uint8Array {
    if (this.#from > 0) {
      if (this.#from < this.#to) this.#buffer.copyWithin(0, this.#from, this.#to);
      this.#to -= this.#from;
      this.#from = 0;
    }
    return this.#to === 0 ? this.#buffer : this.#buffer.subarray(this.#to);
  }

  #took(count: number | null): void {
    if (count === null) throw new Error("The server closed a publisher's connection");
    this.#to += count;
  }

  /** Closes the connection. */
  close(): void {
    this.#connection.close();
  }
}

function constantLength(bytes: Uint8Array, from: number, to: number, expected: string): number {
  if (to - from < expected.length) return Infinity;
  for (let i = 0; i < expected.length; i++) {
    if (bytes[from + i] !== expected.charCodeAt(i)) throw refused(bytes, from, to);
  }
  return expected.length;
}

function refused(bytes: Uint8Array, from: number, to: number): Error {
  return new Error(`The server refused a publish: ${new TextDecoder().decode(bytes.subarray(from, to))}`);
}
