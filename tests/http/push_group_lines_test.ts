/**
 * What workers say over WebSockets: what settles leases, and what is not understood.
 *
 * @module
 */

import { assertEquals, assertLess } from "../deps.ts";
import { setUp } from "./worker_socket.ts";

Deno.test("push group: each line of a frame is answered, in order, in one frame", async () => {
  const { worker } = setUp(3);
  const socket = worker();
  await socket.turn();
  const [a, b, c] = socket.tokens;
  const frames = socket.frames.length;
  const answers = await socket.asks(
    `{"ack":["${b}"]}\r\n\n {"extend":["${a}","x"]}\n{"nack":["${b}","${c}"],"delay":"1h"}\n`,
  );
  assertEquals(answers, [
    { event: "settled", done: [b!], unknown: [] },
    { event: "settled", done: [a!], unknown: ["x"] },
    { event: "settled", done: [c!], unknown: [b!] },
  ]);
  assertEquals(socket.frames.length, frames + 1);
});

/** Lines that settle nothing, each with the code of its error. */
const MALFORMED: readonly (readonly [line: string, code: string])[] = [
  ["x", "bad_request"],
  ["{", "bad_request"],
  ["{}", "bad_request"],
  ["[]", "bad_request"],
  ["null", "bad_request"],
  ["1", "bad_request"],
  [`"ack"`, "bad_request"],
  [`["ack"]`, "bad_request"],
  [`{"ack":"TOKEN"}`, "bad_request"],
  [`{"ack":null}`, "bad_request"],
  [`{"ack":{"0":"TOKEN"}}`, "bad_request"],
  [`{"ack":[]}`, "bad_request"],
  [`{"ack":["TOKEN",1]}`, "bad_request"],
  [`{"ack":[["TOKEN"]]}`, "bad_request"],
  [`{"ack":["TOKEN"],"nack":["TOKEN"]}`, "bad_request"],
  [`{"ack":["TOKEN"],"delay":"5s"}`, "bad_request"],
  [`{"ack":["TOKEN"],"of":"h"}`, "bad_request"],
  [`{"ack":["TOKEN"],"__proto__":1}`, "bad_request"],
  [`{"__proto__":{"ack":["TOKEN"]}}`, "bad_request"],
  [`{"constructor":["TOKEN"]}`, "bad_request"],
  [`{"Ack":["TOKEN"]}`, "bad_request"],
  [`{"nack":["TOKEN"],"delay":5}`, "bad_request"],
  [`{"nack":["TOKEN"],"delay":null}`, "bad_request"],
  [`{"nack":["TOKEN"],"delay":""}`, "bad_parameter"],
  [`{"nack":["TOKEN"],"delay":"-1s"}`, "bad_parameter"],
  [`{"nack":["TOKEN"],"delay":"13h"}`, "bad_parameter"],
  [`{"nack":["TOKEN"],"count":"false"}`, "bad_request"],
  [`{"nack":["TOKEN"],"count":0}`, "bad_request"],
  [`{"nack":["TOKEN"],"reason":["a"]}`, "bad_request"],
  [JSON.stringify({ ack: Array.from({ length: 10_001 }, (_, i) => `x${i}`) }), "bad_request"],
  [`{"nack":["TOKEN"],"lease":"30s"}`, "bad_request"],
  [`{"extend":["TOKEN"],"lease":"999ms"}`, "bad_parameter"],
  [`{"extend":["TOKEN"],"lease":"13h"}`, "bad_parameter"],
  [`{"extend":["TOKEN"],"lease":30}`, "bad_request"],
  [`{"extend":["TOKEN"],"delay":"5s"}`, "bad_request"],
  [`{"ack":["TOKEN"]}{"ack":["TOKEN"]}`, "bad_request"],
  ["\u0000", "bad_request"],
  ["[".repeat(100_000), "bad_request"],
  [`{"ack":${"[".repeat(100_000)}`, "bad_request"],
  [`{"ack":${"[".repeat(6000)}${"]".repeat(6000)}}`, "bad_request"],
];

for (const [line, code] of MALFORMED) {
  Deno.test(`push group: the line ${JSON.stringify(line.slice(0, 50))} is answered by ${code}, and 4400`, async () => {
    const { worker, group } = setUp(3);
    const socket = worker();
    await socket.turn();
    const [a, b, c] = socket.tokens;
    const answers = await socket.asks(`{"ack":["${a}"]}\n${line.replaceAll("TOKEN", b!)}\n{"ack":["${c}"]}`);
    assertEquals(answers.map(({ event, error }) => event ?? error), ["settled", code]);
    assertLess(JSON.stringify(answers[1]).length, 400);
    assertEquals([socket.closeCode, socket.refused, socket.bugs], [4400, [code], []]);
    // What came before is settled, what follows isn't, and all the others are handed back as if nothing had been.
    assertEquals([group()!.acked, group()!.leased, group()!.waiting, group()!.attempts], [1, 0, 2, 0]);
    socket.sends([{ ack: [c] }]);
    assertEquals(group()!.acked, 1);
  });
}

Deno.test("push group: a frame that is not UTF-8, or has more than 1000 lines, is answered by an error, and 4400", async () => {
  const bytes = new Uint8Array([...new TextEncoder().encode('{"ack":["'), 0xff, ...new TextEncoder().encode('"]}')]);
  for (const frame of [bytes.buffer, `{"ack":["x"]}\n`.repeat(1001)]) {
    const { worker, group } = setUp(1);
    const socket = worker();
    await socket.turn();
    assertEquals((await socket.asks(frame)).map(({ error }) => error), ["bad_request"]);
    assertEquals([socket.closeCode, group()!.leased], [4400, 0]);
  }
  const { worker } = setUp();
  const socket = worker();
  assertEquals((await socket.asks(`{"ack":["x"]}\n`.repeat(1000))).length, 1000);
});

Deno.test("push group: a frame over 1 MiB closes with 1009, and settles nothing; one of 1 MiB is done", async () => {
  for (const binary of [false, true]) {
    const { worker, group } = setUp(1);
    const socket = worker();
    await socket.turn();
    const frame = (length: number) => {
      const text = JSON.stringify({ ack: socket.tokens }).padEnd(length);
      return binary ? new TextEncoder().encode(text).buffer : text;
    };
    await socket.asks(frame(1024 ** 2 + 1));
    assertEquals([socket.closeCode, group()!.acked, group()!.leased], [1009, 0, 0]);
    const again = worker();
    await again.turn();
    await again.asks(JSON.stringify({ ack: again.tokens }).padEnd(1024 ** 2));
    assertEquals([again.closeCode, group()!.acked], [undefined, 1]);
  }
});
