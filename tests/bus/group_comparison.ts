/**
 * Compares what there is to see of a bus with its groups, and of the model.
 *
 * @module
 */

import type { Message } from "../../lib/message.ts";
import { assertEquals } from "../deps.ts";
import type { GroupModel, ModelAnswer } from "./group_model.ts";
import { type ModelTopic, retained } from "./group_of_model.ts";
import type { Answer, Subject } from "./group_subject.ts";

/** Compares everything there is to see. */
export async function compare(model: GroupModel, subject: Subject): Promise<void> {
  compareWaits(model, subject);
  assertEquals(model.overdue(), [], "not published in time");
  const { bus } = subject;
  // This settles what is due.
  const all = bus.groups();
  const { pulled, redelivered, leased, acked, nacked, dead, redriven } = bus.totals();
  assertEquals({ pulled, redelivered, leased, acked, nacked, dead, redriven }, model.totals());
  const shown = model.topics.flatMap(({ groups }) => groups).filter(({ name, hasLeased }) => name !== "" || hasLeased);
  assertEquals(
    all.map(({ topic, group }) => `${topic} ${group}`).sort(),
    shown.map(({ topic, name }) => `${topic.name} ${name}`).sort(),
  );
  assertEquals(bus.names(), model.topics.map(({ name }) => name).sort());
  const groups = await subject.look();
  for (const topic of model.topics) {
    const stats = groups.filter((group) => group.topic === topic.name);
    for (const group of model.isUseOpen ? topic.groups : []) {
      if (stats.find(({ group: name }) => name === group.name)!.idleMs === 0) group.usedMs = model.nowMs;
    }
    const expected = topic.groups.map((group) => model.statsOf(group)).sort(byGroup);
    assertEquals(stats.map(({ warning: _, ...stats }) => stats).sort(byGroup), expected);
    assertEquals(
      await subject.contentsOf(topic.name),
      retained(topic).map(({ id }) => id),
      `what ${topic.name} retains`,
    );
    assertEquals(bus.topic(topic.name)!.length, retained(topic).length);
    compareScheduled(topic, model, subject);
  }
  assertEquals(subject.news(), []);
}

function compareWaits(model: GroupModel, { waits }: Subject): void {
  waits.forEach((wait, i) => {
    if (wait.isCompared) return;
    const expected = model.waits[i]!.answer;
    assertEquals(wait.answer !== undefined, expected !== undefined, `whether waiting pull ${i} was answered`);
    if (wait.answer === undefined || expected === undefined) return;
    compareAnswers(wait.answer, expected);
    wait.isCompared = true;
  });
}

function compareScheduled({ name }: ModelTopic, model: GroupModel, { bus }: Subject): void {
  const expected = model.scheduled(name);
  // Asking for them publishes what is due.
  if (expected.length > 0 && expected[0]!.dueMs <= model.nowMs) return;
  assertEquals(
    bus.scheduled(name).map(({ token, dueMs, ttlMs, payload, attributes }) => {
      return { token, dueMs, ttlMs, payload: new TextDecoder().decode(payload), key: attributes?.key };
    }),
    expected.map(({ token, dueMs, ttlMs, payload, key }) => ({ token: token!, dueMs, ttlMs, payload, key })),
  );
}

/** Compares what was handed out, and tells the model how the bus has named the leases. */
export function compareAnswers(answer: Answer, expected: ModelAnswer): void {
  if (typeof answer === "string" || typeof expected === "string") {
    return assertEquals<unknown>(answer, expected);
  }
  assertEquals(
    {
      messages: answer.messages.map((message) => ({ ...attributesOf(message), payload: message.text() })),
      gap: answer.gap,
    },
    {
      messages: expected.handouts.map(({ message, attempt, item }) => {
        return { ...attributesOf(message), attempt, isLeased: item !== undefined, payload: message.payload };
      }),
      gap: answer.gap === "not told" ? answer.gap : expected.gap,
    },
  );
  expected.handouts.forEach(({ item }, i) => {
    if (item !== undefined) item.token = answer.messages[i]!.lease;
  });
}

type Attributed =
  & Pick<Message, "id" | "createdMs" | "expiresMs">
  & Partial<Pick<Message, "key" | "contentType" | "headers" | "attempt" | "lease">>;

function attributesOf(message: Attributed) {
  // Some are getters.
  const { id, key, contentType, headers = {}, createdMs, expiresMs, attempt, lease } = message;
  return {
    id,
    key,
    contentType,
    headers: { ...headers },
    createdMs,
    expiresMs,
    attempt,
    isLeased: lease !== undefined,
  };
}

function byGroup(a: { readonly group: string }, b: { readonly group: string }): number {
  return a.group < b.group ? -1 : 1;
}
