/**
 * Who takes part: msgbusd with and without a journal, and peers that keep what they acknowledge.
 *
 * @module
 */

import { connect, readUntil, write } from "../peers/connection.ts";
import { ask, type Contender, freePorts, Missing, RunningContender, startListening } from "../peers/contender.ts";
import { type MsgbusdOptions, startMsgbusd } from "../peers/msgbusd.ts";
import * as nats from "../peers/nats.ts";
import { programOf } from "../server.ts";

/** msgbusd without a journal: what it could reach at most. */
export const MEMORY = "msgbusd, memory";
/** msgbusd with one. */
export const DATA = "msgbusd --data";
/** Redis. */
export const REDIS = "redis";
/** The streams of nats-server. */
export const JETSTREAM = "jetstream";

/** msgbusd twice, in memory first. */
export function msgbusdTwice(options: Pick<MsgbusdOptions, "flags" | "lines"> = {}): Contender[] {
  return [
    { name: MEMORY, start: () => startMsgbusd({ ...options, name: MEMORY, setting: "with its defaults" }) },
    {
      name: DATA,
      async start(directory) {
        const help = await ask(Deno.execPath(), "run", "--no-prompt", "--allow-env", programOf("../main.ts"), "--help");
        if (!help.includes("--data")) throw new Missing("this msgbusd has no --data");
        const setting = "with its defaults, every publish synced before it is acknowledged";
        const server = await startMsgbusd({ ...options, name: DATA, setting, data: directory });
        await assertSynced(server.publication.port);
        return server;
      },
    },
  ];
}

/** That what is measured is what its name says. */
async function assertSynced(port: number): Promise<void> {
  const response = await fetch(`http://localhost:${port}/check`, { method: "POST", body: "x" });
  await response.body?.cancel();
  const durability = response.headers.get("msgbus-durability");
  if (durability !== "synced") throw new Error(`A publish was answered ${response.status} with ${durability}`);
}

const REDIS_SERVER: Contender = {
  name: REDIS,
  install: "apt-get install redis-server redis-tools",
  async start(directory) {
    const version = await ask("redis-server", "--version");
    const port = freePorts(1)[0]!;
    // It rewrites its file when that has doubled, unless told not to, which would fall into some rounds and not others.
    const flags = ["--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0"];
    const address = ["--bind", "127.0.0.1", "--port", String(port), "--dir", directory];
    const child = await startListening("redis-server", [...address, "--save", "", ...flags], [port]);
    return new RunningContender({
      name: REDIS,
      version: /v=(\S+)/.exec(version)?.[1] ?? version,
      setting: `\`${flags.slice(0, 4).join(" ")}\`, no snapshots, its file never rewritten; \`XADD\` to one stream`,
      pid: child.pid,
      publication: { protocol: "redis", port, target: "bench" },
      subscriptions: {},
      stop: () => child[Symbol.asyncDispose](),
    });
  },
};

const NATS_SERVER: Contender = {
  name: JETSTREAM,
  install: "apt-get install nats-server",
  async start(directory) {
    const version = await ask("nats-server", "--version");
    const port = freePorts(1)[0]!;
    const configure = async (more: string): Promise<string> => {
      const file = `${directory}/nats.conf`;
      const jetstream = `jetstream { store_dir: "${directory}"${more} }`;
      await Deno.writeTextFile(file, `host: "127.0.0.1"\nport: ${port}\n${jetstream}\n`);
      return file;
    };
    const always = await configure(", sync_interval: always");
    const syncs = !(await ask("nats-server", "-t", "-c", always)).includes("unknown field");
    const file = syncs ? always : await configure("");
    const child = await startListening("nats-server", ["-c", file], [port]);
    await createStream(port);
    return new RunningContender({
      name: JETSTREAM,
      version: /v([\d.]+\S*)/.exec(version)?.[1] ?? version,
      setting: "one stream with file storage, " +
        (syncs
          ? "`sync_interval: always`"
          : "which this version syncs every two minutes: what it acknowledges is lost in a power cut"),
      pid: child.pid,
      publication: { protocol: "jetstream", port, target: STREAM },
      subscriptions: {},
      stop: () => child[Symbol.asyncDispose](),
    });
  },
};

const STREAM = "bench";

async function createStream(port: number): Promise<void> {
  const connection = await connect(port);
  const inbox = nats.inboxOf("create");
  await readUntil(connection, "\r\n", "INFO");
  await write(connection, nats.encodeConnect({ verbose: false }));
  await write(connection, nats.encodeSubscribe(inbox));
  await readUntil(connection, nats.PONG, nats.PONG);
  const stream = { name: STREAM, subjects: [STREAM], storage: "file", retention: "limits", num_replicas: 1 };
  await write(connection, nats.encodePublish(`$JS.API.STREAM.CREATE.${STREAM}`, JSON.stringify(stream), inbox));
  await readUntil(connection, '"did_create":true', "MSG");
  connection.close();
}

/** Everybody. */
export const CONTENDERS: readonly Contender[] = [...msgbusdTwice(), REDIS_SERVER, NATS_SERVER];
