import { TURN_BYTES, TurnBudget } from "../../lib/http/turn_budget.ts";
import { TestClock } from "../bus/test_clock.ts";
import { assertEquals } from "../deps.ts";

Deno.test("TurnBudget is spent until the turn ends", () => {
  const clock = new TestClock();
  const budget = new TurnBudget(clock);
  budget.spend(TURN_BYTES - 1);
  assertEquals(budget.isSpent, false);
  budget.spend(1);
  assertEquals(budget.isSpent, true);
  clock.flush();
  assertEquals([budget.isSpent, clock.deferred], [false, 0]);
});

Deno.test("TurnBudget calls those who wait in their order, no more in a turn than it allows", () => {
  const clock = new TestClock();
  const budget = new TurnBudget(clock);
  const calls: string[] = [];
  const reader = (name: string) => () => {
    calls.push(name);
    budget.spend(TURN_BYTES / 2);
    if (calls.length < 6) budget.wait(reader(name));
  };
  for (const name of ["a", "b", "c"]) budget.wait(reader(name));
  const turns: string[] = [];
  while (clock.deferred > 0) {
    clock.flush();
    turns.push(calls.slice(turns.join("").length).join(""));
  }
  assertEquals(turns.filter((turn) => turn !== ""), ["ab", "ca", "bc", "ab"]);
});
