import { type BusOptions, MessageBus } from "../../lib/bus/bus.ts";
import { combineObservers, type Observer } from "../../lib/bus/observer.ts";
import { assertEquals, assertStrictEquals } from "../deps.ts";
import { codeOf } from "./error_code.ts";
import { TestClock } from "./test_clock.ts";

/** A bus and everything its observer is told, as lines. */
function setUp(options: BusOptions = {}) {
  const clock = new TestClock();
  const told: string[] = [];
  const observer: Observer = {
    published: (message, subscribers) => told.push(`published ${message.topic.name} ${message.id} to ${subscribers}`),
    pulled: (topic, message) => told.push(`pulled ${topic} ${message?.id}`),
    subscribed: (subscription) => told.push(`subscribed ${subscription.label} to ${subscription.topic}`),
    unsubscribed: ({ label, topic }, reason) => told.push(`unsubscribed ${label} from ${topic}: ${reason}`),
    dropped: ({ name }, id, reason) => told.push(`dropped ${name} ${id} ${reason}`),
  };
  return { bus: new MessageBus({ clock, observer, ...options }), clock, told };
}

Deno.test("Observer.published is told of every message, with the number of subscriptions", async () => {
  const { bus, told } = setUp();
  bus.put("foo", "a");
  bus.subscribe("foo", { label: "x" });
  await bus.publish("/foo", ["b", "c"]);
  assertEquals(told, ["published foo 0 to 0", "subscribed x to foo", "published foo 1 to 1", "published foo 2 to 1"]);
});

Deno.test("Observer.published is told nothing of a refused publish", () => {
  const { bus, told } = setUp({ maxPayloadBytes: 1 });
  codeOf(() => bus.put("foo", "long"));
  assertEquals(told, []);
});

Deno.test("Observer.pulled is told of every pull by the topic's canonical name, of those that got nothing too", async () => {
  const { bus, told } = setUp();
  bus.get("/foo/");
  bus.put("foo", "a");
  await bus.pull("/foo");
  bus.get("foo");
  assertEquals(told, ["pulled foo undefined", "published foo 0 to 0", "pulled foo 0", "pulled foo undefined"]);
});

Deno.test("Observer.subscribed and unsubscribed are told once of each subscription, however it ends", async () => {
  const { bus, told } = setUp();
  const closed = bus.subscribe("foo", { label: "a" });
  bus.subscribe("foo", { label: "b" });
  closed.close();
  closed.close();
  bus.put("foo", "hi");
  await bus.delete("foo");
  bus.subscribe("bar", { label: "c" });
  bus.drain();
  assertEquals(told, [
    "subscribed a to foo",
    "subscribed b to foo",
    "unsubscribed a from foo: closed",
    "published foo 0 to 1",
    "unsubscribed b from foo: deleted",
    "subscribed c to bar",
    "unsubscribed c from bar: drained",
  ]);
});

Deno.test("Observer.dropped is told of a message whose time passed, with the reason expired", () => {
  const { bus, clock, told } = setUp({ ttlMs: 1000 });
  bus.put("foo", "a");
  clock.tick(1000);
  assertEquals(told, ["published foo 0 to 0", "dropped foo 0 expired"]);
});

Deno.test("Observer.dropped is told of a message over a limit, with the reason limit, before the new one is published", () => {
  const { bus, told } = setUp({ maxMessages: 1 });
  bus.put("foo", "a");
  bus.put("foo", "b");
  assertEquals(told, ["published foo 0 to 0", "dropped foo 0 limit", "published foo 1 to 0"]);
});

Deno.test("Observer.dropped is told nothing of the messages of a deleted topic", async () => {
  const { bus, told } = setUp();
  bus.put("foo", "a");
  await bus.delete("foo");
  assertEquals(told, ["published foo 0 to 0"]);
});

Deno.test("Observer may watch only some of it", () => {
  const bus = new MessageBus({ clock: new TestClock(), observer: { published: () => {} } });
  bus.subscribe("foo").close();
  bus.put("foo", "a");
  assertEquals(bus.get("foo")?.id, 0);
});

Deno.test("combineObservers gives back a single observer as it is", () => {
  const observer: Observer = { published: () => {} };
  assertStrictEquals(combineObservers(observer), observer);
});

Deno.test("combineObservers tells every observer everything it watches, in order", () => {
  const told: string[] = [];
  const watch = (name: string) => (...args: unknown[]) => void told.push(`${name} ${JSON.stringify(args)}`);
  const all: Required<Observer> = {
    published: watch("published"),
    postponed: watch("postponed"),
    pulled: watch("pulled"),
    subscribed: watch("subscribed"),
    unsubscribed: watch("unsubscribed"),
    delivered: watch("delivered"),
    gap: watch("gap"),
    clockSet: watch("clockSet"),
    dropped: watch("dropped"),
  };
  const combined = combineObservers({ pulled: watch("first") }, {}, all) as Required<Observer>;
  for (const name of Object.keys(all) as (keyof Observer)[]) {
    (combined[name] as (...args: unknown[]) => void)(name, 2, 3);
  }
  assertEquals(told, [
    'published ["published",2]',
    'postponed ["postponed",2]',
    'first ["pulled",2]',
    'pulled ["pulled",2]',
    'subscribed ["subscribed"]',
    'unsubscribed ["unsubscribed",2]',
    'delivered ["delivered",2]',
    'gap ["gap"]',
    'clockSet ["clockSet"]',
    'dropped ["dropped",2,3]',
  ]);
});

Deno.test("combineObservers: observers keep their own state", () => {
  class Counter implements Observer {
    count = 0;
    published(): void {
      this.count++;
    }
  }
  const [a, b] = [new Counter(), new Counter()];
  const bus = new MessageBus({ clock: new TestClock(), observer: combineObservers(a, b) });
  bus.put("foo", "a");
  assertEquals([a.count, b.count], [1, 1]);
});
