import { NO_TOTALS } from "./no_totals.ts";
import { MessageBus } from "../../lib/bus/bus.ts";
import type { Delivery } from "../../lib/bus/feed.ts";
import { type Limits, limitsOf } from "../../lib/bus/limits.ts";
import type { EndReason, Subscription } from "../../lib/bus/subscription.ts";
import { BusError } from "../../lib/errors.ts";
import type { ControlEvent } from "../../lib/event.ts";
import type { Message, TopicInfo } from "../../lib/message.ts";
import { parseSince } from "../../lib/wire/since.ts";
import { assert, assertEquals, fc } from "../deps.ts";
import {
  FULL,
  isWaiting,
  Model,
  type ModelDelivery,
  type ModelMessage,
  type ModelReadLimits,
  type ModelSince,
  retained,
  sum,
  unpulled,
} from "./model.ts";
import { TestClock } from "./test_clock.ts";

interface Entry {
  readonly subscription: Subscription;
  bells: number;
  readonly events: ControlEvent[];
  end: { readonly reason: EndReason; readonly atMs: number } | undefined;
}

interface Wait {
  readonly controller: AbortController;
  answer: unknown;
}

/** The bus under test and what the test has seen of it. */
class Subject {
  readonly clock = new TestClock();
  readonly bus: MessageBus;
  readonly entries: Entry[] = [];
  readonly waits: Wait[] = [];
  /** Topic, epoch and id of everything pulled. */
  readonly #pulled = new Set<string>();

  /** Begins with an empty bus; `drops` takes the topics from which it drops messages for a limit. */
  constructor(limits: Limits, drops: string[]) {
    const observer = {
      dropped: ({ name }: TopicInfo, _: number, reason: string) => {
        if (reason === "limit") drops.push(name);
      },
    };
    this.bus = new MessageBus({ ...limits, clock: this.clock, observer });
  }

  /** Notes what was pulled; nothing is twice. */
  notePulled(messages: readonly Message[]): void {
    for (const message of messages) {
      const id = `${message.topic.name} ${message.topic.epoch} ${message.id}`;
      assert(!this.#pulled.has(id), `${id} was pulled twice`);
      this.#pulled.add(id);
    }
  }
}

type Step = fc.AsyncCommand<Model, Subject>;

/** A step that both can always do. */
function stepOf(name: string, run: (model: Model, subject: Subject) => void | Promise<void>): Step {
  return {
    check: () => true,
    run: async (model, subject) => {
      await run(model, subject);
      // The pulls that wait go on.
      for (let i = 0; i < 8; i++) await undefined;
      compare(model, subject);
    },
    toString: () => name,
  };
}

/** What there is to see of a message of either. */
function seen(message: Message | ModelMessage) {
  const { id, payload, createdMs } = message;
  return { id, payload: typeof payload === "string" ? payload : (message as Message).text(), createdMs };
}

function seenDelivery(delivery: Delivery | ModelDelivery | "full" | undefined) {
  if (typeof delivery !== "object" || delivery.event !== "messages") return delivery;
  const topic = typeof delivery.topic === "string" ? delivery.topic : delivery.topic.name;
  return { event: "messages", topic, messages: [...delivery.messages].map(seen) };
}

/** Compares everything there is to see. */
function compare(model: Model, { bus, entries, waits }: Subject): void {
  assertEquals(model.drops, [], "the bus dropped what the model did not");
  assertEquals(waits.map(({ answer }) => answer), model.waits.map(({ answer }) => seenAnswer(answer)));
  // This expires what is to expire.
  const topics = bus.topics();
  model.subscriptions.forEach((expected, i) => {
    const { subscription, bells, end } = entries[i]!;
    assertEquals(
      { i, lag: subscription.lag, cursor: subscription.cursor, bells, ended: end?.reason },
      { i, lag: model.lag(expected), cursor: model.cursor(expected), bells: expected.bells, ended: expected.ended },
    );
  });
  const names = [...model.topics.keys()].sort();
  assertEquals(topics.map(({ name }) => name), names);
  const live = model.subscriptions.filter(({ ended }) => ended === undefined);
  for (const topic of topics) {
    const expected = model.topics.get(topic.name)!;
    const { createdMs, all } = expected;
    assertEquals(topic, {
      name: topic.name,
      ttlMs: model.limits.ttlMs,
      createdMs,
      seq: all.length,
      cursor: `${all.length}@${createdMs.toString(36)}`,
      length: retained(expected).length,
      pending: unpulled(expected).length,
      bytes: sum(retained(expected)),
      subscribers: model.readersOf(topic.name).length,
      groups: 0,
    });
  }
  const { published, pulled, delivered, expired, dropped } = model;
  const sumOf = (of: "bytes" | "length") => topics.reduce((sum, topic) => sum + topic[of], 0);
  assertEquals(bus.totals(), {
    ...NO_TOTALS,
    topics: topics.length,
    messages: sumOf("length"),
    bytes: sumOf("bytes"),
    residentBytes: sumOf("bytes"),
    subscriptions: live.length,
    published,
    pulled,
    delivered,
    expired,
    dropped,
  });
  assert(sumOf("bytes") <= model.limits.maxMemoryBytes);
}

function seenAnswer(answer: Model["waits"][number]["answer"]) {
  return typeof answer === "object" ? { messages: answer.messages.map(seen), gap: answer.gap } : answer;
}

/** The code of the error that `call` throws, if any. */
async function codeOfAny(call: () => unknown): Promise<string | undefined> {
  try {
    await call();
  } catch (error) {
    if (!(error instanceof BusError)) throw error;
    return error.code;
  }
}

const NAMES = ["a", "b", "a/b", "a/c", "größe/x", "__proto__"];
const PATTERNS = ["a,b", "*", "a/*", "a/**", "**", "a/b,a/*,a/b", "__proto__,größe/x", "b,constructor"];
const name = fc.constantFrom(...NAMES);
const payload = fc.oneof(
  { weight: 8, arbitrary: fc.string({ maxLength: 20 }) },
  { weight: 1, arbitrary: fc.nat(700).map((length) => "x".repeat(length)) },
);
const ttlMs = fc.constantFrom(undefined, undefined, 0, 150, 700, 2500);
/** Where to begin; epochs and times are relative to what is there. */
const since = fc.oneof(
  fc.constantFrom("latest" as const, "earliest" as const),
  fc.record({ next: fc.nat(30), epoch: fc.constantFrom("same" as const, "another" as const, undefined) }),
  fc.record({ last: fc.nat(5) }),
  fc.record({ agoMs: fc.constantFrom(-500, 0, 1, 100, 300, 1000, 2000, 5000), isCursor: fc.boolean() }),
);
type RelativeSince = typeof since extends fc.Arbitrary<infer T> ? T : never;

function absolute(since: RelativeSince, name: string, { bus, clock }: Subject): ModelSince {
  if (typeof since === "string" || "last" in since) return since;
  if ("agoMs" in since) {
    const ms = clock.now() - since.agoMs;
    return since.isCursor ? { createdMs: ms } : { fromMs: ms };
  }
  const { next, epoch } = since;
  if (epoch === undefined) return { next };
  const topic = bus.topics().find((topic) => topic.name === name);
  return { next, epoch: epoch === "another" ? "another" : topic?.cursor.split("@")[1] };
}

const put = fc.record({ name, payload, ttlMs }).map(({ name, payload, ttlMs }) =>
  stepOf(`put ${name} ${payload.length} for ${ttlMs} ms`, async (model, { bus }) => {
    const before = model.topics.get(name)?.all.length ?? 0;
    const code = await codeOfAny(() => assertEquals(bus.put(name, payload, { ttlMs }).id, before));
    assertEquals(code, model.publish(name, [payload], ttlMs));
  })
);

const publish = fc.record({ name, payloads: fc.array(payload, { minLength: 1, maxLength: 5 }), ttlMs }).map(
  ({ name, payloads, ttlMs }) =>
    stepOf(`publish ${name} ${payloads.map(({ length }) => length)} for ${ttlMs} ms`, async (model, { bus }) => {
      const before = model.topics.get(name)?.all.length ?? 0;
      const code = await codeOfAny(async () => {
        const { id, count } = await bus.publish(name, payloads, { ttlMs });
        assertEquals([id, count], [before, payloads.length]);
      });
      assertEquals(code, model.publish(name, payloads, ttlMs));
    }),
);

const get = name.map((name) =>
  stepOf(`get ${name}`, (model, subject) => {
    const message = subject.bus.get(name);
    assertEquals([message].flatMap((message) => message ?? []).map(seen), model.pull(name, 1).messages.map(seen));
    if (message !== undefined) subject.notePulled([message]);
  })
);

const pull = fc.record({ name, limit: fc.nat(4), maxBytes: fc.constantFrom(1, 500, 1e6) }).map(
  ({ name, limit, maxBytes }) =>
    stepOf(`pull ${limit} of ${name} in ${maxBytes} bytes`, async (model, subject) => {
      const { messages, gap } = await subject.bus.pullBatch(name, { limit, maxBytes });
      const expected = model.pull(name, limit, maxBytes);
      assertEquals({ messages: messages.map(seen), gap }, { messages: expected.messages.map(seen), gap: expected.gap });
      subject.notePulled(messages);
    }),
);

const wait = fc.record({ name, limit: fc.integer({ min: 1, max: 4 }), waitMs: fc.constantFrom(50, 400, 5000) }).map(
  ({ name, limit, waitMs }) =>
    stepOf(`wait ${waitMs} ms for ${limit} of ${name}`, (model, subject) => {
      const wait: Wait = { controller: new AbortController(), answer: undefined };
      subject.waits.push(wait);
      subject.bus.pullBatch(name, { limit, waitMs, signal: wait.controller.signal }).then(
        ({ messages, gap }) => {
          wait.answer = { messages: messages.map(seen), gap };
          subject.notePulled(messages);
        },
        (error) => wait.answer = error,
      );
      model.wait(name, limit, waitMs);
    }),
);

const abort = fc.nat().map((n) =>
  stepOf(`abort ${n}`, (model, { waits }) => {
    const i = model.waits.findIndex((wait, i) => i >= n % (waits.length + 1) && isWaiting(wait));
    if (i === -1) return;
    waits[i]!.controller.abort("aborted");
    model.abort(model.waits[i]!);
  })
);

const browse = fc.record({ name, since, limit: fc.nat(4), maxBytes: fc.constantFrom(1, 500, 1e6) }).map(
  ({ name, since, limit, maxBytes }) =>
    stepOf(`browse ${limit} of ${name} since ${JSON.stringify(since)}`, async (model, subject) => {
      const from = absolute(since, name, subject);
      const page = await subject.bus.browse(name, { since: from, limit, maxBytes });
      const expected = model.browse(name, from, limit, maxBytes);
      assertEquals(
        page && { ...page, messages: page.messages.map(seen) },
        expected && { ...expected, messages: expected.messages.map(seen) },
      );
    }),
);

async function subscribeBoth(model: Model, subject: Subject, pattern: string, since: ModelSince, stallMs?: number) {
  const { bus, clock, entries } = subject;
  const code = await codeOfAny(() => {
    const entry: Entry = {
      subscription: bus.subscribe(pattern, {
        since,
        stallMs,
        onReady: () => void entry.bells++,
        onEvent: (event) => entry.events.push(event),
        onEnd: (_, reason) => entry.end = { reason, atMs: clock.now() },
      }),
      bells: 0,
      events: [],
      end: undefined,
    };
    entries.push(entry);
  });
  // What is listed twice counts once.
  assertEquals(code, model.subscribe([...new Set(pattern.split(","))].join(","), since, stallMs));
}

const subscribe = fc.record({
  pattern: fc.oneof(name, fc.constantFrom(...PATTERNS)),
  since,
  stallMs: fc.constantFrom(undefined, 400, 2000),
}).map(({ pattern, since, stallMs }) =>
  stepOf(
    `subscribe ${pattern} since ${JSON.stringify(since)} stall ${stallMs}`,
    (model, subject) => subscribeBoth(model, subject, pattern, absolute(since, pattern, subject), stallMs),
  )
);

/** A step with one of the subscriptions. */
const withSubscription = (
  what: string,
  run: (model: Model, subject: Subject, i: number) => void | Promise<void>,
) =>
  fc.nat().map((n) =>
    stepOf(`${what} ${n}`, async (model, subject) => {
      if (subject.entries.length > 0) await run(model, subject, n % subject.entries.length);
    })
  );

function readBoth(model: Model, { entries }: Subject, i: number, limits: ModelReadLimits): boolean {
  const delivery = entries[i]!.subscription.read(limits);
  const chosen = delivery === "full" ? FULL : topicOf(delivery);
  const expected = model.read(model.subscriptions[i]!, limits, chosen);
  assertEquals(seenDelivery(delivery), seenDelivery(expected));
  return delivery !== undefined && delivery !== "full";
}

function topicOf(delivery: Delivery | "full" | undefined): string | undefined {
  if (typeof delivery !== "object" || !("topic" in delivery)) return undefined;
  return typeof delivery.topic === "string" ? delivery.topic : delivery.topic.name;
}

const read = fc.record({
  maxMessages: fc.constantFrom(undefined, 1, 2, 5),
  maxBytes: fc.constantFrom(undefined, 100, 300, 700),
}).chain((limits) =>
  withSubscription(`read ${JSON.stringify(limits)} of`, (model, subject, i) => void readBoth(model, subject, i, limits))
);

const readAll = withSubscription("read all of", (model, subject, i) => {
  while (readBoth(model, subject, i, {}));
});

const take = withSubscription("take of", (model, { entries }, i) => {
  const { subscription, events } = entries[i]!;
  const message = subscription.take();
  const expected = model.subscriptions[i]!;
  for (const event of events.splice(0)) {
    assertEquals(event as Delivery, model.read(expected, { maxMessages: 1 }, topicOf(event)) as Delivery);
  }
  const delivery = model.read(expected, { maxMessages: 1 }, message?.topic.name);
  assertEquals(
    message && { event: "messages", topic: message.topic.name, messages: [seen(message)] },
    seenDelivery(delivery),
  );
});

const close = withSubscription("close", (model, { entries }, i) => {
  entries[i]!.subscription.close();
  model.end(model.subscriptions[i]!, "closed");
});

const resume = withSubscription("resume", async (model, subject, i) => {
  const { pattern, stallMs } = model.subscriptions[i]!;
  const cursor = subject.entries[i]!.subscription.cursor;
  // One that began before its topic, at an id, and missed it, has that for its cursor.
  const since = parseSince(cursor, subject.clock.now());
  assert(since !== undefined, `${cursor} is no cursor`);
  await subscribeBoth(model, subject, pattern, since, stallMs);
});

const remove = name.map((name) =>
  stepOf(`delete ${name}`, async (model, { bus }) => {
    assertEquals(await bus.delete(name), model.delete(name));
  })
);

// Steps longer than the schedule's tolerance of 20 ms, after which everything due has been done.
const tick = fc.constantFrom(100, 200, 500, 1000, 3000).map((ms) =>
  stepOf(`tick ${ms}`, async (model, { clock, entries }) => {
    clock.tick(ms);
    // Those who waited until now are answered before anything else happens.
    for (let i = 0; i < 8; i++) await undefined;
    const stalls = model.subscriptions.flatMap((subscription, i) => {
      const { end } = entries[i]!;
      return end?.reason === "stalled" && subscription.ended === undefined ? [{ subscription, atMs: end.atMs }] : [];
    });
    for (const { subscription, atMs } of stalls) {
      const { stallMs, idleSinceMs } = subscription;
      const idleMs = atMs - idleSinceMs;
      assert(model.isUnread(subscription) && idleMs >= stallMs!, `stalled after ${idleMs} of ${stallMs} ms`);
    }
    model.tick(ms, stalls);
    for (const subscription of model.subscriptions) {
      const { stallMs = Infinity, idleSinceMs, rung, rungMs, ended } = subscription;
      const idleMs = model.nowMs - Math.max(idleSinceMs, rungMs);
      // Five looks at it, each up to 20 ms late.
      const late = rung && ended === undefined && idleMs > 1.25 * stallMs + 100;
      assert(!late || !model.isUnread(subscription), `not stalled after ${idleMs} of ${stallMs} ms`);
    }
  })
);

const flush = fc.constant(
  stepOf("flush", (model, { clock }) => {
    clock.flush();
    model.flush();
  }),
);

const limits = fc.record({
  ttlMs: fc.constantFrom(0, 1000),
  maxMessages: fc.constantFrom(1, 3, 100),
  maxTopicBytes: fc.constantFrom(1000, 2000, 1e6),
  maxMemoryBytes: fc.constantFrom(1500, 3000, 1e6),
  maxPayloadBytes: fc.constantFrom(600, 1000),
  maxTopics: fc.constantFrom(2, 100),
  topicIdleMs: fc.constantFrom(500, 2000),
  discard: fc.constantFrom("old", "new"),
}).map(limitsOf);

const steps = [
  [put, put, put, publish, publish, get, pull, wait, abort, browse],
  [subscribe, subscribe, read, read, readAll, take, close, resume],
  [remove, tick, tick, flush, flush],
].flat();

Deno.test("MessageBus does what the model does, step by step", async () => {
  await fc.assert(
    fc.asyncProperty(
      limits,
      fc.commands(steps, { maxCommands: 100, size: "max" }),
      (limits, steps) =>
        fc.asyncModelRun(() => {
          const model = new Model(limits, new TestClock().now());
          return { model, real: new Subject(limits, model.drops) };
        }, steps),
    ),
    { numRuns: 500 },
  );
});
