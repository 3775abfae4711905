/**
 * A message, the topic it belongs to, and the cursor: the three values everything else is made of.
 *
 * @module
 */

/** The largest id a message can have: 2^53 - 1, the largest integer a JSON reader in JavaScript keeps exactly. */
export const MAX_ID = Number.MAX_SAFE_INTEGER;

/** What a topic is, as every message of it carries: never changes while the topic lives. */
export interface TopicInfo {
  /** The canonical name, for example `orders/eu`. */
  readonly name: string;
  /** How long a message of this topic is kept, in milliseconds; `0` means until a limit drops it. */
  readonly ttlMs: number;
  /** When the topic was made, in milliseconds since the Unix epoch; different for each topic a bus ever makes. */
  readonly createdMs: number;
  /** {@linkcode TopicInfo.createdMs} in base 36: tells a topic from an earlier one of the same name. */
  readonly epoch: string;
}

/** The value of {@linkcode TopicInfo.epoch} for a topic made at `createdMs`. */
export function epochOf(createdMs: number): string {
  return createdMs.toString(36);
}

/** What a publisher says of a payload; everything is optional. See `attributesOf` for what is allowed. */
export interface Attributes {
  /** What the payload is, a media type. */
  readonly contentType?: string | undefined;
  /** Further properties by name; the names are in lower case, those the server sets begin with `msgbus-`. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** What the message is about: a group hands out messages of one key one after the other. */
  readonly key?: string | undefined;
}

/** That a message was handed out, to be acknowledged. */
export interface Handout {
  /** How often it was handed out, this time counted: 1, 2, … */
  readonly attempt: number;
  /** What acknowledges it, hands it back, or asks for more time; `undefined` if it was taken for good. */
  readonly lease?: string | undefined;
}

/** The parts of a message that differ from message to message; see {@linkcode Message}. */
export interface MessageInit {
  /** See {@linkcode Message.id}. */
  readonly id: number;
  /** See {@linkcode Message.payload}. */
  readonly payload: Uint8Array;
  /** See {@linkcode Message.createdMs}. */
  readonly createdMs: number;
  /** How long the message is kept, in milliseconds; `0` means until a limit drops it. Default: the topic's. */
  readonly ttlMs?: number | undefined;
  /** What its publisher says of it. Default: nothing. */
  readonly attributes?: Attributes | undefined;
  /** That it was handed out. Default: it was not. */
  readonly handout?: Handout | undefined;
}

const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze(Object.create(null));
const decoder = new TextDecoder();

/** One message of a topic's log. It never changes; don't write into its payload. */
export class Message {
  /** The place in the topic's log: 0, 1, 2 … without gaps. */
  readonly id: number;
  /** The topic it was published to. */
  readonly topic: TopicInfo;
  /** The bytes that were published, not copied. Their buffer may hold other messages, too: don't transfer it. */
  readonly payload: Uint8Array;
  /** When it was published, in milliseconds since the Unix epoch; never before the previous message's. */
  readonly createdMs: number;
  /** How long it is kept, in milliseconds; `0` means until a limit drops it. */
  readonly ttlMs: number;
  /** What its publisher says of it; `undefined` if nothing. */
  readonly attributes: Attributes | undefined;
  /** That it was handed out by a group or a queue, if it was leased or is not the first attempt. */
  readonly handout: Handout | undefined;

  /** Makes a message of `topic`. */
  constructor(topic: TopicInfo, init: MessageInit) {
    this.id = init.id;
    this.topic = topic;
    this.payload = init.payload;
    this.createdMs = init.createdMs;
    this.ttlMs = init.ttlMs ?? topic.ttlMs;
    this.attributes = init.attributes;
    this.handout = init.handout;
  }

  /** What the payload is, a media type; `undefined` if its publisher didn't say. */
  get contentType(): string | undefined {
    return this.attributes?.contentType;
  }

  /** Further properties by name, in lower case; those that the server set begin with `msgbus-`. */
  get headers(): Readonly<Record<string, string>> {
    return this.attributes?.headers ?? NO_HEADERS;
  }

  /** What the message is about: a group hands out messages of one key one after the other. */
  get key(): string | undefined {
    return this.attributes?.key;
  }

  /** How often it was handed out, this time counted; `undefined` if it was neither leased nor handed out before. */
  get attempt(): number | undefined {
    return this.handout?.attempt;
  }

  /** The token that acknowledges it, hands it back, or asks for more time; `undefined` if it is not leased. */
  get lease(): string | undefined {
    return this.handout?.lease;
  }

  /** The same message, handed out. */
  handedOut(handout: Handout): Message {
    const { topic, id, payload, createdMs, ttlMs, attributes } = this;
    return new Message(topic, { id, payload, createdMs, ttlMs, attributes, handout });
  }

  /** The id of the next message of the topic as of this one, `id + 1`: what the wire calls `topic.seq`. */
  get seq(): number {
    return this.id + 1;
  }

  /** When it stops being handed out, in milliseconds since the Unix epoch; `Infinity` if never. */
  get expiresMs(): number {
    return this.ttlMs === 0 ? Infinity : this.createdMs + this.ttlMs;
  }

  /** The position after this message, as text: `<seq>@<epoch>`. */
  get cursor(): string {
    return formatCursor(this.id + 1, this.topic.epoch);
  }

  /** The payload as text; bytes that are not UTF-8 become U+FFFD. */
  text(): string {
    return decoder.decode(this.payload);
  }

  /** The payload parsed as JSON. Throws a `SyntaxError` if it is not JSON. */
  json(): unknown {
    return JSON.parse(this.text());
  }
}

/** A position in a topic's log. */
export interface Position {
  /** The id of the next message wanted. */
  readonly next: number;
  /** The epoch of the topic it was taken from; without it the position is not checked against the topic's epoch. */
  readonly epoch?: string;
}

const CURSOR = /^(0|[1-9][0-9]{0,15})(?:@([0-9a-z]{1,11}))?$/;

/**
 * Reads a cursor, `<n>@<epoch>` or a bare `<n>`: decimal digits without sign, space or leading zero, at most 2^53 - 1.
 * Returns `undefined` for anything else.
 */
export function parseCursor(text: string): Position | undefined {
  const match = CURSOR.exec(text);
  if (!match) return undefined;
  const next = Number(match[1]);
  if (next > MAX_ID) return undefined;
  return match[2] === undefined ? { next } : { next, epoch: match[2] };
}

/** Writes a position as {@linkcode parseCursor} reads it. */
export function formatCursor(next: number, epoch?: string): string {
  return epoch === undefined ? String(next) : `${next}@${epoch}`;
}
