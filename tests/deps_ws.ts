/**
 * A WebSocket client that is not the platform's own: it can send headers, ping, and vanish. Apart from deps.ts because it
 * reads its environment when it is loaded.
 *
 * @module
 */

export { WebSocket as WsClient } from "npm:ws@^8.18.0";
