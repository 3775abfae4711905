/**
 * The opening handshake of a WebSocket, of which the platform checks half.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import { type Head, listOf, lists } from "./head.ts";
import { Refusal } from "./refusal.ts";
import { addStandardHeaders } from "./respond.ts";

const IDLE_TIMEOUT_SECONDS = 30;

/** The subprotocol with which every frame is one envelope; the same happens without a subprotocol. */
export const PLAIN_SUBPROTOCOL = "msgbus";
/** The subprotocol with which frames are lines of NDJSON, one or more, events among them. */
export const LINES_SUBPROTOCOL = "msgbus.ndjson";

/** What the frames of a socket are: an envelope each, or lines. */
export type FrameFormat = "plain" | "ndjson";

/**
 * Checks what RFC 6455 section 4.2.1 asks of a client.
 *
 * @throws {BusError} `upgrade_required`, `bad_request`.
 */
export function checkHandshake(head: Head): void {
  if (head.webSocketVersion !== "13") {
    const message = `Unknown WebSocket version ${quote(head.webSocketVersion ?? "")}, not 13`;
    throw new Refusal("upgrade_required", message, { "sec-websocket-version": "13", "upgrade": "websocket" });
  }
  if (!lists(head.connection, "upgrade")) {
    throw new BusError("bad_request", `Bad WebSocket handshake: Connection is ${quote(head.connection ?? "")}`);
  }
  if (!/^[A-Za-z0-9+/]{21}[AQgw]==$/.test(head.webSocketKey ?? "")) {
    throw new BusError("bad_request", "Bad WebSocket handshake: Sec-WebSocket-Key is not 16 bytes of base64");
  }
}

/** The subprotocol to answer with, if one was offered, and what it makes of the frames. */
export interface ChosenProtocol {
  /** See `Sec-WebSocket-Protocol`. */
  readonly protocol: string | undefined;
  /** What frames are. */
  readonly frames: FrameFormat;
}

/**
 * Chooses among the subprotocols a client offers; `frames` is what it asks for besides, which decides if none does.
 *
 * @throws {BusError} `unknown_subprotocol` if only others were offered, `bad_parameter` for a wrong value of `frames`.
 */
export function chooseProtocol(head: Head, frames: string | undefined): ChosenProtocol {
  if (frames !== undefined && frames !== "ndjson") {
    throw new BusError("bad_parameter", `Bad value of "frames": ${quote(frames)}, not "ndjson"`);
  }
  const offered = listOf(head.webSocketProtocol);
  if (offered.includes(LINES_SUBPROTOCOL)) return { protocol: LINES_SUBPROTOCOL, frames: "ndjson" };
  if (offered.length > 0 && !offered.includes(PLAIN_SUBPROTOCOL)) {
    throw new BusError(
      "unknown_subprotocol",
      `Unknown WebSocket subprotocol ${
        quote(offered.join(", "))
      }, not "${PLAIN_SUBPROTOCOL}" or "${LINES_SUBPROTOCOL}"`,
    );
  }
  return { protocol: offered.length > 0 ? PLAIN_SUBPROTOCOL : undefined, frames: frames ?? "plain" };
}

/**
 * Makes a WebSocket of a request, which `serve` takes; `leave` is called if that can't be done.
 *
 * @throws {BusError} `bad_request`.
 */
export function upgrade(
  request: Request,
  protocol: string | undefined,
  serve: (socket: WebSocket) => void,
  leave?: () => void,
): Response {
  try {
    const { socket, response } = Deno.upgradeWebSocket(request, { idleTimeout: IDLE_TIMEOUT_SECONDS });
    serve(socket);
    // Not by the platform's option, which does not find a protocol in a list without spaces.
    if (protocol !== undefined) response.headers.set("sec-websocket-protocol", protocol);
    addStandardHeaders(response.headers);
    return response;
  } catch (cause) {
    leave?.();
    throw new BusError("bad_request", "Cannot upgrade to a WebSocket", { cause });
  }
}
