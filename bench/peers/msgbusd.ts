/**
 * msgbusd itself.
 *
 * @module
 */

import { VERSION } from "../../lib/version.ts";
import { Server } from "../server.ts";
import { type Contender, RunningContender } from "./contender.ts";

const TOPIC = "bench";

/** Starts msgbusd as `deno task start` does, with its defaults but `flags`. */
export async function startMsgbusd(...flags: string[]): Promise<RunningContender> {
  const server = await Server.msgbusd(...flags);
  const { port } = server;
  const websocket = { protocol: "websocket", port, path: `/${TOPIC}`, topic: TOPIC, look: "base64" } as const;
  return new RunningContender({
    name: "msgbusd",
    version: `${VERSION} on Deno ${Deno.version.deno}`,
    pid: server.pid,
    publication: { protocol: "http", port, target: `/${TOPIC}` },
    subscriptions: {
      sse: { ...websocket, protocol: "sse" },
      ndjson: { ...websocket, subprotocol: "msgbus.ndjson" },
      frame: websocket,
    },
    stop: () => server[Symbol.asyncDispose](),
  });
}

/** msgbusd with its defaults. */
export const MSGBUSD: Contender = {
  name: "msgbusd",
  setting: "with its defaults, keeping 60 s and 65 536 messages; published to by POST",
  start: () => startMsgbusd(),
};
