/**
 * What is done with a bus and its groups, step by step, and with the model.
 *
 * @module
 */

import { assertEquals, fc } from "../deps.ts";
import { compare, compareAnswers } from "./group_comparison.ts";
import { deadTopicOf, type GroupModel, isWaiting, MAX_LATE_MS } from "./group_model.ts";
import type { ModelContent, ModelFrom } from "./group_of_model.ts";
import { type Answer, codeOfAny, goOn, orCode, type Subject, type Wait } from "./group_subject.ts";

/** A step of a history. */
export type Step = fc.AsyncCommand<GroupModel, Subject>;

/** A step that both can always do. */
function stepOf(name: string, run: (subject: Subject, model: GroupModel) => void | Promise<void>): Step {
  return {
    check: () => true,
    run: async (model, subject) => {
      await run(subject, model);
      await goOn();
      // What a timer is late for that could not run.
      subject.clock.tick(0);
      if (model.wasStalled) subject.ask();
      await goOn();
      subject.noteWaits();
      for (const each of subject.news()) model.observe(each);
      model.forgetIdle((topic, group) => subject.isForgotten(topic, group));
      await compare(model, subject);
      model.forgetDoubts();
    },
    toString: () => name,
  };
}

/** Has the model take note of what was published by schedule before what has been asked for. */
function catchUp(model: GroupModel, subject: Subject): void {
  for (;;) {
    const seen = subject.takeIf((seen) => model.wasScheduled(seen));
    if (seen === undefined) return;
    model.observe(seen);
  }
}

// The last one leaves no room for dead letters.
const DEEP = Array(16).fill("d").join("/");
const topicName = fc.oneof(
  { weight: 12, arbitrary: fc.constant("t") },
  { weight: 1, arbitrary: fc.constantFrom("u", DEEP) },
);
const anyTopic = fc.oneof(
  { weight: 9, arbitrary: topicName },
  { weight: 1, arbitrary: fc.constantFrom(deadTopicOf("t"), deadTopicOf("u")) },
);
const group = fc.constantFrom("a", "a", "a", "a", "", "", "b", "größe");
const key = fc.constantFrom(undefined, undefined, "k", "k", "l");
const ttlMs = fc.constantFrom(undefined, undefined, 0, 500, 1000, 1001, 2000);
const leaseMs = fc.constantFrom(undefined, 1000, 1000, 1500, 3000, 3000);
const limit = fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 5 }));
const from = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(undefined, "earliest" as const, "latest" as const) },
  {
    weight: 1,
    arbitrary: fc.record({ next: fc.nat(12), epoch: fc.constantFrom("same" as const, "another" as const, undefined) }),
  },
  { weight: 1, arbitrary: fc.record({ last: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ agoMs: fc.constantFrom(-500, 0, 1, 500, 1000, 2000) }) },
);
type RelativeFrom = typeof from extends fc.Arbitrary<infer T> ? T : never;

function absolute(from: RelativeFrom, topic: string, model: GroupModel): ModelFrom | undefined {
  if (typeof from !== "object" || "last" in from) return from;
  if ("agoMs" in from) return { fromMs: model.nowMs - from.agoMs };
  const { next, epoch } = from;
  if (epoch === undefined) return { next };
  return { next, epoch: epoch === "another" ? "another" : model.topic(topic)?.epoch ?? "none" };
}

const publish = fc.record({ topic: topicName, key, ttlMs, count: fc.constantFrom(1, 1, 2, 3) })
  .map(({ topic, ...content }) =>
    stepOf(`publish ${topic} ${JSON.stringify(content)}`, async (subject, model) => {
      const contents = subject.contents(content);
      const { payload: _, ...options } = contents[0]!;
      const [{ payload }] = contents as [ModelContent];
      const code = await codeOfAny(() => {
        if (contents.length === 1) return subject.bus.put(topic, payload, options);
        return subject.bus.publish(topic, contents.map(({ payload }) => payload), options);
      });
      catchUp(model, subject);
      assertEquals(code, model.publish(topic, contents));
    })
  );

const schedule = fc.record({ topic: topicName, key, ttlMs, delayMs: fc.constantFrom(130, 530, 1030, 2030) })
  .map(({ topic, key, ttlMs, delayMs }) =>
    stepOf(`schedule ${topic} in ${delayMs} ms`, async (subject, model) => {
      // More would not fit into a memory that is so small that much is read back.
      if (subject.readsBack && subject.bus.totals().scheduled > 2) return;
      const [content] = subject.contents({ key, ttlMs, count: 1 }) as [ModelContent];
      const { payload, ...options } = content;
      const receipt = await orCode(() => subject.bus.schedule(topic, payload, { ...options, delayMs }));
      catchUp(model, subject);
      if (typeof receipt === "string") {
        assertEquals(receipt, "topic_full");
        assertEquals(model.scheduled(topic).length, model.limits.maxMessages);
      } else {
        const { token, dueMs } = receipt;
        assertEquals(dueMs, model.nowMs + delayMs);
        subject.schedules.push({ topic, token });
        model.schedule(topic, subject.bus.topic(topic)!.cursor.split("@")[1]!, content, dueMs, token);
      }
    })
  );

const cancel = fc.nat().map((n) =>
  stepOf(`cancel ${n}`, async (subject, model) => {
    const { schedules } = subject;
    const scheduled = schedules.at(-1 - n % schedules.length);
    if (scheduled === undefined) return;
    const { topic, token } = scheduled;
    const isCancelled = await subject.bus.cancel(topic, token);
    catchUp(model, subject);
    assertEquals(isCancelled, model.cancel(topic, token));
  })
);

const pull = fc.record({ topic: anyTopic, group, from, leaseMs, limit, way: fc.constantFrom("get", "pull", "batch") })
  .map(({ topic, from, way, ...rest }) =>
    stepOf(`${way} ${topic} ${JSON.stringify({ from, ...rest })}`, async (subject, model) => {
      const { bus } = subject;
      // A batch ends before what is not in memory, which the model doesn't know.
      const limit = way === "batch" && !subject.readsBack ? rest.limit : 1;
      const pull = { topic, from: absolute(from, topic, model), ...rest, limit };
      const answer: Answer = await orCode(async () => {
        if (way === "batch") return await bus.pullBatch(topic, pull);
        const message = way === "get" ? await subject.take(topic, pull) : await bus.pull(topic, pull);
        return { messages: message === undefined ? [] : [message], gap: "not told" as const };
      });
      subject.notePull(pull, answer);
      catchUp(model, subject);
      compareAnswers(answer, model.pull(pull));
    })
  );

const wait = fc.record({
  topic: anyTopic,
  group,
  from: fc.constantFrom("earliest" as const, "latest" as const),
  leaseMs,
  limit,
  waitMs: fc.constantFrom(100, 1000, 5000, 5000),
}).map(({ waitMs, ...wanted }) =>
  stepOf(`wait ${waitMs} ms: ${JSON.stringify(wanted)}`, (subject, model) => {
    const pull = subject.readsBack ? { ...wanted, limit: 1 } : wanted;
    const controller = new AbortController();
    const wait: Wait = { pull, controller, answer: undefined, isCompared: false };
    subject.waits.push(wait);
    orCode(() => subject.bus.pullBatch(pull.topic, { ...pull, waitMs, signal: controller.signal }))
      .then((answer) => wait.answer = answer, (error) => wait.answer = String(error));
    catchUp(model, subject);
    model.wait(pull, waitMs);
  })
);

const abort = fc.nat().map((n) =>
  stepOf(`abort ${n}`, ({ waits }, model) => {
    const i = model.waits.findIndex((wait, i) => i >= n % (waits.length + 1) && isWaiting(wait));
    if (i === -1) return;
    waits[i]!.controller.abort("aborted");
    model.abort(model.waits[i]!);
  })
);

/** Tokens that are good, and sometimes any that was given, in the order of that from the last one on. */
const pick = fc.record({ isGood: fc.constantFrom(true, true, true, false), n: fc.nat(5) });
const picks = fc.oneof(fc.tuple(pick), fc.array(pick, { minLength: 1, maxLength: 4 }));
type Picks = typeof picks extends fc.Arbitrary<infer T> ? T : never;

function tokensOf({ leases }: Subject, model: GroupModel, picks: Picks): string[] {
  const good = leases.filter((token) => model.isGood(token));
  return picks.map(({ isGood, n }) => {
    const tokens = isGood && good.length > 0 ? good : leases;
    return tokens.at(-1 - n % tokens.length) ?? "unknown";
  });
}

function nameOf(picks: Picks): string {
  return picks.map(({ isGood, n }) => isGood ? `good ${n}` : n).join(", ");
}

const ack = picks.map((picks) =>
  stepOf(`ack ${nameOf(picks)}`, async (subject, model) => {
    const tokens = tokensOf(subject, model, picks);
    const settlement = await subject.bus.ack(tokens);
    catchUp(model, subject);
    assertEquals(settlement, model.ack(tokens));
    subject.history.acked(tokens, settlement, model.nowMs);
  })
);

const nack = fc.record({
  picks,
  delayMs: fc.constantFrom(undefined, undefined, 0, 300, 500, 1000, 4000),
  count: fc.constantFrom(undefined, undefined, true, false),
  reason: fc.constantFrom(undefined, "because"),
}).map(({ picks, ...options }) =>
  stepOf(`nack ${nameOf(picks)} ${JSON.stringify(options)}`, async (subject, model) => {
    const tokens = tokensOf(subject, model, picks);
    const settlement = await subject.bus.nack(tokens, options);
    catchUp(model, subject);
    assertEquals(settlement, model.nack(tokens, options));
    subject.history.nacked(tokens, settlement, options, model.nowMs);
  })
);

const extend = fc.record({ picks, leaseMs: fc.constantFrom(undefined, 1000, 2000) }).map(({ picks, leaseMs }) =>
  stepOf(`extend ${nameOf(picks)} by ${leaseMs}`, async (subject, model) => {
    const tokens = tokensOf(subject, model, picks);
    const settlement = await subject.bus.extend(tokens, leaseMs);
    catchUp(model, subject);
    assertEquals(settlement, model.extend(tokens, leaseMs));
    subject.history.extended(tokens, settlement, leaseMs, model.nowMs);
  })
);

const redrive = fc.record({ topic: topicName, group: fc.option(group, { nil: undefined }) }).map(({ topic, group }) =>
  stepOf(`redrive ${topic} of ${group}`, async (subject, model) => {
    const redriven = await orCode(() => subject.bus.redrive(topic, { group }));
    catchUp(model, subject);
    assertEquals(redriven, model.redrive(topic, group));
  })
);

const deleteTopic = anyTopic.map((topic) =>
  stepOf(`delete ${topic}`, async ({ bus, history }, model) => {
    assertEquals(await bus.delete(topic), model.deleteTopic(topic));
    history.ended(topic);
  })
);

const deleteGroup = fc.record({ topic: anyTopic, group }).map(({ topic, group }) =>
  stepOf(`delete group ${group} of ${topic}`, async ({ bus, history, clock }, model) => {
    // The queue can't be forgotten.
    if (group === "") return;
    assertEquals(await bus.deleteGroup(topic, group), model.deleteGroup(topic, group));
    history.ended(topic, group);
    // Who waits for it makes it anew when the turn ends; what happens to it until then is nobody's concern.
    clock.flush();
    model.flush();
  })
);

async function pass(ms: number, { clock, readsBack }: Subject, model: GroupModel): Promise<void> {
  const endMs = clock.now() + ms;
  while (clock.now() < endMs) {
    // Those who waited until a time are answered before anything else happens.
    const dueMs = model.waits.filter(isWaiting).map(({ dueMs }) => dueMs).filter((dueMs) => dueMs > clock.now());
    // What a timer has asked for is read before the next one runs.
    const nextMs = readsBack ? clock.now() + clock.nextMs : Infinity;
    clock.tick(Math.min(endMs, nextMs, ...dueMs) - clock.now());
    await goOn();
  }
}

/** So many milliseconds, or to the moment in which something happens, just before it, or just after it. */
const duration = fc.oneof(
  fc.record({ ms: fc.constantFrom(1, 25, 100, 500, 500, 1000, 1000, 3000) }),
  fc.record({ fromNextMs: fc.constantFrom(-1, 0, 0, 1, 19) }),
);
type Duration = typeof duration extends fc.Arbitrary<infer T> ? T : never;

function durationOf(duration: Duration, model: GroupModel): number {
  if ("ms" in duration) return duration.ms;
  const ms = model.nextMs() - model.nowMs + duration.fromNextMs;
  return ms > 0 && ms < 1e6 ? ms : 1;
}

const tick = duration.map((duration) =>
  stepOf(`tick ${JSON.stringify(duration)}`, async (subject, model) => {
    const ms = durationOf(duration, model);
    await pass(ms, subject, model);
    subject.ask();
    model.tick(ms, subject.news());
  })
);

/** Nobody asks for anything until all timers have run that may be late, and the turn is over. */
const tickQuietly = duration.map((duration) =>
  stepOf(`tick quietly ${JSON.stringify(duration)}`, async (subject, model) => {
    let endMs = model.nowMs + durationOf(duration, model);
    for (const ms of model.times().sort((a, b) => a - b)) {
      if (ms <= endMs && endMs < ms + MAX_LATE_MS) endMs = ms + MAX_LATE_MS;
    }
    const ms = endMs - model.nowMs;
    await pass(ms, subject, model);
    model.tick(ms, subject.news());
    subject.clock.flush();
    model.flush();
  })
);

/** Some of the steps come after a time in which the program was too busy to run its timers. */
function afterStall(steps: fc.Arbitrary<Step>, asksGroup = true): fc.Arbitrary<Step> {
  const stalled = fc.record({ step: steps, duration }).map(({ step, duration }): Step => ({
    check: () => true,
    run: async (model, subject) => {
      // Who waits is answered in time.
      const dueMs = Math.min(...model.waits.filter(isWaiting).map(({ dueMs }) => dueMs));
      let ms = Math.min(durationOf(duration, model), dueMs - model.nowMs - 1);
      // Whether a lease ends before a limit drops its message in the same millisecond, is up to the bus.
      while (!asksGroup && ms > 0 && model.times().includes(model.nowMs + ms)) ms--;
      subject.clock.stall(ms);
      model.stall(ms);
      await step.run(model, subject);
    },
    toString: () => `stall ${JSON.stringify(duration)}, ${step}`,
  }));
  return fc.oneof({ weight: 5, arbitrary: steps }, { weight: 1, arbitrary: stalled });
}

const flushed = stepOf("flush", ({ clock }, model) => {
  clock.flush();
  model.flush();
});
const flush = fc.constant(flushed);

const restarted = stepOf("restart", async (subject, model) => {
  await subject.restart();
  catchUp(model, subject);
  model.restart();
  subject.ask();
});

/** Who waits is served before the process ends. */
const restart = fc.constant<Step>({
  check: () => true,
  run: async (model, subject) => {
    await flushed.run(model, subject);
    await restarted.run(model, subject);
  },
  toString: () => "restart",
});

/** A step with how often it is taken. */
const often = (times: number, step: fc.Arbitrary<Step>) => Array.from({ length: times }, () => step);

/** All steps, each as often as it is to be taken. */
export const steps: fc.Arbitrary<Step>[] = [
  ...often(6, afterStall(publish, false)),
  ...often(8, afterStall(pull)),
  ...often(5, afterStall(wait)),
  ...often(3, afterStall(ack)),
  ...often(5, afterStall(nack)),
  ...often(2, afterStall(extend)),
  ...often(4, tick),
  ...often(5, tickQuietly),
  ...often(5, flush),
  ...often(2, redrive),
  ...often(2, schedule),
  ...often(1, cancel),
  ...often(1, abort),
  ...often(1, deleteTopic),
  ...often(1, deleteGroup),
];

/** The same with restarts. */
export const stepsWithRestarts: fc.Arbitrary<Step>[] = [...steps, ...often(3, restart)];
