/**
 * nats-server with its WebSocket listener.
 *
 * @module
 */

import { ask, type Contender, freePorts, RunningContender, startListening } from "./contender.ts";

const SUBJECT = "bench";

/** nats-server. */
export const NATS_SERVER: Contender = {
  name: "nats-server",
  install: "apt-get install nats-server",
  async start(directory) {
    const version = await ask("nats-server", "--version");
    const [port, websocketPort] = freePorts(2) as [number, number];
    const file = `${directory}/nats.conf`;
    const websocket = `websocket { host: "127.0.0.1", port: ${websocketPort}, no_tls: true, compression: false }`;
    await Deno.writeTextFile(file, `host: "127.0.0.1"\nport: ${port}\n${websocket}\n`);
    const child = await startListening("nats-server", ["-c", file], [port, websocketPort]);
    return new RunningContender({
      name: "nats-server",
      version: /v([\d.]+\S*)/.exec(version)?.[1] ?? version,
      setting:
        "plain NATS without JetStream, which keeps nothing; published to over TCP in verbose mode, subscribed to " +
        "over WebSocket without compression",
      pid: child.pid,
      publication: { protocol: "nats", port, target: SUBJECT },
      subscriptions: {
        frame: { protocol: "nats", port: websocketPort, path: "/", topic: SUBJECT, look: "raw" },
      },
      stop: () => child[Symbol.asyncDispose](),
    });
  },
};
