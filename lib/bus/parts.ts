/**
 * What a bus is made of, and who knows whom.
 *
 * @module
 */

import { Browsing } from "./browsing.ts";
import type { Clock } from "./clock.ts";
import { DeadLetters } from "./dead_letters.ts";
import { Dedupe } from "./dedupe.ts";
import { Delayed } from "./delayed.ts";
import { Fanout } from "./fanout.ts";
import type { Group } from "./group.ts";
import { GroupKeeper } from "./group_keeper.ts";
import { Groups } from "./groups.ts";
import { Intake } from "./intake.ts";
import { Leases } from "./leases.ts";
import type { Limits } from "./limits.ts";
import type { Observer } from "./observer.ts";
import type { Others } from "./others.ts";
import { Pager } from "./pager.ts";
import { Queues } from "./queues.ts";
import { Requests } from "./requests.ts";
import { Retention } from "./retention.ts";
import { Schedule } from "./schedule.ts";
import { Redrives } from "./redrives.ts";
import { newestMsOf, restore } from "./restore.ts";
import type { Store, Stored } from "./store.ts";
import { Subscriptions } from "./subscriptions.ts";
import type { Topic } from "./topic.ts";
import { Timeline } from "./timeline.ts";
import { TopicTable } from "./topic_table.ts";
import { UntoldDrops } from "./untold_drops.ts";

/** What a bus is given. */
export interface BusSetup {
  readonly limits: Limits;
  readonly store: Store;
  readonly observer: Observer;
  readonly clock: Clock;
}

/** The parts of a bus, each with one thing to do. */
export interface BusParts extends BusSetup {
  readonly schedule: Schedule;
  readonly retention: Retention;
  readonly untold: UntoldDrops;
  readonly fanout: Fanout;
  readonly topics: TopicTable;
  readonly intake: Intake;
  readonly dedupe: Dedupe;
  readonly delayed: Delayed;
  readonly requests: Requests;
  readonly groups: Groups;
  readonly keeper: GroupKeeper;
  readonly queues: Queues;
  readonly browsing: Browsing;
  readonly leases: Leases;
  readonly deadLetters: DeadLetters;
  readonly redrives: Redrives;
  readonly subscriptions: Subscriptions;
}

/** What a bus begins with. */
export interface BusBeginning {
  /** What the store has kept. */
  readonly stored: Stored;
  /** Who the store tells of what others do. */
  readonly others: Others;
}

/** Makes the parts of a bus. Those that need each other are told by functions, which nothing calls before all are there. */
export function assemble(setup: BusSetup, { stored, others }: BusBeginning): BusParts {
  const { limits, store, observer, clock } = setup;
  const startedMs = Math.min(stored.startedMs, clock.now());
  const goneFromMs = Math.min(stored.goneFromMs, clock.now());
  const timeline = new Timeline(clock, (ms) => observer.clockSet?.(ms));
  timeline.advance(newestMsOf(stored));
  const schedule = new Schedule(clock);
  const settle = (group: Group, nowMs: number) => keeper.settle(group, nowMs);
  const note = (group: Group) => keeper.note(group);
  const refusal = () => store.refusal;
  const leases = new Leases({ clock, refusal, settle, note });
  const onEmptied = (topic: Topic, nowMs: number) => topics.comeBack(topic, nowMs);
  const untold = new UntoldDrops({ clock, schedule, store });
  const pager = new Pager({
    clock,
    store,
    maxBytes: limits.maxMemoryBytes,
    onDamaged: (topic, id) => retention.damage(topic, id, clock.now()),
  });
  const retention: Retention = new Retention({ limits, observer, pager, untold, timeline, onEmptied });
  const fanout = new Fanout(clock, ({ info: { name } }) => {
    // These first: they take nothing.
    browsing.serve(name);
    queues.serve(name);
  });
  const groups: Groups = new Groups({
    limits,
    clock,
    schedule,
    timeline,
    host: {
      maxLeased: limits.maxLeased,
      issue: (item) => leases.issue(item),
      revoke: (token) => leases.revoke(token),
      bury: (item) => deadLetters.bury(item),
      wake: (group) => queues.wake(group),
      watch: (group) => groups.watch(group),
      skewMs: () => clock.skewMs,
    },
    waitersOf: (topic, group) => queues.waitersOf(topic, group),
    settle,
    forget: ({ topic, name }) => store.forget(topic.info, name),
    onMoved: (topic) => retention.noteMoved(topic),
  });
  const topics: TopicTable = new TopicTable({
    limits,
    clock,
    schedule,
    retention,
    fanout,
    groups,
    store,
    timeline,
    pages: pager.pages,
    hasDelayed: (topic) => delayed.has(topic),
    hasKeys: (topic) => dedupe.has(topic),
    onForgotten: (topic) => {
      delayed.forget(topic);
      dedupe.forget(topic);
    },
    onDeleted: (topic) => subscriptions.forget(topic),
    goneBefore: { startedMs, gone: stored.gone, goneFromMs },
    lastCreatedMs: stored.lastCreatedMs,
  });
  const queues: Queues = new Queues({
    clock,
    observer,
    topics,
    groups,
    retention,
    pager,
    refusal,
    settle,
    note,
    putBack: (group, messages) => keeper.putBack(group, messages),
  });
  const browsing = new Browsing({ clock, observer, topics, retention, pager });
  const isAwaited = (name: string) => queues.isAwaited(name) || browsing.isAwaited(name);
  const dedupe = new Dedupe({ clock, schedule, windowMs: limits.dedupeWindowMs });
  const delayed = new Delayed({
    clock,
    schedule,
    store,
    observer,
    topics,
    retention,
    dedupe,
    append: (topic, message, onRefused) => intake.appendDelayed(topic, message, onRefused),
  });
  const intake: Intake = new Intake({
    clock,
    schedule,
    store,
    observer,
    topics,
    retention,
    fanout,
    dedupe,
    isAwaited,
    timeline,
    onForeign: (topic, append) => others.follow(topic, append),
    publishDue: (topic) => delayed.publishDue(topic),
  });
  const requests = new Requests({ clock, intake, maxPayloadBytes: limits.maxPayloadBytes });
  const tell = (group: Group): void | Promise<void> => keeper.tell(group);
  const deadLetters = new DeadLetters({ clock, intake, tell, pager });
  const redrives = new Redrives({ clock, intake, topics, retention, pager });
  const keeper = new GroupKeeper({ clock, store, retention, topics, groups, queues, deadLetters });
  const settledMs = () => intake.settledMs();
  const subscriptions = new Subscriptions({ clock, schedule, observer, topics, retention, pager, fanout, settledMs });
  const parts: BusParts = {
    ...setup,
    schedule,
    retention,
    untold,
    fanout,
    topics,
    intake,
    dedupe,
    delayed,
    requests,
    groups,
    keeper,
    queues,
    browsing,
    leases,
    deadLetters,
    redrives,
    subscriptions,
  };
  restore(parts, stored);
  others.begin({ ...parts, durability: store.durability });
  return parts;
}
