/**
 * A worker as a process of its own: takes what it is sent over a WebSocket, says what that is, and never acknowledges.
 * `deno run --allow-net worker.ts ws://…`
 *
 * @module
 */

const socket = new WebSocket(Deno.args[0]!, "msgbus.ndjson");
socket.onmessage = ({ data }) => Deno.stdout.writeSync(new TextEncoder().encode(data));
