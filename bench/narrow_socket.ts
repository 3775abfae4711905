/**
 * A connection that takes little and reads nothing. Deno can't set the size of a socket's receive buffer, hence the C
 * library: without it, each reader that doesn't read would keep megabytes in the kernel. Linux only.
 *
 * @module
 */

const AF_INET = 2;
const SOCK_STREAM = 1;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;

const symbols = {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32", nonblocking: true },
  send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
} as const;

/** Makes {@linkcode NarrowSocket}s. */
export class NarrowSockets implements Disposable {
  readonly #library = Deno.dlopen("libc.so.6", symbols);
  readonly #descriptors: number[] = [];

  /** Connects to a port of 127.0.0.1 with a receive buffer of so many bytes, and sends `request`. */
  async open(port: number, request: string, receiveBytes: number): Promise<void> {
    const { socket, setsockopt, connect, send } = this.#library.symbols;
    const descriptor = assertDone("socket", socket(AF_INET, SOCK_STREAM, 0));
    this.#descriptors.push(descriptor);
    assertDone(
      "setsockopt",
      setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, new Uint32Array([receiveBytes]), 4),
    );
    // struct sockaddr_in: the family as the machine has it, port and address in network order, padding.
    const address = new Uint8Array([AF_INET, 0, port >> 8, port & 0xff, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    assertDone("connect", await connect(descriptor, address, address.length));
    const bytes = new TextEncoder().encode(request);
    assertDone("send", Number(send(descriptor, bytes, BigInt(bytes.length), 0)));
  }

  /** Closes all of them. */
  [Symbol.dispose](): void {
    for (const descriptor of this.#descriptors) this.#library.symbols.close(descriptor);
    this.#library.close();
  }
}

function assertDone(what: string, result: number): number {
  if (result < 0) throw new Error(`${what} failed; are there enough file descriptors (ulimit -n)?`);
  return result;
}
