/**
 * A bus served in the process of the test over real sockets, and clients that send exactly the bytes they are told to.
 *
 * @module
 */

import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import type { BusError } from "../../lib/errors.ts";
import { createHandler, type HandlerOptions } from "../../lib/http/handler.ts";
import { ReaderStalled } from "../../lib/http/push_stream.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** An answer as it came over the wire. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array;
  /** The body as text. */
  readonly body: string;
  /** The header `Msgbus-Error`. */
  readonly error: string | null;
}

/** Header fields of a request; an `undefined` one is not sent. */
export type Fields = Readonly<Record<string, string | undefined>>;

/** The fields with which a client asks for a WebSocket; the key is the example of RFC 6455. */
export const HANDSHAKE = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
} as const;

/** A server that is stopped when it is disposed; it must not have had a bug then. */
export interface Serving extends AsyncDisposable {
  readonly uri: string;
  readonly port: number;
  readonly bus: MessageBus;
  /** The refusals so far, each with the address it was told of. */
  readonly refusals: { readonly error: BusError; readonly address: string }[];
  /** The bugs so far; a test that wants some takes them away. */
  readonly bugs: unknown[];
  /** Sends `<method> <target>` with a `Host` of this server unless `fields` has one, and gives the answer. */
  ask(line: string, fields?: Fields, body?: string | Uint8Array): Promise<Answer>;
  /**
   * Sends requests on one connection, byte for byte, and gives all answers until the server closes it. Only for small
   * bodies: Deno does not read the others to the end on a connection that the client has half closed.
   */
  raw(...requests: (string | Uint8Array)[]): Promise<Answer[]>;
  /** Makes the bytes of a request as {@linkcode Serving.ask} sends them. */
  request(line: string, fields?: Fields, body?: string | Uint8Array): Uint8Array;
}

/** Serves a bus. */
export function serve(busOptions: BusOptions = {}, handlerOptions: HandlerOptions = {}): Serving {
  const bus = new MessageBus(busOptions);
  const refusals: Serving["refusals"] = [];
  const bugs: unknown[] = [];
  const handler = createHandler(bus, {
    onRefusal: (error, addressOf) => void refusals.push({ error, address: addressOf() }),
    onBug: (error) => void bugs.push(error),
    ...handlerOptions,
  });
  const onError = (error: unknown) => {
    if (!(error instanceof ReaderStalled)) bugs.push(error);
    return new Response(null, { status: 500 });
  };
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {}, onError }, handler);
  const { port } = server.addr;
  const request: Serving["request"] = (line, fields = {}, body = "") => {
    const all: Fields = {
      host: `localhost:${port}`,
      ...(body.length > 0 ? { "content-length": String(bytesOf(body).length) } : {}),
      ...fields,
    };
    return joined([headOf(`${line} HTTP/1.1`, all), body]);
  };
  return {
    uri: `http://127.0.0.1:${port}`,
    port,
    bus,
    refusals,
    bugs,
    request,
    async ask(line, fields, body) {
      using connection = await Connection.open(port);
      await connection.write(request(line, fields, body));
      return await connection.answer(line.startsWith("HEAD "));
    },
    raw: (...requests) => raw(port, ...requests),
    async [Symbol.asyncDispose]() {
      await bus.close();
      await server.shutdown();
      if (bugs.length > 0) throw new Error("The handler had a bug", { cause: bugs[0] });
    },
  };
}

/** Sends requests on one connection, says that there are no more, and gives all answers until the server closes it. */
export async function raw(port: number, ...requests: (string | Uint8Array)[]): Promise<Answer[]> {
  const connection = await Connection.open(port);
  await connection.write(joined(requests));
  await connection.endOfRequests();
  const heads = requests.map((request) => decoder.decode(bytesOf(request).subarray(0, 5)) === "HEAD ");
  return parseAnswers(await connection.rest(), heads);
}

/** A connection on which a test says what is sent, and when. */
export class Connection implements Disposable {
  readonly #conn: Deno.TcpConn;
  #seen: Uint8Array = new Uint8Array(0);
  #open = true;

  private constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
  }

  /** Connects to a port of loopback. */
  static async open(port: number): Promise<Connection> {
    return new Connection(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  /** Sends all of `bytes`, or as much as the server takes before it closes the connection. */
  async write(bytes: string | Uint8Array): Promise<void> {
    const all = bytesOf(bytes);
    try {
      for (let sent = 0; sent < all.length;) sent += await this.#conn.write(all.subarray(sent));
    } catch {
      // What the server has answered by then is what a test wants to know.
    }
  }

  /** Says that nothing more will be sent. */
  async endOfRequests(): Promise<void> {
    await this.#conn.closeWrite().catch(() => {});
  }

  /** Waits for one answer, which must have a `Content-Length` or no body. */
  async answer(toHead = false): Promise<Answer> {
    for (;;) {
      const answer = parseAnswer(this.#seen, toHead);
      if (answer !== undefined) {
        this.#seen = this.#seen.slice(answer.length);
        return answer;
      }
      if (!await this.#read()) throw new Error(`No whole answer: ${JSON.stringify(decoder.decode(this.#seen))}`);
    }
  }

  /** Waits for `count` bytes. */
  async bytes(count: number): Promise<Uint8Array> {
    while (this.#seen.length < count) {
      if (!await this.#read()) throw new Error(`The connection ended after ${this.#seen.length} of ${count} bytes`);
    }
    const bytes = this.#seen.slice(0, count);
    this.#seen = this.#seen.slice(count);
    return bytes;
  }

  /** Everything that comes until the server closes the connection; then it is closed here, too. */
  async rest(): Promise<Uint8Array> {
    while (await this.#read());
    this[Symbol.dispose]();
    return this.#seen;
  }

  /** Closes the connection. */
  [Symbol.dispose](): void {
    if (this.#open) this.#conn.close();
    this.#open = false;
  }

  async #read(): Promise<boolean> {
    const buffer = new Uint8Array(65_536);
    const count = await this.#conn.read(buffer).catch(() => null); // a reset is an end, too
    if (count === null) return false;
    this.#seen = joined([this.#seen, buffer.subarray(0, count)]);
    return true;
  }
}

/** Writes a request line, or any other first line, and header fields. */
export function headOf(line: string, fields: Fields): string {
  const lines = Object.entries(fields).filter(([, value]) => value !== undefined).map(([name, value]) =>
    `${name}: ${value}\r\n`
  );
  return `${line}\r\n${lines.join("")}\r\n`;
}

function bytesOf(data: string | Uint8Array): Uint8Array {
  return typeof data === "string" ? encoder.encode(data) : data;
}

/** Joins texts and bytes into bytes. */
export function joined(parts: readonly (string | Uint8Array)[]): Uint8Array {
  const chunks = parts.map(bytesOf);
  const all = new Uint8Array(chunks.reduce((length, chunk) => length + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

function parseAnswers(bytes: Uint8Array, toHead: readonly boolean[]): Answer[] {
  const answers: Answer[] = [];
  for (let rest = bytes; rest.length > 0;) {
    const answer = parseAnswer(rest, toHead[answers.length] ?? false);
    if (answer === undefined) throw new Error(`Not an answer: ${JSON.stringify(decoder.decode(rest))}`);
    answers.push(answer);
    rest = rest.subarray(answer.length);
  }
  return answers;
}

/** Reads an answer from the front of `bytes`; an interim `100 Continue` is part of the answer it announces. */
function parseAnswer(bytes: Uint8Array, toHead: boolean): (Answer & { length: number }) | undefined {
  const text = new TextDecoder("latin1").decode(bytes);
  const interim = /^HTTP\/1\.1 100 [^\r]*\r\n\r\n/.exec(text)?.[0].length ?? 0;
  const end = text.indexOf("\r\n\r\n", interim);
  if (end < 0) return undefined;
  const [first, ...lines] = text.slice(interim, end).split("\r\n");
  const status = Number(/^HTTP\/1\.[01] ([0-9]{3}) /.exec(first!)?.[1]);
  const headers = new Headers(lines.map((line) => line.split(/: (.*)/).slice(0, 2) as [string, string]));
  if (headers.has("transfer-encoding")) throw new Error("An answer in chunks");
  const start = end + 4;
  const length = toHead || status === 101 || status === 204 ? 0 : Number(headers.get("content-length"));
  if (bytes.length < start + length) return undefined;
  const body = bytes.slice(start, start + length);
  return {
    status,
    headers,
    bytes: body,
    body: decoder.decode(body),
    error: headers.get("msgbus-error"),
    length: start + length,
  };
}
