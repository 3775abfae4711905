/**
 * A reader of server-sent events, written from the specification alone (WHATWG HTML, section 9.2.6, "Interpreting an
 * event stream"), so that it shares no misunderstanding with the writer.
 *
 * @module
 */

/** An event that was dispatched. */
export interface DispatchedEvent {
  readonly type: string;
  readonly data: string;
  readonly lastEventId: string;
}

/** What a stream says: its events, and how long to wait before the next connection, in milliseconds. */
export interface Interpreted {
  readonly events: DispatchedEvent[];
  readonly retryMs: number | undefined;
}

/** Interprets a whole stream. An event at its end that no empty line follows is dropped. */
export function interpret(stream: string | Uint8Array): Interpreted {
  // "Streams must be decoded using the UTF-8 decode algorithm", which strips a byte order mark.
  const text = new TextDecoder().decode(typeof stream === "string" ? new TextEncoder().encode(stream) : stream);
  const events: DispatchedEvent[] = [];
  let retryMs: number | undefined;
  let data = "";
  let type = "";
  let id = "";
  const lines = text.split(/\r\n|\n|\r/);
  // What is not ended by a line end is no line.
  lines.pop();
  for (const line of lines) {
    if (line === "") {
      if (data !== "") events.push({ type: type || "message", data: data.replace(/\n$/, ""), lastEventId: id });
      data = type = "";
      continue;
    }
    const colon = line.indexOf(":");
    if (colon === 0) continue;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") type = value;
    if (field === "data") data += `${value}\n`;
    if (field === "id" && !value.includes("\0")) id = value;
    if (field === "retry" && /^[0-9]+$/.test(value)) retryMs = Number(value);
  }
  return { events, retryMs };
}
