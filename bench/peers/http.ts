/**
 * Requests of HTTP/1.1 as bytes.
 *
 * @module
 */

import { readUntil, write } from "./connection.ts";

const encoder = new TextEncoder();
const HEAD_END = "\r\n\r\n";

/** A publish. */
export function encodePost(port: number, path: string, payload: string): Uint8Array {
  return encoder.encode(encodeHead(`POST ${path}`, port, [`Content-Length: ${payload.length}`]) + payload);
}

/** Asks for server-sent events, and returns what comes after the head of the answer. */
export async function openEventStream(connection: Deno.TcpConn, port: number, path: string): Promise<Uint8Array> {
  await write(connection, encoder.encode(encodeHead(`GET ${path}`, port, ["Accept: text/event-stream"])));
  return await readUntil(connection, HEAD_END, "HTTP/1.1 200");
}

/** Does the opening handshake of a WebSocket, and returns what comes after it. */
export async function openWebSocket(
  connection: Deno.TcpConn,
  { port, path, subprotocol }: { port: number; path: string; subprotocol?: string },
): Promise<Uint8Array> {
  const headers = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: bXNnYnVzIGJlbmNobWFyaw==",
    ...subprotocol === undefined ? [] : [`Sec-WebSocket-Protocol: ${subprotocol}`],
  ];
  await write(connection, encoder.encode(encodeHead(`GET ${path}`, port, headers)));
  return await readUntil(connection, HEAD_END, "HTTP/1.1 101");
}

function encodeHead(start: string, port: number, headers: readonly string[]): string {
  return [`${start} HTTP/1.1`, `Host: localhost:${port}`, ...headers].join("\r\n") + HEAD_END;
}
