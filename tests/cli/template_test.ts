import { parseTemplate } from "../../lib/cli/template.ts";
import { FIELDS } from "../../lib/cli/template.ts";
import { BusError } from "../../lib/errors.ts";
import { epochOf, Message } from "../../lib/message.ts";
import { encodeEnvelope } from "../../lib/wire/json.ts";
import { assertEquals, assertThrows, fc } from "../deps.ts";

const MADE = Date.UTC(2026, 10, 23, 12);
const topic = { name: "orders/ü", ttlMs: 60_000, createdMs: MADE, epoch: epochOf(MADE) };

function message(payload: string, ttlMs?: number): Message {
  return new Message(topic, { id: 7, payload: new TextEncoder().encode(payload), createdMs: MADE + 5, ttlMs });
}

Deno.test("parseTemplate fills in every field", () => {
  const template = parseTemplate(Object.keys(FIELDS).map((name) => `${name}={${name}}`).join("|"));
  const hi = message("hi");
  assertEquals(
    template.fill(hi),
    `id=7|topic=orders/ü|payload=hi|base64=aGk=|size=2|created=2026-11-23T12:00:00.005Z|` +
      `expires=2026-11-23T12:01:00.005Z|cursor=8@${topic.epoch}|seq=8|epoch=${topic.epoch}|` +
      `key=|type=|headers={}|lease=|attempt=|json=${encodeEnvelope(hi)}\n`,
  );
  assertEquals(parseTemplate("{expires}").fill(message("hi", 0)), "0001-01-01T00:00:00Z\n");
});

Deno.test("parseTemplate fills in what the publisher said of a message, and its lease", () => {
  const { createdMs, payload } = message("hi");
  const attributes = { contentType: "text/plain", headers: { trace: "1\u202e2", "msgbus-dead-id": "3" }, key: "ü" };
  const told = new Message(topic, { id: 7, payload, createdMs, attributes, handout: { attempt: 2, lease: "abc" } });
  assertEquals(
    parseTemplate("{type} {key} {lease} {attempt} {headers}").fill(told),
    'text/plain ü abc 2 {"trace":"1\\u202e2","msgbus-dead-id":"3"}\n',
  );
  assertEquals(
    parseTemplate("{header:Trace} {header:msgbus-dead-id} {header:none}.").fill(told),
    "1\\u202e2 3 .\n",
  );
});

Deno.test("parseTemplate takes braces and escapes for what they are", () => {
  const filled = (text: string) => parseTemplate(text).fill(message("x"));
  assertEquals(filled('{{"id":{id}}}'), '{"id":7}\n');
  assertEquals(filled("\\{id\\} \\\\ {id}\\t{payload}"), "{id} \\ 7\tx\n");
  assertEquals(filled("no field"), "no field\n");
  assertEquals(filled(""), "\n");
});

Deno.test("parseTemplate adds a newline unless there is one at the end", () => {
  assertEquals(parseTemplate("{id}\\n").fill(message("x")), "7\n");
  assertEquals(parseTemplate("{id}\n").fill(message("x")), "7\n");
  assertEquals(parseTemplate("\\n{payload}").fill(message("x\n")), "\nx\\n\n");
});

Deno.test("parseTemplate lets nothing through to the terminal that a field holds", () => {
  assertEquals(parseTemplate("{payload}").fill(message("\x1b[2J\u202e\n")), "\\u001b[2J\\u202e\\n\n");
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    // deno-lint-ignore no-control-regex
    assertEquals(/[\x00-\x1f\x7f-\x9f]/.test(parseTemplate("{payload}").fill(message(text)).slice(0, -1)), false);
  }));
});

Deno.test("parseTemplate says what is wrong, and which fields there are", () => {
  const fault = (text: string) => {
    const error = assertThrows(() => parseTemplate(text), BusError);
    assertEquals(error.code, "bad_option");
    return error.message;
  };
  const fields = [...Object.keys(FIELDS), "header:…"].map((name) => `{${name}}`).join(", ");
  assertEquals(fault("{id} {paylod}"), `unknown field "paylod", not one of ${fields}`);
  assertEquals(fault("{}"), `unknown field "", not one of ${fields}`);
  assertEquals(fault("{constructor}"), `unknown field "constructor", not one of ${fields}`);
  assertEquals(fault("{id"), "a single {, where {{ and }} are braces");
  assertEquals(fault("id}"), "a single }, where {{ and }} are braces");
  assertEquals(fault("\\x"), 'unknown escape "\\\\x"');
  assertEquals(fault("{id}\\"), 'unknown escape "\\\\"');
});
