/**
 * msgbusd itself.
 *
 * @module
 */

import { VERSION } from "../../lib/version.ts";
import { Server } from "../server.ts";
import { type Contender, RunningContender } from "./contender.ts";

const TOPIC = "bench";

/** What is different from the defaults. */
export interface MsgbusdOptions {
  /** Its name in tables. Default `msgbusd`. */
  readonly name?: string;
  /** What it is configured to do. */
  readonly setting?: string;
  /** Its flags. */
  readonly flags?: readonly string[];
  /** Where it keeps what is published. Default: in memory. */
  readonly data?: string;
  /** How many messages a publish has, each in a line of its own. */
  readonly lines?: number;
}

/** Starts msgbusd as `deno task start` does. */
export async function startMsgbusd(options: MsgbusdOptions = {}): Promise<RunningContender> {
  const { name = "msgbusd", setting = "with its defaults", flags = [], data, lines } = options;
  const server = data === undefined ? await Server.msgbusd(...flags) : await Server.durable(data, ...flags);
  const { port } = server;
  const websocket = { protocol: "websocket", port, path: `/${TOPIC}`, topic: TOPIC, look: "base64" } as const;
  return new RunningContender({
    name,
    version: `${VERSION} on Deno ${Deno.version.deno}`,
    setting,
    pid: server.pid,
    publication: { protocol: "http", port, target: lines === undefined ? `/${TOPIC}` : `/${TOPIC}?split=lines`, lines },
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
  start: () => startMsgbusd({ setting: "with its defaults, keeping 60 s and 65 536 messages; published to by POST" }),
};
