import { Tokens } from "../../lib/bus/tokens.ts";
import { assertEquals, assertMatch } from "../deps.ts";

const COUNT = 20_000;

Deno.test("Tokens.next gives 22 symbols of base64url, and never what looks like a flag", () => {
  const tokens = new Tokens();
  for (let i = 0; i < COUNT; i++) assertMatch(tokens.next(), /^[A-Za-z0-9_][A-Za-z0-9_-]{21}$/);
});

Deno.test("Tokens.next gives nothing twice, nor does another one give the same", () => {
  const [a, b] = [new Tokens(), new Tokens()];
  const given = new Set(Array.from({ length: COUNT }, (_, i) => (i % 2 === 0 ? a : b).next()));
  assertEquals(given.size, COUNT);
});

Deno.test("Tokens.next has 5 bits of chance in the first symbol and 6 in each other", () => {
  const tokens = new Tokens();
  const seen = Array.from({ length: 22 }, () => new Map<string, number>());
  for (let i = 0; i < COUNT; i++) {
    [...tokens.next()].forEach((symbol, place) => seen[place]!.set(symbol, (seen[place]!.get(symbol) ?? 0) + 1));
  }
  assertEquals(seen.map((symbols) => symbols.size), [32, ...Array(21).fill(64)]);
  // Each symbol is expected 312 times or more; half of that would be nearly nine standard deviations away.
  assertEquals(seen.flatMap((symbols) => [...symbols.values()]).filter((count) => count < COUNT / 128), []);
});
