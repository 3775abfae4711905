import { MessageBus } from "../../lib/bus/bus.ts";
import { type Limits, limitsOf } from "../../lib/bus/limits.ts";
import type { Subscription } from "../../lib/bus/subscription.ts";
import type { Message } from "../../lib/message.ts";
import { BusError } from "../../lib/errors.ts";
import { assert, assertEquals, fc } from "../deps.ts";
import { Model, type ModelMessage, type ModelSince } from "./model.ts";
import { TestClock } from "./test_clock.ts";

/** The bus under test and what the test has seen of it. */
class Subject {
  readonly clock = new TestClock();
  readonly bus: MessageBus;
  readonly subscriptions: { subscription: Subscription; bells: number }[] = [];
  /** Topic, epoch and id of everything pulled. */
  readonly pulled = new Set<string>();
  /** What the bus dropped for a limit: the topics. */
  readonly #drops: string[];

  constructor(limits: Limits, drops: string[]) {
    this.#drops = drops;
    const observer = {
      dropped: (message: Message, reason: string) => {
        if (reason === "limit") this.#drops.push(message.topic.name);
      },
    };
    this.bus = new MessageBus({ ...limits, clock: this.clock, observer });
  }
}

type Step = fc.AsyncCommand<Model, Subject>;

/** A step that both can always do. */
function stepOf(name: string, run: (model: Model, subject: Subject) => void | Promise<void>): Step {
  return {
    check: () => true,
    run: async (model, subject) => {
      await run(model, subject);
      compare(model, subject);
    },
    toString: () => name,
  };
}

function assertSame(message: Message | undefined, expected: ModelMessage | undefined): void {
  assertEquals(
    message && { id: message.id, payload: message.text(), createdMs: message.createdMs },
    expected && { id: expected.id, payload: expected.payload, createdMs: expected.createdMs },
  );
}

/** Compares everything there is to see. */
function compare(model: Model, { bus, subscriptions }: Subject): void {
  assertEquals(model.drops, [], "the bus dropped what the model did not");
  model.subscriptions.forEach((expected, i) => {
    const { subscription, bells } = subscriptions[i]!;
    assertEquals([i, subscription.lag, bells], [i, model.lag(expected), expected.bells]);
  });
  const topics = bus.topics();
  const names = [...model.topics.keys()].sort();
  assertEquals(topics.map(({ name }) => name), names);
  const live = model.subscriptions.filter(({ ended }) => !ended);
  for (const topic of topics) {
    const { createdMs, log, next, queue } = model.topics.get(topic.name)!;
    assertEquals(topic, {
      name: topic.name,
      ttlMs: model.limits.ttlMs,
      createdMs,
      seq: next,
      cursor: `${next}@${createdMs.toString(36)}`,
      length: log.length,
      pending: log.filter(({ id }) => id >= queue).length,
      bytes: log.reduce((sum, { bytes }) => sum + bytes, 0),
      subscribers: live.filter(({ name }) => name === topic.name).length,
    });
  }
  const { published, pulled, delivered, expired, dropped } = model;
  const sumOf = (of: "bytes" | "length") => topics.reduce((sum, topic) => sum + topic[of], 0);
  assertEquals(bus.totals(), {
    topics: topics.length,
    messages: sumOf("length"),
    bytes: sumOf("bytes"),
    subscriptions: live.length,
    published,
    pulled,
    delivered,
    expired,
    dropped,
  });
  assert(sumOf("bytes") <= model.limits.maxMemoryBytes);
}

const name = fc.constantFrom("a", "b", "größe", "__proto__", "constructor");
const payload = fc.oneof(
  { weight: 8, arbitrary: fc.string({ maxLength: 20 }) },
  { weight: 1, arbitrary: fc.nat(700).map((length) => "x".repeat(length)) },
);
const since: fc.Arbitrary<ModelSince> = fc.oneof(
  fc.constantFrom("latest", "earliest"),
  fc.record({ next: fc.nat(30), sameEpoch: fc.boolean() }),
);

const put = fc.record({ name, payload }).map(({ name, payload }) =>
  stepOf(`put ${name} ${payload.length}`, (model, { bus }) => {
    const before = model.topics.get(name)?.next ?? 0;
    let code: string | undefined;
    try {
      assertEquals(bus.put(name, payload).id, before);
    } catch (error) {
      if (!(error instanceof BusError)) throw error;
      code = error.code;
    }
    assertEquals(code, model.publish(name, [payload]));
  })
);

const publish = fc.record({ name, payloads: fc.array(payload, { minLength: 1, maxLength: 5 }) }).map(
  ({ name, payloads }) =>
    stepOf(`publish ${name} ${payloads.map(({ length }) => length)}`, async (model, { bus }) => {
      const before = model.topics.get(name)?.next ?? 0;
      let code: string | undefined;
      try {
        const { id, count } = await bus.publish(name, payloads);
        assertEquals([id, count], [before, payloads.length]);
      } catch (error) {
        if (!(error instanceof BusError)) throw error;
        code = error.code;
      }
      assertEquals(code, model.publish(name, payloads));
    }),
);

const get = name.map((name) =>
  stepOf(`get ${name}`, (model, { bus, pulled }) => {
    const message = bus.get(name);
    assertSame(message, model.get(name));
    if (message === undefined) return;
    const id = `${name} ${message.topic.epoch} ${message.id}`;
    assert(!pulled.has(id), `${id} was pulled twice`);
    pulled.add(id);
  })
);

const subscribe = fc.record({ name, since }).map(({ name, since }) =>
  stepOf(`subscribe ${name} since ${JSON.stringify(since)}`, (model, { bus, subscriptions }) => {
    const epoch = bus.topic(name)?.cursor.split("@")[1];
    const position = typeof since === "string"
      ? since
      : { next: since.next, epoch: since.sameEpoch ? epoch : "another" };
    const entry = {
      bells: 0,
      subscription: bus.subscribe(name, { since: position, onReady: () => void entry.bells++ }),
    };
    subscriptions.push(entry);
    model.subscribe(name, since);
  })
);

/** A step with one of the subscriptions. */
const withSubscription = (
  what: string,
  run: (model: Model, subject: Subject, i: number) => void,
) =>
  fc.nat().map((n) =>
    stepOf(`${what} ${n}`, (model, subject) => {
      if (subject.subscriptions.length > 0) run(model, subject, n % subject.subscriptions.length);
    })
  );

const take = withSubscription("take of", (model, { subscriptions }, i) => {
  assertSame(subscriptions[i]!.subscription.take(), model.take(model.subscriptions[i]!));
});

const takeAll = withSubscription("take all of", (model, { subscriptions }, i) => {
  for (;;) {
    const message = subscriptions[i]!.subscription.take();
    assertSame(message, model.take(model.subscriptions[i]!));
    if (message === undefined) return;
  }
});

const close = withSubscription("close", (model, { subscriptions }, i) => {
  subscriptions[i]!.subscription.close();
  model.close(model.subscriptions[i]!);
});

const remove = name.map((name) =>
  stepOf(`delete ${name}`, async (model, { bus }) => {
    assertEquals(await bus.delete(name), model.delete(name));
  })
);

// Steps longer than the schedule's tolerance of 20 ms, after which everything due has been done.
const tick = fc.constantFrom(100, 200, 500, 1000, 3000).map((ms) =>
  stepOf(`tick ${ms}`, (model, { clock }) => {
    clock.tick(ms);
    model.tick(ms);
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

Deno.test("MessageBus does what the model does, step by step", async () => {
  await fc.assert(
    fc.asyncProperty(
      limits,
      fc.commands([put, put, publish, get, get, subscribe, take, takeAll, close, remove, tick, flush], {
        maxCommands: 80,
        size: "max",
      }),
      (limits, steps) =>
        fc.asyncModelRun(() => {
          const model = new Model(limits, new TestClock().now());
          return { model, real: new Subject(limits, model.drops) };
        }, steps),
    ),
    { numRuns: 500 },
  );
});
