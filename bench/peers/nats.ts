/**
 * The little of the NATS client protocol that a load needs.
 *
 * @module
 */

const encoder = new TextEncoder();
const CR = 0x0d;
const SPACE = 0x20;
const DIGIT_0 = 0x30;
const LINE_END = "\r\n";
const STREAM_ANSWER = '{"stream"';

/** The first thing a client says; with `verbose` the server acknowledges everything with {@linkcode OK}. */
export function encodeConnect({ verbose }: { verbose: boolean }): Uint8Array {
  return encoder.encode(`CONNECT {"verbose":${verbose},"pedantic":false,"protocol":0}\r\n`);
}

/** Subscribes, and asks for a {@linkcode PONG} that says it has happened. */
export function encodeSubscribe(subject: string): Uint8Array {
  return encoder.encode(`SUB ${subject} 1\r\nPING\r\n`);
}

/** Publishes, and says where the answer goes if one is wanted. */
export function encodePublish(subject: string, payload: string, inbox?: string): Uint8Array {
  const to = inbox === undefined ? subject : `${subject} ${inbox}`;
  return encoder.encode(`PUB ${to} ${payload.length}\r\n${payload}\r\n`);
}

/** The subject for answers to the client of this name. */
export function inboxOf(name: string): string {
  return `_INBOX.${name}`;
}

/** How long the message is that begins at `from`, without headers; `Infinity` if it isn't all there yet. */
export function messageLength(bytes: Uint8Array, from: number, to: number): number {
  const end = bytes.indexOf(CR, from);
  if (end < 0 || end >= to) return Infinity;
  let payloadLength = 0;
  for (let at = bytes.lastIndexOf(SPACE, end) + 1; at < end; at++) {
    payloadLength = payloadLength * 10 + bytes[at]! - DIGIT_0;
  }
  const length = end + LINE_END.length + payloadLength + LINE_END.length - from;
  return from + length > to ? Infinity : length;
}

/** Whether the message that begins at `from` is what a stream answers to a publish that it has taken. */
export function isStreamAnswer(bytes: Uint8Array, from: number): boolean {
  const payload = bytes.indexOf(CR, from) + LINE_END.length;
  for (let i = 0; i < STREAM_ANSWER.length; i++) if (bytes[payload + i] !== STREAM_ANSWER.charCodeAt(i)) return false;
  return true;
}

/** What the server says now and then; it waits for the answer for minutes, which is longer than a load. */
export const PING = "PING\r\n";
/** The answer to a ping. */
export const PONG = "PONG\r\n";
/** What an error begins with. */
export const ERROR = "-ERR";
/** The acknowledgement. */
export const OK = "+OK\r\n";
