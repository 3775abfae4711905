import { listenerLog } from "../../lib/daemon/listener_log.ts";
import { assertEquals } from "../deps.ts";

Deno.test("listenerLog says what helps when descriptors run out, and what happened otherwise", () => {
  const lines: string[] = [];
  const log = {
    error() {},
    warn: (_event: string, message: string) => void lines.push(message),
    info() {},
    debug() {},
  };
  const onLost = listenerLog(log);
  onLost(new Error("Error: Too many open files (os error 24)"));
  onLost("gone");
  assertEquals(lines, [
    "msgbusd could not accept a connection, and tries again: no file descriptor is left; raise ulimit -n (LimitNOFILE)",
    "msgbusd could not accept a connection, and tries again: gone",
  ]);
});
