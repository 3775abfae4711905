import { GoneTopics, MAX_GONE_TOPICS } from "../../lib/bus/gone_topics.ts";
import { parseTopicPattern } from "../../lib/topic_pattern.ts";
import { assertEquals } from "../deps.ts";

const pattern = parseTopicPattern("a/*,b");

Deno.test("GoneTopics.lostSince names the topics of a pattern whose newest message is not older, as they went", () => {
  const gone = new GoneTopics(0);
  for (const [name, ms] of [["b", 20], ["a/x", 10], ["a/y", 15], ["a", 99], ["c", 99]] as const) gone.note(name, ms);
  assertEquals(gone.lostSince(pattern, 10), ["b", "a/x", "a/y"]);
  assertEquals(gone.lostSince(pattern, 15), ["b", "a/y"]);
  assertEquals(gone.lostSince(pattern, 21), []);
});

Deno.test("GoneTopics.hasLost knows a topic by its name and its newest message", () => {
  const gone = new GoneTopics(5);
  gone.note("a", 10);
  assertEquals([10, 11, 5, 4].map((ms) => gone.hasLost("a", ms)), [true, false, true, true]);
  assertEquals([10, 5, 4].map((ms) => gone.hasLost("b", ms)), [false, false, true]);
});

Deno.test("GoneTopics.note takes the newest message of a name, and counts a name once", () => {
  const gone = new GoneTopics(0, 2);
  for (const ms of [10, 20, 30]) gone.note("b", ms);
  gone.note("a/x", 31);
  assertEquals([gone.knownFromMs, gone.lostSince(pattern, 30)], [0, ["b", "a/x"]]);
});

Deno.test("GoneTopics forgets what went first, and then means all topics by a time that was before", () => {
  const gone = new GoneTopics(0, 2);
  for (const [name, ms] of [["b", 20], ["a/x", 10], ["b", 25], ["c", 30]] as const) gone.note(name, ms);
  assertEquals(gone.knownFromMs, 11);
  gone.note("d", 40);
  assertEquals(gone.knownFromMs, 26);
  assertEquals(gone.lostSince(pattern, 25), ["a/*,b"]);
  assertEquals(gone.lostSince(pattern, 26), []);
  assertEquals(["z", "z", "c"].map((name, i) => gone.hasLost(name, 25 + i)), [true, false, true]);
});

Deno.test("GoneTopics remembers no topic by a time that means all topics anyway", () => {
  const gone = new GoneTopics(100, 2);
  for (const [name, ms] of [["b", 110], ["a/x", 120], ["a/y", 90], ["a/z", 99]] as const) gone.note(name, ms);
  assertEquals([gone.knownFromMs, gone.lostSince(pattern, 100)], [100, ["b", "a/x"]]);
});

Deno.test("GoneTopics remembers 4096 names", () => {
  const gone = new GoneTopics(0);
  for (let i = 1; i <= MAX_GONE_TOPICS; i++) gone.note(`t/${i}`, i);
  assertEquals([MAX_GONE_TOPICS, gone.knownFromMs], [4096, 0]);
  gone.note("t/0", 5000);
  assertEquals([gone.knownFromMs, gone.lostSince(parseTopicPattern("t/*"), 2).length], [2, 4096]);
});
