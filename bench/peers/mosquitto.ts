/**
 * mosquitto with its WebSocket listener.
 *
 * @module
 */

import { ask, type Contender, freePorts, RunningContender, startListening } from "./contender.ts";

const TOPIC = "bench";

/** mosquitto. */
export const MOSQUITTO: Contender = {
  name: "mosquitto",
  install: "apt-get install mosquitto",
  async start(directory) {
    const version = await ask("mosquitto", "-h");
    const [port, websocketPort] = freePorts(2) as [number, number];
    const file = `${directory}/mosquitto.conf`;
    const lines = [
      "allow_anonymous true",
      "persistence false",
      "log_type error",
      "set_tcp_nodelay true",
      "max_queued_messages 0",
      `listener ${port} 127.0.0.1`,
      "protocol mqtt",
      `listener ${websocketPort} 127.0.0.1`,
      "protocol websockets",
    ];
    await Deno.writeTextFile(file, `${lines.join("\n")}\n`);
    const child = await startListening("mosquitto", ["-c", file], [port, websocketPort]);
    return new RunningContender({
      name: "mosquitto",
      version: /version (\S+)/.exec(version)?.[1] ?? version,
      setting:
        "without persistence and limits; published to over TCP with QoS 1, subscribed to over WebSocket with QoS 0",
      pid: child.pid,
      publication: { protocol: "mqtt", port, target: TOPIC },
      subscriptions: {
        frame: {
          protocol: "mqtt",
          port: websocketPort,
          path: "/mqtt",
          subprotocol: "mqtt",
          topic: TOPIC,
          look: "raw",
        },
      },
      stop: () => child[Symbol.asyncDispose](),
    });
  },
};
