/**
 * The log of the daemon.
 *
 * @module
 */

import { createLog, type Log } from "../lib/log.ts";
import { assertEquals, assertMatch } from "./deps.ts";

/** What a log writes to standard error. */
function written(options: Parameters<typeof createLog>[0], write: (log: Log) => void): string {
  const platform = Deno.stderr.writeSync;
  const decoder = new TextDecoder();
  let text = "";
  Deno.stderr.writeSync = (bytes) => {
    text += decoder.decode(bytes);
    return bytes.length;
  };
  try {
    write(createLog(options));
  } finally {
    Deno.stderr.writeSync = platform;
  }
  return text;
}

const TIME = "[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}";

Deno.test("log: a line of text is the time and the message, as in the original", () => {
  const text = written({ format: "text", debug: false }, (log) => {
    log.info("listening", "msgbusd listening on localhost:8000");
    log.warn("insecure_bind", "msgbusd is open");
  });
  assertMatch(text, new RegExp(`^${TIME} msgbusd listening on localhost:8000\n${TIME} msgbusd is open\n$`));
});

Deno.test("log: what is for debugging is written only if that is asked for", () => {
  const write = (log: Log) => log.debug("detail", "a detail");
  assertEquals(written({ format: "text", debug: false }, write), "");
  assertMatch(written({ format: "text", debug: true }, write), /a detail\n$/);
});

Deno.test("log: a message stays on its line, whatever is in it", () => {
  const message = `one\ntwo\r\x1b[2J\x07\x00\u0085\u2028\u202e"{}`;
  const text = written({ format: "text", debug: false }, (log) => log.info("x", message));
  assertMatch(text, new RegExp(`^${TIME} `));
  assertEquals(text.slice(20), `one\\ntwo\\r\\u001b[2J\\u0007\\u0000\\u0085\\u2028\\u202e"{}\n`);
  const json = written({ format: "json", debug: false }, (log) => log.info("x", message));
  assertEquals(JSON.parse(json).msg, message);
  assertMatch(json, /^[\x20-\x7e]*\n$/);
});

Deno.test("log: a line of JSON has time, level, event, message and the fields", () => {
  const json = written({ format: "json", debug: true }, (log) => {
    log.info("listening", "msgbusd listening", { port: 8000 });
    log.warn("bad_host", "127.0.0.1:1 Bad", { ip: "127.0.0.1:1" });
    log.debug("detail", "a detail");
  });
  const lines = json.trimEnd().split("\n").map((line) => JSON.parse(line));
  assertEquals(lines.map(({ lvl, evt, msg }) => [lvl, evt, msg]), [
    ["info", "listening", "msgbusd listening"],
    ["warn", "bad_host", "127.0.0.1:1 Bad"],
    ["debug", "detail", "a detail"],
  ]);
  assertEquals([lines[0].port, lines[1].ip], [8000, "127.0.0.1:1"]);
  assertEquals(lines[0].time, new Date(lines[0].time).toISOString());
});

Deno.test("log: one that nobody reads any more stops nothing", () => {
  const platform = Deno.stderr.writeSync;
  Deno.stderr.writeSync = () => {
    throw new Deno.errors.BrokenPipe();
  };
  try {
    createLog({ format: "text", debug: false }).warn("x", "lost");
  } finally {
    Deno.stderr.writeSync = platform;
  }
});
