/**
 * nginx with the module nchan.
 *
 * @module
 */

import { ask, type Contender, freePorts, Missing, RunningContender, startListening } from "./contender.ts";

const CONNECTIONS = 16_384;

/** As much is kept as msgbusd keeps, in enough memory; one worker, since msgbusd is one process. */
function configure(directory: string, modules: string, port: number): string {
  return `
load_module ${modules}/ngx_nchan_module.so;
daemon off;
worker_processes 1;
worker_rlimit_nofile ${2 * CONNECTIONS};
pid ${directory}/nginx.pid;
error_log stderr crit;
events { worker_connections ${CONNECTIONS}; multi_accept on; }
http {
  access_log off;
  tcp_nodelay on;
  keepalive_requests 1000000000;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  nchan_shared_memory_size 512M;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location = /publish {
      nchan_publisher http;
      nchan_channel_id bench;
      nchan_message_buffer_length 65536;
      nchan_message_timeout 60s;
    }
    location = /subscribe {
      nchan_subscriber websocket eventsource;
      nchan_channel_id bench;
      nchan_subscriber_first_message newest;
    }
    location = /status { nchan_stub_status; }
  }
}
`;
}

/** nginx with nchan. */
export const NCHAN: Contender = {
  name: "nchan",
  install: "apt-get install nginx-light libnginx-mod-nchan",
  async start(directory) {
    const built = await ask("nginx", "-V");
    const modules = /--modules-path=(\S+)/.exec(built)?.[1] ?? `${/--prefix=(\S+)/.exec(built)?.[1]}/modules`;
    const port = freePorts(1)[0]!;
    const file = `${directory}/nginx.conf`;
    await Deno.writeTextFile(file, configure(directory, modules, port));
    const args = ["-p", directory, "-c", file];
    const test = await ask("nginx", "-t", ...args);
    if (!test.includes("successful")) throw new Missing(`nginx can't use nchan: ${test.trim()}`);
    const child = await startListening("nginx", args, [port]);
    const nchan = /nchan version: (\S+)/.exec(await (await fetch(`http://127.0.0.1:${port}/status`)).text())?.[1];
    const websocket = { protocol: "websocket", port, path: "/subscribe", topic: "", look: "raw" } as const;
    return new RunningContender({
      name: "nchan",
      version: `${nchan} on nginx ${/nginx\/(\S+)/.exec(built)?.[1]}`,
      setting: "one worker, keeping 60 s and 65 536 messages in shared memory; published to by POST",
      pid: child.pid,
      publication: { protocol: "http", port, target: "/publish" },
      subscriptions: { sse: { ...websocket, protocol: "sse" }, frame: websocket },
      stop: () => child[Symbol.asyncDispose](),
    });
  },
};
