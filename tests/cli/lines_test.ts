import { blocksOfLines, halve, MAX_LINE_BYTES } from "../../lib/cli/lines.ts";
import { BusError } from "../../lib/errors.ts";
import { assertEquals, assertRejects } from "../deps.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

async function blocks(...chunks: string[]): Promise<string[]> {
  const stream = ReadableStream.from(chunks.map((chunk) => encoder.encode(chunk)));
  return (await Array.fromAsync(blocksOfLines(stream))).map((block) => decoder.decode(block));
}

Deno.test("blocksOfLines gives whole lines as soon as they are there", async () => {
  assertEquals(await blocks("a\nb\nc", "d", "\ne"), ["a\nb\n", "cd\n", "e"]);
  assertEquals(await blocks("a\n"), ["a\n"]);
  assertEquals(await blocks(), []);
});

Deno.test("blocksOfLines leaves out blocks in which the server would find no line", async () => {
  assertEquals(await blocks("\n", "\r\n\n", "", "a\n", "\r"), ["a\n"]);
  assertEquals(await blocks("\r\r\n"), ["\r\r\n"]);
});

Deno.test("blocksOfLines refuses a line without an end before it fills the memory", async () => {
  const chunk = new Uint8Array(2 ** 20).fill(0x61);
  let given = 0;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      given += chunk.length;
      controller.enqueue(chunk);
    },
  });
  const error = await assertRejects(() => blocksOfLines(stream).next(), BusError);
  assertEquals(error.code, "too_large");
  assertEquals(given <= MAX_LINE_BYTES + 4 * chunk.length, true);
});

Deno.test("halve cuts between lines, near the middle", () => {
  const halves = (text: string) => halve(encoder.encode(text))?.map((half) => decoder.decode(half));
  assertEquals(halves("a\nb\nc\nd\n"), ["a\nb\nc\n", "d\n"]);
  assertEquals(halves("a\nlong line\n"), ["a\n", "long line\n"]);
  assertEquals(halves("long line\na"), ["long line\n", "a"]);
  assertEquals(halves("long line\n\n"), ["long line\n"]);
  assertEquals(halves("long line\n"), undefined);
  assertEquals(halves("x"), undefined);
});
