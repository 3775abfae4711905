/**
 * The little of the NATS client protocol that a load needs.
 *
 * @module
 */

const encoder = new TextEncoder();

/** The first thing a client says; with `verbose` the server acknowledges everything with {@linkcode OK}. */
export function encodeConnect({ verbose }: { verbose: boolean }): Uint8Array {
  return encoder.encode(`CONNECT {"verbose":${verbose},"pedantic":false,"protocol":0}\r\n`);
}

/** Subscribes, and asks for a {@linkcode PONG} that says it has happened. */
export function encodeSubscribe(subject: string): Uint8Array {
  return encoder.encode(`SUB ${subject} 1\r\nPING\r\n`);
}

/** Publishes. */
export function encodePublish(subject: string, payload: string): Uint8Array {
  return encoder.encode(`PUB ${subject} ${payload.length}\r\n${payload}\r\n`);
}

/** What the server says now and then; it waits for the answer for minutes, which is longer than a load. */
export const PING = "PING\r\n";
/** The answer to a ping. */
export const PONG = "PONG\r\n";
/** The acknowledgement. */
export const OK = "+OK\r\n";
