/**
 * A TCP connection to a server of this machine.
 *
 * @module
 */

const FIRST_BYTES = 16 * 1024;

/** Connects to a port of the loopback address. */
export async function connect(port: number): Promise<Deno.TcpConn> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  connection.setNoDelay(true);
  return connection;
}

/** Writes all of it. */
export async function write(connection: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(at === 0 ? bytes : bytes.subarray(at));
}

/**
 * Reads what a server says first, up to `end`, and returns what came after it. Throws an `Error` if it doesn't begin
 * with `prefix`.
 */
export async function readUntil(connection: Deno.TcpConn, end: string, prefix = ""): Promise<Uint8Array> {
  const bytes = new Uint8Array(FIRST_BYTES);
  for (let length = 0;;) {
    const count = await connection.read(bytes.subarray(length));
    if (count === null) throw new Error("The server closed the connection");
    length += count;
    // A character for each byte, so that places in the text are places in the bytes.
    const text = String.fromCharCode(...bytes.subarray(0, length));
    const at = text.indexOf(end);
    if (at < 0) continue;
    if (!text.startsWith(prefix)) throw new Error(`Not ${JSON.stringify(prefix)} but: ${text.slice(0, 300)}`);
    return bytes.subarray(at + end.length, length);
  }
}
