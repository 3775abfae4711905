/**
 * The opening handshake of a WebSocket, of which the platform checks half.
 *
 * @module
 */

import { BusError, quote } from "../errors.ts";
import { type Head, listOf, lists } from "./head.ts";

/** The subprotocol with which every frame is one envelope; the same happens without a subprotocol. */
export const SUBPROTOCOL = "msgbus";

/**
 * Checks what RFC 6455 section 4.2.1 asks of a client.
 *
 * @throws {BusError} `upgrade_required`, `bad_request`.
 */
export function checkHandshake(head: Head): void {
  if (head.webSocketVersion !== "13") {
    throw new BusError("upgrade_required", `Unknown WebSocket version ${quote(head.webSocketVersion ?? "")}, not 13`);
  }
  if (!lists(head.connection, "upgrade")) {
    throw new BusError("bad_request", `Bad WebSocket handshake: Connection is ${quote(head.connection ?? "")}`);
  }
  if (!/^[A-Za-z0-9+/]{21}[AQgw]==$/.test(head.webSocketKey ?? "")) {
    throw new BusError("bad_request", "Bad WebSocket handshake: Sec-WebSocket-Key is not 16 bytes of base64");
  }
}

/**
 * The subprotocol to answer with; `undefined` if none was offered.
 *
 * @throws {BusError} `unknown_subprotocol` if only others were offered.
 */
export function chooseProtocol(head: Head): string | undefined {
  const offered = listOf(head.webSocketProtocol);
  if (offered.length === 0) return undefined;
  if (offered.includes(SUBPROTOCOL)) return SUBPROTOCOL;
  throw new BusError(
    "unknown_subprotocol",
    `Unknown WebSocket subprotocol ${quote(offered.join(", "))}, not "${SUBPROTOCOL}"`,
  );
}
