import { assertEquals, fc } from "../deps.ts";
import { formatCursor } from "../../lib/message.ts";
import { formatTimeCursor, parseSince } from "../../lib/wire/since.ts";

const NOW = Date.UTC(2026, 10, 23, 12);

Deno.test("parseSince reads every form", () => {
  assertEquals(parseSince("earliest", NOW), "earliest");
  assertEquals(parseSince("latest", NOW), "latest");
  assertEquals(parseSince("0", NOW), { next: 0 });
  assertEquals(parseSince("42@jf6ynu4k", NOW), { next: 42, epoch: "jf6ynu4k" });
  assertEquals(parseSince("last:100", NOW), { last: 100 });
  assertEquals(parseSince("last:0", NOW), { last: 0 });
  assertEquals(parseSince("10m", NOW), { fromMs: NOW - 600_000 });
  assertEquals(parseSince("500ms", NOW), { fromMs: NOW - 500 });
  assertEquals(parseSince("2026-11-23T10:00:00Z", NOW), { fromMs: NOW - 7_200_000 });
  assertEquals(parseSince("2026-11-23t10:00:00.250z", NOW), { fromMs: NOW - 7_200_000 + 250 });
  assertEquals(parseSince("2026-11-23 11:00:00+01:00", NOW), { fromMs: NOW - 7_200_000 });
  assertEquals(parseSince(`T${NOW.toString(36)}`, 0), { createdMs: NOW });
});

Deno.test("parseSince takes a bare number for an id, never for a duration", () => {
  assertEquals(parseSince("30", NOW), { next: 30 });
  assertEquals(parseSince("30s", NOW), { fromMs: NOW - 30_000 });
});

Deno.test("parseSince refuses everything else", () => {
  const wrong = [
    "",
    " ",
    "Latest",
    "all",
    "-1",
    "1.5",
    "01",
    "9007199254740992",
    "42@",
    "42@JF6",
    "last:",
    "last:-1",
    "last:1e3",
    "last:9007199254740992",
    "10 m",
    "10w",
    "T",
    "t1",
    "T-1",
    "2026-11-23",
    "2026-11-23T10:00:00",
    "2026-13-45T10:00:00Z",
    "2026-11-23T10:00:00+25:99",
    "null",
    "\u0664\u0662",
  ];
  for (const text of wrong) assertEquals(parseSince(text, NOW), undefined, text);
});

Deno.test("parseSince undoes formatCursor and formatTimeCursor", () => {
  fc.assert(fc.property(fc.maxSafeNat(), fc.nat(2 ** 42), (next, ms) => {
    const epoch = ms.toString(36);
    assertEquals(parseSince(formatCursor(next, epoch), NOW), { next, epoch });
    assertEquals(parseSince(formatTimeCursor(ms), NOW), { createdMs: ms });
  }));
});

Deno.test("parseSince never throws", () => {
  fc.assert(fc.property(fc.string(), (text) => void parseSince(text, NOW)));
});
