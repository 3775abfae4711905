import { formatJson, formatTable, steadiness, throughput, times } from "../../../lib/cli/bench/figures.ts";
import { Histogram } from "../../../lib/cli/bench/histogram.ts";
import { barOf, ProgressBar } from "../../../lib/cli/bench/progress_bar.ts";
import { assert, assertEquals, fc } from "../../deps.ts";
import { TestClock } from "../../bus/test_clock.ts";

Deno.test("Histogram.percentile is right to a percent", () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0.001, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 300 }),
      fc.integer({ min: 1, max: 100 }),
      (all, percent) => {
        const histogram = new Histogram();
        for (const ms of all) histogram.add(ms);
        const exact = all.toSorted((a, b) => a - b)[Math.ceil(all.length * percent / 100) - 1]!;
        const found = histogram.percentile(percent);
        assert(found >= exact * 0.9999 && found <= exact * 1.0101, `${found} for ${exact}`);
        assertEquals([histogram.count, histogram.maxMs], [all.length, Math.max(...all)]);
      },
    ),
  );
});

Deno.test("Histogram of nothing is all zero, and takes times too short to be measured", () => {
  const histogram = new Histogram();
  assertEquals([histogram.percentile(50), histogram.maxMs], [0, 0]);
  histogram.add(0);
  assertEquals([histogram.percentile(50), histogram.maxMs], [0, 0]);
});

Deno.test("figures are a table for people and one object for programs", () => {
  const histogram = new Histogram();
  for (const ms of [0.5, 20, 1_500]) histogram.add(ms);
  const figures = [
    { name: "size", label: "payload", value: 1024, unit: "B" as const },
    ...throughput("pulled", 12_345, 2_000, 1000),
    ...times("request", histogram),
  ];
  assertEquals(
    formatTable(figures),
    [
      "payload           1,024 bytes",
      "pulled            12,345",
      "pulled a second   6,173",
      "payload a second  6.17 MB",
      "request p50       20.1 ms",
      "request p90       1.50 s",
      "request p99       1.50 s",
      "request max       1.50 s",
      "",
    ].join("\n"),
  );
  assertEquals(formatTable([{ name: "size", label: "payload", value: 1, unit: "B" }]), "payload  1 byte\n");
  const object = JSON.parse(formatJson(figures));
  assertEquals(object.pulledPerSecond, 6172.5);
  assertEquals([object.size, object.pulledBytesPerSecond, object.maxMs], [1024, 6_172_500, 1500]);
  assertEquals(throughput("pulled", 0, 0, 1).map(({ value }) => value), [0, 0, 0]);
});

Deno.test("steadiness says when a rate could not be kept", () => {
  const kept = [...steadiness(500, 5_002, 100), ...steadiness(20, 12, 5_000), ...steadiness(0, 0, 1)];
  assertEquals(kept.filter(({ name }) => name === "rateKept").map(({ value }) => value), [true, true, true]);
  const short = steadiness(16_600, 2_000, 10_000);
  assertEquals(JSON.parse(formatJson(short)), { published: 16_600, publishedPerSecond: 8_300, rateKept: false });
  assertEquals(formatTable(short).split("\n")[2], "rate kept           no: reached 8,300 of 10,000 messages/s");
});

Deno.test("barOf fills with the time and stays within its line", () => {
  assertEquals(barOf({ fraction: 0, text: "x" }, 80), `[${"-".repeat(30)}]   0%  x`);
  assertEquals(barOf({ fraction: 0.5, text: "x" }, 80), `[${"#".repeat(15)}${"-".repeat(15)}]  50%  x`);
  assertEquals(barOf({ fraction: 1, text: "x" }, 10).length, 9);
});

Deno.test("ProgressBar draws again and again, and goes away", () => {
  const clock = new TestClock(0);
  const timed = { now: () => clock.now(), random: () => 0, schedule: clock.schedule.bind(clock) };
  const drawn: string[] = [];
  let fraction = 0;
  {
    using _bar = new ProgressBar({ columns: 80, draw: (text) => void drawn.push(text) }, timed, () => {
      return { fraction, text: "half" };
    });
    fraction = 0.5;
    clock.tick(100);
  }
  assertEquals(drawn.map((text) => text.startsWith("\r\x1b[K")), [true, true, true]);
  assertEquals(drawn.map((text) => / [0-9]+%/.exec(text)?.[0]), [" 0%", " 50%", undefined]);
  assertEquals(clock.timers, 0);
  new ProgressBar(undefined, timed, () => ({ fraction: 0, text: "" }))[Symbol.dispose]();
  assertEquals(clock.timers, 0);
});
