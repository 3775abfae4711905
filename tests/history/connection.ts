/**
 * HTTP/1.1 over one kept connection, one request at a time. `fetch` costs a multiple, and hides when a connection is cut.
 *
 * @module
 */

/** A request. */
export interface HttpRequest {
  readonly method?: string;
  /** As it is sent. */
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** An answer; the names of its headers are in lower case. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly text: string;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const LF = 10;

/** A connection to a server on loopback. Whatever it throws means that the connection is of no use any more. */
export class Connection implements Disposable {
  readonly #socket: Deno.TcpConn;
  #buffer = new Uint8Array(16_384);
  #start = 0;
  #end = 0;
  #closed = false;

  private constructor(socket: Deno.TcpConn) {
    this.#socket = socket;
  }

  /** Connects to a port of 127.0.0.1. */
  static async open(port: number): Promise<Connection> {
    const socket = await Deno.connect({ hostname: "127.0.0.1", port });
    socket.setNoDelay();
    return new Connection(socket);
  }

  /** Asks, and reads the whole answer. Throws an `Error` if the connection is cut before. */
  async ask(request: HttpRequest): Promise<HttpAnswer> {
    await this.#send(request);
    const { status, headers } = await this.#head();
    const length = headers.get("content-length");
    if (length !== undefined) return { status, headers, text: decoder.decode(await this.#bytes(Number(length))) };
    const parts: string[] = [];
    const text = new TextDecoder();
    for await (const chunk of this.#chunks(status, headers)) parts.push(text.decode(chunk, { stream: true }));
    return { status, headers, text: parts.join("") };
  }

  /** Asks for a stream, and gives its lines as they come, until it ends. Throws an `Error` if it is refused, or cut. */
  async *lines(request: HttpRequest): AsyncGenerator<string, void> {
    await this.#send(request);
    const { status, headers } = await this.#head();
    if (status !== 200) throw new Error(`${request.target}: ${status}`);
    const text = new TextDecoder();
    let rest = "";
    for await (const chunk of this.#chunks(status, headers)) {
      const lines = (rest + text.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop()!;
      yield* lines.filter((line) => line !== "");
    }
  }

  async #send({ method = "GET", target, headers = {}, body }: HttpRequest): Promise<void> {
    const lines = [`${method} ${target} HTTP/1.1`, "host: 127.0.0.1"];
    for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
    const bytes = body === undefined ? undefined : encoder.encode(body);
    if (bytes !== undefined) lines.push(`content-length: ${bytes.length}`);
    const whole = encoder.encode(`${lines.join("\r\n")}\r\n\r\n${body ?? ""}`);
    for (let at = 0; at < whole.length;) at += await this.#socket.write(whole.subarray(at));
  }

  async #head(): Promise<{ status: number; headers: Map<string, string> }> {
    const status = Number((await this.#line()).split(" ")[1]);
    const headers = new Map<string, string>();
    for (let line = await this.#line(); line !== ""; line = await this.#line()) {
      const colon = line.indexOf(":");
      headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
    }
    return { status, headers };
  }

  /** The body of an answer without a length. */
  async *#chunks(status: number, headers: ReadonlyMap<string, string>): AsyncGenerator<Uint8Array, void> {
    if (status === 204 || headers.get("transfer-encoding") !== "chunked") return;
    for (;;) {
      const length = parseInt(await this.#line(), 16);
      const chunk = await this.#bytes(length);
      await this.#line();
      if (length === 0) return;
      yield chunk;
    }
  }

  async #line(): Promise<string> {
    for (let from = this.#start;;) {
      const at = this.#buffer.subarray(0, this.#end).indexOf(LF, from);
      if (at >= 0) {
        const line = decoder.decode(this.#buffer.subarray(this.#start, at)).trimEnd();
        this.#start = at + 1;
        return line;
      }
      const seen = this.#end - this.#start;
      await this.#fill();
      from = this.#start + seen;
    }
  }

  async #bytes(length: number): Promise<Uint8Array> {
    while (this.#end - this.#start < length) await this.#fill();
    const bytes = this.#buffer.slice(this.#start, this.#start + length);
    this.#start += length;
    return bytes;
  }

  /** Reads more, behind what is there. */
  async #fill(): Promise<void> {
    if (this.#start > 0) {
      this.#buffer.copyWithin(0, this.#start, this.#end);
      this.#end -= this.#start;
      this.#start = 0;
    }
    if (this.#end === this.#buffer.length) {
      const larger = new Uint8Array(2 * this.#buffer.length);
      larger.set(this.#buffer);
      this.#buffer = larger;
    }
    const count = await this.#socket.read(this.#buffer.subarray(this.#end));
    if (count === null) throw new Error("The connection was cut");
    this.#end += count;
  }

  /** Cuts it; whoever waits for an answer then gets an error. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
  }
}
