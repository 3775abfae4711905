/**
 * msgbus: a real-time message bus. {@linkcode MessageBus} is the bus itself, for one process, in any JavaScript runtime;
 * {@linkcode createHandler} serves one over HTTP on Deno; {@linkcode Client} talks to one that is served.
 *
 * @example The bus in one process
 * ```ts
 * import { MessageBus } from "@msgbus/msgbus";
 *
 * const bus = new MessageBus();
 * bus.put("foo", "Hello World!");
 * const message = bus.get("foo");
 * if (message) console.log(`id=${message.id} topic=${message.topic.name} payload=${message.text()}`);
 * ```
 *
 * @module
 */

export type {
  Batch,
  BrowseOptions,
  BusRequestOptions,
  BusTotals,
  GroupName,
  GroupStats,
  LeaseHolder,
  NackOptions,
  Page,
  PublishOptions,
  PullBatchOptions,
  PullOptions,
  Receipt,
  Redriven,
  RedriveOptions,
  Reply,
  ReplyOptions,
  RequestOutcome,
  ScheduledMessage,
  ScheduleOptions,
  ScheduleReceipt,
  Settlement,
  SettleOptions,
  TakeOptions,
  TopicStats,
} from "./bus/answers.ts";
export { type BusOptions, MessageBus } from "./bus/bus.ts";
export { type Clock, systemClock } from "./bus/clock.ts";
export { DEFAULT_LIMITS, type Discard, type Limits, MESSAGE_OVERHEAD_BYTES } from "./bus/limits.ts";
export type { Delivery, ReadLimits } from "./bus/feed.ts";
export { combineObservers, type DropReason, type Observer } from "./bus/observer.ts";
export type { Run } from "./bus/run.ts";
export type {
  Append,
  DelayedMessage,
  Dropped,
  Durability,
  GroupChange,
  GroupCounts,
  Idempotency,
  Store,
  Stored,
  StoredAnswer,
  StoredGroup,
  StoredIndex,
  StoredTopic,
  StoreListener,
  UnackedMessage,
} from "./bus/store.ts";
export { TopicSuperseded } from "./bus/store.ts";
export type { EndReason, SubscribeOptions, Subscription } from "./bus/subscription.ts";
export { Client, type ClientOptions } from "./client/client.ts";
export type { ClientClock } from "./client/backoff.ts";
export type { ClientExtendOptions, ClientNackOptions, ClientRedriveOptions } from "./client/groups.ts";
export type {
  ClientMessageOptions,
  ClientPublishOptions,
  ClientReplyOptions,
  ClientRequestOptions,
  ClientScheduledMessage,
  ClientScheduleOptions,
  ClientScheduleReceipt,
  PublishReceipt,
} from "./client/publishing.ts";
export type { ClientBrowseOptions, ClientPullBatchOptions, ClientPullOptions } from "./client/reading.ts";
export type { Fetch, RequestOptions } from "./client/requests.ts";
export type { ClientSubscribeOptions, ClientSubscription, ReconnectNotice } from "./client/subscription.ts";
export {
  type ClientWorker,
  LeaseLost,
  Retry,
  type RetryOptions,
  type WorkContext,
  type WorkHandler,
  type WorkOptions,
} from "./client/work.ts";
export type { ControlEvent, Gap, GapReason } from "./event.ts";
export { BusError, ERROR_CODES, type ErrorCode } from "./errors.ts";
export type { ExposureOptions } from "./http/exposure.ts";
export type { BackupCopy, BackupSource } from "./http/backup.ts";
export { type Answer, createHandler, type Handler, type HandlerOptions } from "./http/handler.ts";
export type { Route } from "./http/head.ts";
export { ReaderStalled } from "./http/push_stream.ts";
export { encodeMetrics, type MetricsSource } from "./metrics/families.ts";
export { Metrics } from "./metrics/metrics.ts";
export type { Labels, Sample } from "./metrics/exposition.ts";
export type { ProcessState } from "./metrics/process.ts";
export { type Attributes, type Handout, Message, type MessageInit, type Position, type TopicInfo } from "./message.ts";
export type { Since } from "./wire/since.ts";
