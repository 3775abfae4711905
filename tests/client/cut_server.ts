/**
 * A server that cuts connections between frames, as a script says.
 *
 * @module
 */

import type { MessageBus } from "../../lib/bus/bus.ts";
import type { Delivery } from "../../lib/bus/feed.ts";
import { encodeEvent, encodeLines } from "../../lib/wire/ndjson.ts";
import { parseSince } from "../../lib/wire/since.ts";
import { type LocalServer, serve } from "./local_server.ts";

/** What to do after a frame: go on or cut the connection. */
export type FrameScript = Iterator<{ readonly lines: number; readonly cut: boolean }>;

/** Serves subscriptions to a bus, in frames as the script has them; when it is at its end, a line each and no more cuts. */
export function serveCut(world: { bus: MessageBus; script: FrameScript }): LocalServer {
  return serve((request, _info, upgrade) => {
    const { pathname, searchParams } = new URL(request.url);
    const since = parseSince(searchParams.get("since") ?? "latest", Date.now())!;
    const { socket, response } = upgrade(request);
    socket.onopen = () => {
      const send = () => {
        while (socket.readyState === WebSocket.OPEN) {
          const { lines, cut } = world.script.next().value ?? { lines: 1, cut: false };
          const frame = readLines(subscription.read.bind(subscription), lines);
          if (frame !== "") socket.send(frame);
          if (cut) socket.close(1011, "cut");
          if (frame === "" || cut) return;
        }
      };
      const subscription = world.bus.subscribe(pathname, { since, onReady: send });
      socket.onclose = () => subscription.close();
      send();
    };
    return response;
  });
}

function readLines(read: (limits: { maxMessages: number }) => Delivery | "full" | undefined, lines: number): string {
  let frame = "";
  for (let count = 0; count < lines; count++) {
    const delivery = read({ maxMessages: 1 });
    if (delivery === undefined || delivery === "full") break;
    frame += delivery.event === "messages" ? encodeLines(delivery.messages) : `${encodeEvent(delivery)}\n`;
  }
  return frame;
}
