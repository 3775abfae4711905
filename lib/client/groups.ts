/**
 * Groups and their leases: what is asked, and what the answers hold.
 *
 * @module
 */

import type { GroupStats, Redriven, RedriveOptions, Settlement } from "../bus/answers.ts";
import { inMs, pathOf, withQuery } from "./address.ts";
import { canonicalTopicName } from "../topic_name.ts";
import type { RequestOptions, Requests } from "./requests.ts";

/** How to hand messages back; everything has a default. */
export interface ClientNackOptions extends RequestOptions {
  /** How long the messages are not handed out again, in milliseconds, up to 12 h. Default: at once. */
  readonly delayMs?: number;
  /** Why, for whoever looks at the dead letter; at most 1024 bytes. */
  readonly reason?: string;
  /** Whether the attempt counts. Default: it does. */
  readonly count?: boolean;
}

/** How to ask for more time; everything has a default. */
export interface ClientExtendOptions extends RequestOptions {
  /** How long from now, in milliseconds, from 1 s to 12 h. Default: as long as the lease was. */
  readonly leaseMs?: number;
}

/** Which dead letters to put back; everything has a default. */
export interface ClientRedriveOptions extends RequestOptions, RedriveOptions {}

/** How many tokens a request has at most; with more, there are several. */
export const MAX_TOKENS = 1000;

/** The path that acknowledges. */
export const ACK_PATH = "/-/ack";

/** The path that hands back. */
export function nackPath({ delayMs, reason, count }: Omit<ClientNackOptions, "signal">): string {
  return withQuery("/-/nack", { delay: inMs(delayMs), reason, count: count === false ? "false" : undefined });
}

/** The path that extends leases. */
export function extendPath(leaseMs: number | undefined): string {
  return withQuery("/-/extend", { lease: inMs(leaseMs) });
}

/** Settles leases in one request, or in as many as it takes. */
export async function settle(
  requests: Requests,
  path: string,
  tokens: string | readonly string[],
  options: RequestOptions,
): Promise<Settlement> {
  const all = typeof tokens === "string" ? [tokens] : tokens;
  const settled: { done: string[]; unknown: string[] } = { done: [], unknown: [] };
  for (let at = 0; at < all.length; at += MAX_TOKENS) {
    const body = JSON.stringify(all.slice(at, at + MAX_TOKENS));
    const response = await requests.demand("POST", path, { body, signal: options.signal });
    const answer = await requests.json(response, options);
    if (!isSettlement(answer)) throw requests.unexpected(response, "no settlement");
    settled.done.push(...answer.done);
    settled.unknown.push(...answer.unknown);
  }
  return settled;
}

/** See {@linkcode Client.groups}. */
export async function groups(
  requests: Requests,
  topic: string | undefined,
  options: RequestOptions,
): Promise<GroupStats[]> {
  const response = await requests.ask("GET", groupsPath({ topic }), options);
  if (response === undefined) return [];
  const list = await requests.json(response, options);
  if (!Array.isArray(list) || !list.every(isWireGroup)) throw requests.unexpected(response, "no groups");
  return list.map(groupOf);
}

/** See {@linkcode Client.deleteGroup}. */
export async function deleteGroup(
  requests: Requests,
  topic: string,
  group: string,
  options: RequestOptions,
): Promise<boolean> {
  const response = await requests.ask("DELETE", groupsPath({ topic, group }), options);
  await response?.body?.cancel();
  return response !== undefined;
}

/** See {@linkcode Client.redrive}. */
export async function redrive(
  requests: Requests,
  topic: string,
  options: ClientRedriveOptions,
): Promise<Redriven | undefined> {
  const { group, signal } = options;
  pathOf(topic);
  const path = withQuery("/-/redrive", { topic: canonicalTopicName(topic), group });
  const response = await requests.ask("POST", path, { signal });
  if (response === undefined) return undefined;
  const { redriven, remaining } = Object(await requests.json(response, options)) as Partial<Redriven>;
  if (redriven === undefined || remaining === undefined) throw requests.unexpected(response, "no count");
  return { redriven, remaining };
}

function groupsPath({ topic, group }: { readonly topic: string | undefined; readonly group?: string }): string {
  if (topic !== undefined) pathOf(topic);
  return withQuery("/-/groups", { topic: topic === undefined ? undefined : canonicalTopicName(topic), group });
}

function isSettlement(value: unknown): value is Settlement {
  const { done, unknown } = Object(value) as Record<string, unknown>;
  return Array.isArray(done) && Array.isArray(unknown);
}

interface WireGroup extends Omit<GroupStats, "oldestUnackedMs" | "warning"> {
  readonly oldestUnackedMs: number | null;
  readonly warning?: string;
}

function groupOf({ oldestUnackedMs, warning, ...group }: WireGroup): GroupStats {
  const { topic, cursor, lag, leased, waiting, blocked, attempts, acked, dead, lost, waiters, idleMs } = group;
  return {
    topic,
    group: group.group,
    cursor,
    lag,
    leased,
    waiting,
    blocked,
    attempts,
    oldestUnackedMs: oldestUnackedMs ?? undefined,
    acked,
    dead,
    lost,
    waiters,
    idleMs,
    warning,
  };
}

function isWireGroup(value: unknown): value is WireGroup {
  const { topic, group, cursor, lag } = Object(value) as Record<string, unknown>;
  return typeof topic === "string" && typeof group === "string" && typeof cursor === "string" && Number.isInteger(lag);
}
