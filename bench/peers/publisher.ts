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

/** Where and how to publish. */
export interface Publication {
  /** A `POST`; `PUB`, acknowledged because the connection is verbose; `PUBLISH` with QoS 1. */
  readonly protocol: "http" | "nats" | "mqtt";
  /** The port on 127.0.0.1. */
  readonly port: number;
  /** The path of the request, the subject or the topic. */
  readonly target: string;
}

interface Protocol {
  /** Says who we are. */
  open(connection: Deno.TcpConn, name: string): Promise<unknown>;
  /** One publish. */
  encode(publication: Publication, payload: string): Uint8Array;
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
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #from = 0;
  #to = 0;

  private constructor(connection: Deno.TcpConn, publication: Publication) {
    this.#connection = connection;
    this.#publication = publication;
    this.#protocol = PROTOCOLS[publication.protocol];
  }

  /** Connects; `name` is who it is. */
  static async connect(publication: Publication, name: string): Promise<Publisher> {
    const connection = await connect(publication.port);
    await PROTOCOLS[publication.protocol].open(connection, name);
    return new Publisher(connection, publication);
  }

  /** The bytes of one publish. */
  encode(payload: string): Uint8Array {
    return this.#protocol.encode(this.#publication, payload);
  }

  /** Publishes what {@linkcode encode} made, and doesn't wait for its acknowledgement. */
  send(publish: Uint8Array): Promise<void> {
    return write(this.#connection, publish);
  }

  /** The next acknowledgement. Throws an `Error` if the server refuses. */
  async acknowledgement(): Promise<void> {
    for (;;) {
      const length = this.#protocol.acknowledgementLength(this.#buffer, this.#from, this.#to);
      if (length !== Infinity) {
        this.#from += length;
        return;
      }
      this.#buffer.copyWithin(0, this.#from, this.#to);
      this.#to -= this.#from;
      this.#from = 0;
      const count = await this.#connection.read(this.#to === 0 ? this.#buffer : this.#buffer.subarray(this.#to));
      if (count === null) throw new Error("The server closed a publisher's connection");
      this.#to += count;
    }
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
