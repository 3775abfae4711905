import { TextChunks } from "../../lib/bus/text_chunks.ts";
import { assert, assertEquals, fc } from "../deps.ts";

const encode = (text: string) => new TextEncoder().encode(text);

Deno.test("TextChunks.encode gives the UTF-8 of every text, and keeps it when more follow", () => {
  const text = fc.oneof(fc.string({ unit: "binary" }), fc.string({ minLength: 500, maxLength: 8000 }), fc.constant(""));
  fc.assert(fc.property(fc.array(text, { maxLength: 40 }), (texts) => {
    const chunks = new TextChunks();
    const encoded = texts.map((each) => chunks.encode(each));
    texts.forEach((each, i) => assertEquals(new Uint8Array(encoded[i]!), encode(each)));
  }));
});

Deno.test("TextChunks.encode lets small texts share a buffer, of which a topic with one holds a kilobyte", () => {
  const chunks = new TextChunks();
  const [first, second] = [chunks.encode("Hello"), chunks.encode("World")];
  assert(first.buffer === second.buffer);
  assertEquals(first.buffer.byteLength, 1024);
});

Deno.test("TextChunks.encode gives a large text a buffer of its own size", () => {
  assertEquals(new TextChunks().encode("x".repeat(100_000)).buffer.byteLength, 100_000);
});

Deno.test("TextChunks.encode never makes a chunk of more than 64 KiB", () => {
  const chunks = new TextChunks();
  const buffers = new Set(Array.from({ length: 5000 }, () => chunks.encode("x".repeat(100)).buffer));
  assertEquals(Math.max(...[...buffers].map((buffer) => buffer.byteLength)), 64 * 1024);
});
