/**
 * What this project needs of the standard library. Here it runs against the stand-ins; a release runs it against the
 * real packages, so a stand-in that drifts from them fails there.
 *
 * @module
 */

import { parseArgs } from "../lib/deps/cli.ts";
import { accepts } from "../lib/deps/http.ts";
import { BaseHandler, Logger, LogLevels, LogRecord } from "../lib/deps/log.ts";
import { assert, assertEquals, assertObjectMatch, assertRejects, assertStrictEquals, assertThrows } from "./deps.ts";

/** What `parseArgs` gave, without the prototype. */
function parsed(args: string[], options: Record<string, unknown> = {}): Record<string, unknown> {
  return { ...parseArgs(args, { string: ["bind", "ttl", "_"], boolean: ["debug"], ...options }) };
}

Deno.test("parseArgs leaves out strings that are not given and sets booleans to false", () => {
  assertEquals(parsed([]), { debug: false, _: [] });
});

Deno.test("parseArgs takes a value after = or a space, and keeps its text", () => {
  assertEquals(parsed(["--ttl=05", "--bind", ":8000", "--debug", "7"]), {
    ttl: "05",
    bind: ":8000",
    debug: true,
    _: ["7"],
  });
});

Deno.test("parseArgs fills in an alias both ways, attached or not", () => {
  const options = { alias: { bind: "b", debug: "D" } };
  assertObjectMatch(parsed(["-D", "-b", ":1"], options), { bind: ":1", b: ":1", debug: true, D: true, _: [] });
  assertObjectMatch(parsed(["-b:80"], options), { bind: ":80", b: ":80" });
  assertObjectMatch(parsed(["-b=:x"], options), { bind: ":x", b: ":x" });
  assertObjectMatch(parsed(["-Db", "x"], options), { debug: true, bind: "x" });
  assertObjectMatch(parsed(["-D", "false", "x"], options), { debug: false, _: ["x"] });
  assertObjectMatch(parsed(["--bind", "x"], options), { bind: "x", b: "x" });
});

Deno.test("parseArgs lets the last of two win, and collects what it is told to", () => {
  assertEquals(parsed(["--ttl=1", "--ttl=2"]).ttl, "2");
  assertEquals(parsed(["--bind=a", "--bind", "b"], { collect: ["bind"] }).bind, ["a", "b"]);
  assertEquals(parsed(["--bind=a"], { collect: ["bind"] }).bind, ["a"]);
  assertEquals(parsed([], { collect: ["bind"] }).bind, []);
  assertObjectMatch(parsed(["-b", "a", "--bind=b"], { collect: ["bind"], alias: { bind: "b" } }), {
    bind: ["a", "b"],
    b: ["a", "b"],
  });
});

Deno.test("parseArgs gives an option without a value the empty string", () => {
  assertEquals(parsed(["--ttl"]).ttl, "");
  assertEquals(parsed(["--ttl", "--debug"]), { ttl: "", debug: true, _: [] });
  assertEquals(parsed(["--ttl", "-"]), { ttl: "", debug: false, _: ["-"] });
  assertEquals(parsed(["--ttl", "", "x"]), { ttl: "", debug: false, _: ["", "x"] });
});

Deno.test("parseArgs negates only what is negatable", () => {
  assertEquals(parsed(["--no-debug"], { negatable: ["debug"] }).debug, false);
  assertEquals(parsed(["--no-ttl"], { negatable: ["ttl"] }).ttl, false);
  assertEquals(parsed(["--no-reconnect"], { boolean: ["no-reconnect"] }), { "no-reconnect": true, _: [] });
  const seen: unknown[] = [];
  parsed(["--no-debug"], { unknown: (arg: string) => void seen.push(arg) });
  assertEquals(seen, ["--no-debug"]);
});

Deno.test("parseArgs hands what it does not know to `unknown`, options with their key", () => {
  const seen: unknown[] = [];
  const result = parsed(["--nope", "-x", "--what=1", "--ttl=", "topic", "--debug", "-"], {
    unknown(arg: string, key?: string) {
      seen.push([arg, key]);
      return key === undefined;
    },
  });
  assertEquals(seen, [
    ["--nope", "nope"],
    ["-x", "x"],
    ["--what=1", "what"],
    ["--ttl=", "ttl="],
    ["-", undefined],
  ]);
  assertEquals(result, { debug: true, _: ["-"] });
});

Deno.test("parseArgs stops at the first argument that is no option if told to", () => {
  const result = parsed(["--debug", "sub", "--ttl=1", "-x"], { stopEarly: true });
  assertEquals(result, { debug: true, _: ["sub", "--ttl=1", "-x"] });
});

Deno.test("parseArgs keeps what follows -- apart if told to", () => {
  assertEquals(parsed(["a", "--", "--debug"]), { debug: false, _: ["a", "--debug"] });
  assertEquals(parsed(["a", "--", "--debug"], { "--": true }), { debug: false, _: ["a"], "--": ["--debug"] });
});

Deno.test("parseArgs uses a default only for what is not given", () => {
  const options = { default: { ttl: "60s", debug: true } };
  assertObjectMatch(parsed([], options), { ttl: "60s", debug: true });
  assertObjectMatch(parsed(["--ttl=0"], options), { ttl: "0" });
});

function request(accept?: string): Request {
  return new Request("http://localhost/", { headers: accept === undefined ? {} : { accept } });
}

Deno.test("accepts picks by quality, and the first type when no type is asked for", () => {
  const types = ["text/plain", "application/json", "text/html"];
  assertEquals(accepts(request("application/json"), ...types), "application/json");
  assertEquals(accepts(request("text/html;q=0.5, application/json;q=0.9"), ...types), "application/json");
  assertEquals(accepts(request("*/*"), ...types), "text/plain");
  assertEquals(accepts(request(""), ...types), "text/plain");
  assertEquals(accepts(request(), ...types), "text/plain");
  assertEquals(accepts(request("image/png"), ...types), undefined);
  assertEquals(accepts(request("text/html, */*;q=0.1")), ["text/html", "*/*"]);
  assertEquals(accepts(request()), ["*/*"]);
});

Deno.test("Logger hands records at its level or above to its handlers", () => {
  const lines: string[] = [];
  class Lines extends BaseHandler {
    override log(line: string) {
      lines.push(line);
    }
  }
  const handler = new Lines("DEBUG", {
    formatter: (record) => `${record.levelName} ${record.loggerName} ${record.msg}`,
  });
  const logger = new Logger("msgbusd", "INFO", { handlers: [handler] });
  logger.debug(() => assert(false, "a message below the level is not made"));
  logger.info("up");
  logger.warn(() => "slow");
  logger.level = LogLevels.DEBUG;
  logger.debug("seen");
  logger.levelName = "ERROR";
  logger.info("not seen");
  logger.error("bad");
  assertEquals(lines, ["INFO msgbusd up", "WARN msgbusd slow", "DEBUG msgbusd seen", "ERROR msgbusd bad"]);
});

Deno.test("LogRecord keeps its time, its level's name and its arguments", () => {
  const record = new LogRecord({ msg: "m", args: [{ topic: "t" }], level: LogLevels.WARN, loggerName: "l" });
  assert(record.datetime instanceof Date);
  assertEquals([record.msg, record.levelName, record.level, record.args], ["m", "WARN", 30, [{ topic: "t" }]]);
});

Deno.test("assertThrows and assertRejects give the error, or fail", async () => {
  const error = new RangeError("out of range: 7");
  const rethrow = () => {
    throw error;
  };
  assertStrictEquals(assertThrows(rethrow), error);
  assertStrictEquals(assertThrows(rethrow, RangeError, "range: 7"), error);
  assertStrictEquals(await assertRejects(() => Promise.reject(error), RangeError, "range"), error);
  assertThrows(() => assertThrows(() => {}), Error, "throw");
  assertThrows(() => assertThrows(rethrow, TypeError));
  assertThrows(() => assertThrows(rethrow, RangeError, "other"));
  await assertRejects(() => assertRejects(() => Promise.resolve()), Error, "reject");
  await assertRejects(() => assertRejects(() => Promise.reject(error), TypeError));
});
