import type { Line } from "../../lib/client/lines.ts";
import { Progress } from "../../lib/client/progress.ts";
import type { ControlEvent, GapReason } from "../../lib/event.ts";
import { epochOf, Message } from "../../lib/message.ts";
import { assertEquals } from "../deps.ts";

const MADE = Date.UTC(2026, 10, 23);

function message(topic: string, id: number, { createdMs = MADE, madeMs = MADE } = {}): Message {
  const info = { name: topic, ttlMs: 0, createdMs: madeMs, epoch: epochOf(madeMs) };
  return new Message(info, { id, payload: new Uint8Array(), createdMs });
}

function gap(topic: string, from: number | null, to: number | null, reason: GapReason = "expired"): ControlEvent {
  return { event: "gap", cursor: "Tz", topic, from, to, reason };
}

/** What is new of lines, in words. */
function news(progress: Progress, ...lines: Line[]): string[] {
  return lines.flatMap((line) => progress.note(line)).map((item) => {
    if (item instanceof Message) return `${item.topic.name} ${item.id}`;
    return item.event === "gap" ? `gap ${item.topic} ${item.from}-${item.to}` : item.event;
  });
}

Deno.test("Progress begins where the reader wants, until something is received", () => {
  assertEquals(new Progress(false, undefined).reconnect(), undefined);
  assertEquals(new Progress(false, "10m").reconnect(), "10m");
});

Deno.test("Progress goes on behind what was received last, message or event, unknown events included", () => {
  const progress = new Progress(false, "last:5");
  progress.note(message("a", 6));
  assertEquals(progress.reconnect(), `7@${epochOf(MADE)}`);
  progress.note({ event: "caught-up", cursor: "9@x" });
  assertEquals(progress.reconnect(), "9@x");
  progress.note({ event: "other", cursor: "10@x" });
  progress.note({ event: "other", cursor: undefined });
  assertEquals(progress.reconnect(), "10@x");
});

Deno.test("Progress on several topics goes on at a time, a little earlier for what is new", () => {
  const progress = new Progress(true, undefined);
  const time = (ms: number) => `T${ms.toString(36)}`;
  progress.note(message("a", 0, { createdMs: MADE - 5 }));
  assertEquals(progress.reconnect(), time(MADE - 5));
  progress.note({ event: "caught-up", cursor: time(MADE) });
  assertEquals(progress.reconnect(), time(MADE));
  progress.note({ event: "caught-up", cursor: time(MADE) });
  progress.note(message("a", 1, { createdMs: MADE + 4_000 }));
  assertEquals(progress.reconnect(), time(MADE));
  progress.note({ event: "caught-up", cursor: time(MADE) });
  progress.note(message("a", 2, { createdMs: MADE + 30_000 }));
  assertEquals(progress.reconnect(), time(MADE + 20_000));
});

Deno.test("Progress on several topics goes on at an event that came later than the replay, if not behind it", () => {
  const progress = new Progress(true, undefined);
  const time = (ms: number) => `T${ms.toString(36)}`;
  progress.note(message("a", 0, { createdMs: MADE - 5 }));
  progress.note({ event: "deleted", cursor: time(MADE - 4), topic: "b" });
  progress.note(message("a", 1, { createdMs: MADE - 3 }));
  assertEquals(progress.reconnect(), time(MADE - 3));
  progress.note({ event: "caught-up", cursor: time(MADE) });
  progress.note({ event: "deleted", cursor: time(MADE + 29_000), topic: "b" });
  progress.note({ event: "other", cursor: undefined });
  progress.note(message("a", 2, { createdMs: MADE + 30_000 }));
  assertEquals(progress.reconnect(), time(MADE + 29_000));
});

Deno.test("Progress leaves out what was received before", () => {
  const progress = new Progress(true, undefined);
  assertEquals(news(progress, message("a", 4), message("b", 0)), ["a 4", "b 0"]);
  assertEquals(news(progress, message("a", 3), message("a", 4), message("b", 0), message("b", 1)), ["b 1"]);
});

Deno.test("Progress takes a topic made again for another one", () => {
  const progress = new Progress(true, undefined);
  assertEquals(news(progress, message("a", 4), message("a", 0, { madeMs: MADE + 1 })), ["a 4", "a 0"]);
  const deleted = { event: "deleted", cursor: "Tz", topic: "a" } as const;
  assertEquals(news(progress, deleted, gap("a", null, 0)), ["deleted", "gap a null-0"]);
});

Deno.test("Progress tells of a gap only what was not received", () => {
  const progress = new Progress(true, undefined);
  assertEquals(news(progress, message("a", 4), gap("a", null, 4), message("a", 5)), ["a 4", "a 5"]);
  assertEquals(news(progress, gap("a", null, 7), gap("a", 2, 7), gap("a", null, 9)), ["gap a 6-7", "gap a 8-9"]);
  assertEquals(news(progress, message("a", 9), message("a", 10)), ["a 10"]);
});

Deno.test("Progress tells a gap after all when it turns out to be one of another topic", () => {
  const progress = new Progress(true, undefined);
  assertEquals(news(progress, message("a", 4), gap("a", null, 2)), ["a 4"]);
  assertEquals(news(progress, message("a", 3, { madeMs: MADE + 1 })), ["gap a null-2", "a 3"]);
});

Deno.test("Progress doesn't take a gap told twice for one of another topic", () => {
  const progress = new Progress(true, undefined);
  assertEquals(news(progress, gap("a", null, 2), gap("a", null, 2), message("a", 3)), ["gap a null-2", "a 3"]);
});

Deno.test("Progress begins anew after a reset", () => {
  const progress = new Progress(false, undefined);
  assertEquals(news(progress, message("a", 9), gap("a", null, 2, "reset"), message("a", 3)), [
    "a 9",
    "gap a null-2",
    "a 3",
  ]);
});

Deno.test("Progress on several topics gives nothing twice of a topic made again, when it is told that the one before is gone", () => {
  const progress = new Progress(true, undefined);
  const again = { madeMs: MADE + 1 };
  assertEquals(news(progress, message("a", 0, again), message("a", 1, again)), ["a 0", "a 1"]);
  const reset = gap("a", null, null, "reset");
  assertEquals(news(progress, reset, message("a", 0, again), message("a", 1, again)), ["gap a null-null"]);
  assertEquals(news(progress, reset, message("a", 2, again)), ["gap a null-null", "a 2"]);
});

Deno.test("Progress on several topics tells what a topic made again has lost, whatever it received of the one before", () => {
  const progress = new Progress(true, undefined);
  const again = { madeMs: MADE + 1 };
  const told = news(
    progress,
    message("a", 9),
    gap("a", null, null, "reset"),
    gap("a", null, 4),
    message("a", 5, again),
  );
  assertEquals(told, ["a 9", "gap a null-null", "gap a null-4", "a 5"]);
  assertEquals(
    news(progress, gap("a", null, null, "reset"), gap("a", null, 12), message("a", 13)),
    ["gap a null-null", "gap a null-12", "a 13"],
  );
});

Deno.test("Progress forgets the topics that are silent longest when there are too many", () => {
  const progress = new Progress(true, undefined, 2);
  news(progress, message("a", 0), message("b", 0), message("a", 1), message("c", 0));
  assertEquals(news(progress, message("a", 1), message("c", 0), message("b", 0)), ["b 0"]);
});
