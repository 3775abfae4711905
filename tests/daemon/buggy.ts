/**
 * A server with bugs: `PUT /t` fails in the bus, and each line on standard input is a promise that nobody catches.
 *
 * @module
 */

import { MessageBus } from "../../lib/bus/bus.ts";
import { createHandler } from "../../lib/http/handler.ts";
import { Lifecycle } from "../../lib/daemon/lifecycle.ts";
import { createLog } from "../../lib/log.ts";

const log = createLog({ format: "json", debug: false });
const lifecycle = new Lifecycle(log);
const bus = new MessageBus();
bus.publish = () => Promise.reject(new TypeError("a bug in a request"));
const server = Deno.serve(
  { hostname: "127.0.0.1", port: 0, onListen() {} },
  createHandler(bus, { onBug: (error) => lifecycle.bug(error) }),
);
lifecycle.listen();
log.info("listening", `:${server.addr.port}`);

async function readLines(): Promise<void> {
  for await (const chunk of Deno.stdin.readable) {
    for (const byte of chunk) {
      if (byte === 0x0a) Promise.reject(new TypeError("a rejection nobody catches"));
      if (byte === 0x21 /* ! */) {
        setTimeout(() => {
          throw new TypeError("an error nobody catches");
        });
      }
    }
  }
}
readLines();

Deno.exit(await lifecycle.end(bus, [server]));
