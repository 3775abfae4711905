import { assertEquals } from "../deps.ts";
import { CrashDisk, type Survival, SURVIVALS } from "./crash_disk.ts";
import { Random } from "./random.ts";
import type { TraceEvent } from "./trace.ts";

const CREATED: readonly TraceEvent[] = [{ do: "create", path: "a" }, { do: "sync", path: "", upTo: 1 }];

function write(offset: number, text: string): TraceEvent {
  return { do: "write", path: "a", offset, data: new TextEncoder().encode(text) };
}

/** The different ways the file `a` looks, over many cuts, in the order of the alphabet. */
function looks(events: readonly TraceEvent[], survival: Survival): (string | undefined)[] {
  const disk = new CrashDisk();
  for (const event of events) disk.replay(event);
  const random = new Random(1);
  const seen = new Set<string | undefined>();
  for (let i = 0; i < 1000; i++) {
    const bytes = disk.image(survival, random).get("a");
    seen.add(bytes && new TextDecoder().decode(bytes).replaceAll("\0", "-"));
  }
  return [...seen].sort();
}

Deno.test("CrashDisk keeps what was synced, however much else is lost", () => {
  const events: TraceEvent[] = [...CREATED, write(0, "foo"), { do: "sync", path: "a", upTo: 3 }];
  for (const survival of SURVIVALS) assertEquals(looks(events, survival), ["foo"]);
});

Deno.test("CrashDisk loses of what was not synced all, the end, or any part", () => {
  const events = [...CREATED, write(0, "a"), write(1, "b"), write(2, "c")];
  assertEquals(looks(events, "nothing"), [""]);
  assertEquals(looks(events, "prefix"), ["", "a", "ab", "abc"]);
  assertEquals(looks(events, "subset"), ["", "--c", "-b", "-bc", "a", "a-c", "ab", "abc"]);
  assertEquals(looks(events, "all"), ["abc"]);
});

Deno.test("CrashDisk tears a write where a sector ends", () => {
  const sectors = ["x".repeat(12), "y".repeat(512), "z".repeat(3)];
  const looking = looks([...CREATED, write(500, sectors.join(""))], "torn");
  assertEquals(looking.length, 8);
  for (const look of looking) {
    for (const [i, c] of [..."xyz"].entries()) {
      assertEquals([0, sectors[i]!.length].includes(look!.split(c).length - 1), true);
    }
  }
});

Deno.test("CrashDisk doesn't count a write as synced that ended after the sync had begun", () => {
  const events: TraceEvent[] = [...CREATED, write(0, "a"), write(1, "b"), { do: "sync", path: "a", upTo: 3 }];
  assertEquals(looks(events, "nothing"), ["a"]);
});

Deno.test("CrashDisk may lose a file whose name was not synced, whatever was synced in it", () => {
  const events: TraceEvent[] = [{ do: "create", path: "a" }, write(0, "a"), { do: "sync", path: "a", upTo: 2 }];
  assertEquals(looks(events, "nothing"), [undefined]);
  assertEquals(looks(events, "subset"), ["a", undefined]);
});

Deno.test("CrashDisk may lose that a file was made shorter", () => {
  const events: TraceEvent[] = [...CREATED, write(0, "abc"), { do: "sync", path: "a", upTo: 3 }];
  assertEquals(looks([...events, { do: "truncate", path: "a", size: 1 }], "subset"), ["a", "abc"]);
});

Deno.test("CrashDisk doesn't bring back a file that was removed, and gives its name to the next", () => {
  const events: TraceEvent[] = [...CREATED, write(0, "a"), { do: "sync", path: "a", upTo: 3 }];
  assertEquals(looks([...events, { do: "unlink", path: "a" }], "all"), [undefined]);
  const again: TraceEvent[] = [{ do: "unlink", path: "a" }, { do: "create", path: "a" }, write(1, "b")];
  assertEquals(looks([...events, ...again], "all"), ["-b"]);
});
