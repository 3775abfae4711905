import { MessageBus } from "../../lib/bus/bus.ts";
import type { Limits } from "../../lib/bus/limits.ts";
import type { Store } from "../../lib/bus/store.ts";
import { BusError } from "../../lib/errors.ts";
import { MemoryStore } from "../../lib/store/memory.ts";
import { assertEquals, fc } from "../deps.ts";
import { LaterStore } from "./later_store.ts";
import { ReadableStore } from "./readable_store.ts";
import { TestClock } from "./test_clock.ts";
import { Reader, Witness } from "./view.ts";

const READERS = 3;

const topic = fc.constantFrom("a", "b", "b/x", "b/y");
const pattern = fc.constantFrom("a", "b", "b/x", "a,b", "*", "b/*", "**", "b/**,a");
const since = fc.constantFrom("latest", "latest", "earliest", "last:2", "3", "0@another", "0s");
const reader = fc.record({ pattern, since }).map(({ pattern, since }) => {
  // Several topics have no ids.
  return { pattern, since: /[,*]/.test(pattern) && /^[0-9]+(@|$)/.test(since) ? "earliest" : since };
});

const limits = fc.record({
  ttlMs: fc.constantFrom(0, 100, 300),
  maxMessages: fc.constantFrom(1, 2, 5, 100),
  maxMemoryBytes: fc.constantFrom(0, 1500, 8000, 1e6),
  topicIdleMs: fc.constantFrom(50, 1e9),
  discard: fc.constantFrom("old" as const, "old" as const, "new" as const),
});

const at = fc.nat(READERS - 1);
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("publish" as const),
      topic,
      count: fc.integer({ min: 1, max: 3 }),
      ttlMs: fc.constantFrom(undefined, undefined, 0, 4, 40, 200, 1000),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("tick" as const), ms: fc.constantFrom(1, 5, 40, 110, 400) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("flush" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("answer" as const), nth: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("pull" as const), topic }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("delete" as const), topic }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("connect" as const), at }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("leave" as const), at, got: fc.constantFrom(0, 1, 2, 5, 1e9, 1e9) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("read" as const),
      at,
      times: fc.integer({ min: 1, max: 4 }),
      maxMessages: fc.constantFrom(undefined, 1, 2),
      maxBytes: fc.constantFrom(undefined, 250, 600),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("take" as const), at, count: fc.integer({ min: 1, max: 4 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("iterate" as const), at, count: fc.integer({ min: 1, max: 4 }) }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** What a test can do with a bus, its readers and its store. */
class Scene {
  readonly #clock = new TestClock();
  readonly #witness = new Witness();
  readonly #bus: MessageBus;
  readonly #store: Store;
  readonly #readers: Reader[];

  constructor(
    options: { store: Store; limits: Partial<Limits>; readers: { pattern: string; since: string }[] },
  ) {
    this.#store = options.store;
    const { store } = options;
    this.#bus = new MessageBus({ ...options.limits, clock: this.#clock, observer: this.#witness, store });
    this.#readers = options.readers.map(({ pattern, since }) => {
      const inOrder = store.synchronous;
      return new Reader(this.#bus, this.#witness, pattern, since, { inOrder, isLoading: () => this.#isLoading });
    });
  }

  async run(step: Step): Promise<void> {
    await this.#do(step);
    await this.#settle();
  }

  /** Lets everything that is on its way arrive, and everybody read everything. */
  async finish(): Promise<void> {
    while (this.#answer(0)) await this.#settle();
    for (const reader of this.#readers) {
      await reader.finish(this.#clock.now(), async () => {
        this.#answer(0);
        await this.#settle();
      });
    }
    await this.#bus.close();
    this.#judgeStore();
  }

  async #do(step: Step): Promise<void> {
    if (step.do === "publish") {
      const { topic, count, ttlMs } = step;
      this.#hope(this.#bus.publish(topic, Array<string>(count).fill("hi"), { ttlMs }));
    } else if (step.do === "tick") this.#clock.tick(step.ms);
    else if (step.do === "flush") this.#clock.flush();
    else if (step.do === "answer") this.#answer(step.nth);
    else if (step.do === "pull") this.#hope(this.#bus.pull(step.topic));
    else if (step.do === "delete") {
      const deleted = this.#bus.delete(step.topic);
      this.#hope(deleted.then((deleted) => deleted && this.#witness.noteDeleted(step.topic)));
    } else await this.#doReader(this.#readers[step.at]!, step);
  }

  async #doReader(reader: Reader, step: Extract<Step, { at: number }>): Promise<void> {
    if (step.do === "connect") reader.connect(this.#clock.now());
    else if (step.do === "leave") reader.leave(step.got);
    else if (step.do === "take") reader.take(step.count);
    // It would wait for what nobody loads.
    else if (step.do === "iterate" && !this.#store.readsBack) await reader.iterate(step.count);
    else if (step.do === "iterate") reader.take(step.count);
    else for (let i = 0; i < step.times && reader.read(step); i++);
  }

  #answer(nth: number): boolean {
    return this.#store instanceof LaterStore && this.#store.answerOne(nth);
  }

  get #isLoading(): boolean {
    return this.#store instanceof ReadableStore && this.#store.isReading;
  }

  /** What a store that reads back keeps is what is retained. */
  #judgeStore(): void {
    if (!(this.#store instanceof ReadableStore)) return;
    for (const { epoch, messages, ended } of this.#witness.lives.values()) {
      const retained = ended === undefined ? messages.filter(({ lost }) => lost === undefined) : [];
      if (ended !== "forgotten") assertEquals(this.#store.messages.idsOf(epoch), retained.map(({ id }) => id));
    }
  }

  async #settle(): Promise<void> {
    for (let i = 0; i < 20; i++) await undefined;
    const gone = this.#witness.look(this.#bus);
    for (const reader of this.#readers) reader.lookAround(gone);
  }

  /** A publish may be refused. */
  #hope(promise: Promise<unknown>): void {
    promise.catch((error) => {
      if (!(error instanceof BusError)) throw error;
    });
  }
}

for (
  const [name, makeStore] of [
    ["at once", () => new MemoryStore()],
    ["later", () => new LaterStore()],
    ["later, and reads back", () => new ReadableStore()],
    ["by itself, and reads back later", () => new ReadableStore({ prompt: true })],
  ] as const
) {
  Deno.test(`Subscription gives exactly the log from its cursor, and tells every hole, with a store that answers ${name}`, async () => {
    await fc.assert(
      fc.asyncProperty(
        limits,
        fc.array(reader, { minLength: READERS, maxLength: READERS }),
        fc.array(step, { maxLength: 80, size: "max" }),
        async (limits, readers, steps) => {
          const scene = new Scene({ store: makeStore(), limits, readers });
          for (const step of steps) await scene.run(step);
          await scene.finish();
        },
      ),
      { numRuns: 1000 },
    );
  });
}
