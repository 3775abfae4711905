/**
 * What the endpoint of backups answers, and when it lets go of a copy.
 *
 * @module
 */

import { BusError } from "../../lib/errors.ts";
import type { BackupCopy } from "../../lib/http/backup.ts";
import { ReaderStalled } from "../../lib/http/push_stream.ts";
import { assertEquals, assertRejects } from "../deps.ts";
import { direct } from "./direct.ts";
import { serve } from "./serving.ts";

const SHA256 = "2c".repeat(32);

/** A source of copies of so many bytes, each of them 7, and how many were made and removed. */
function copies(bytes: number) {
  const seen = { made: 0, removed: 0 };
  const removed = Promise.withResolvers<void>();
  const source = (): Promise<BackupCopy> => {
    seen.made++;
    let left = bytes;
    return Promise.resolve({
      bytes,
      sha256: SHA256,
      topics: 2,
      messages: 3,
      read(buffer) {
        const length = Math.min(left, buffer.length);
        left -= length;
        buffer.fill(7, 0, length);
        return Promise.resolve(length === 0 ? null : length);
      },
      close() {
        seen.removed++;
        removed.resolve();
      },
    });
  };
  return { seen, source, removed: removed.promise };
}

Deno.test("GET /-/backup says length, checksum and counts before the copy, which is removed at its end", async () => {
  const { seen, source } = copies(200_000);
  await using server = serve({}, { backup: source });
  const { status, headers, bytes } = await server.ask("GET /-/backup");
  assertEquals(status, 200);
  const names = ["content-length", "msgbus-sha256", "msgbus-topics", "msgbus-messages", "content-type"];
  assertEquals(names.map((name) => headers.get(name)), ["200000", SHA256, "2", "3", "application/vnd.sqlite3"]);
  assertEquals([bytes.length, bytes.every((byte) => byte === 7)], [200_000, true]);
  assertEquals(seen, { made: 1, removed: 1 });
});

Deno.test("HEAD /-/backup says what a copy would be, and makes none", async () => {
  const { seen, source } = copies(1);
  await using server = serve({}, { backup: source });
  const { status, headers } = await server.ask("HEAD /-/backup");
  const names = ["content-type", "content-disposition"];
  const values = ["application/vnd.sqlite3", 'attachment; filename="msgbus-backup.db"'];
  assertEquals([status, names.map((name) => headers.get(name))], [200, values]);
  assertEquals(seen.made, 0);
});

Deno.test("GET /-/backup of a bus that keeps nothing says what it needs", async () => {
  await using server = serve();
  const { status, error, body } = await server.ask("GET /-/backup");
  const needs = "Cannot back up: the server keeps everything in memory; it needs --data\n";
  assertEquals([status, error, body], [404, "no_endpoint", needs]);
});

Deno.test("GET /-/backup makes one copy at a time; when its client has gone there may be another", async () => {
  const { seen, source, removed } = copies(1_000_000);
  await using server = direct({}, { backup: source });
  const first = await server.get("/-/backup");
  const second = await server.get("/-/backup");
  assertEquals([second.status, second.headers.get("msgbus-error")], [503, "overloaded"]);
  assertEquals(second.headers.get("retry-after"), "1");
  await second.body?.cancel();
  await first.body!.cancel();
  await removed;
  assertEquals(seen, { made: 1, removed: 1 });
  const third = await server.get("/-/backup");
  assertEquals(third.status, 200);
  await third.body!.cancel();
});

Deno.test("GET /-/backup removes the copy of a client that reads nothing for the time of a stalled reader", async () => {
  const { seen, source, removed } = copies(1_000_000);
  await using server = direct({}, { backup: source, stallTimeoutMs: 5000 });
  const response = await server.get("/-/backup");
  server.clock.tick(4999);
  assertEquals(seen.removed, 0);
  const reader = response.body!.getReader();
  await reader.read();
  await reader.read(); // by now the time begins anew
  server.clock.tick(4999);
  assertEquals(seen.removed, 0);
  server.clock.tick(1);
  await removed;
  await assertRejects(() => reader.read(), ReaderStalled);
});

Deno.test("GET /-/backup says why a copy can't be made, and can be asked again", async () => {
  const { source } = copies(1);
  let full = true;
  const failing = () => full ? Promise.reject(new BusError("disk_full", "Cannot back up: no space is left")) : source();
  await using server = serve({}, { backup: failing });
  const { status, error } = await server.ask("GET /-/backup");
  assertEquals([status, error], [507, "disk_full"]);
  full = false;
  assertEquals((await server.ask("GET /-/backup")).status, 200);
});

Deno.test("GET /-/backup that fails tells a code that is documented, and not where the server keeps what", async () => {
  const failures: readonly [Error, readonly [number, string]][] = [
    [new BusError("disk_full", 'Cannot write a backup to "/srv/data/backup.tmp": full'), [507, "disk_full"]],
    [new BusError("store_unwritable", 'Cannot write a backup to "/srv/data/backup.tmp"'), [503, "store_failed"]],
    [new BusError("already_closed", "Cannot use the journal /srv/data"), [503, "already_closed"]],
    [new Deno.errors.NotFound("open '/srv/data/backup.tmp'"), [503, "store_failed"]],
  ];
  for (const [failure, answer] of failures) {
    await using server = serve({}, { backup: () => Promise.reject(failure) });
    const { status, error, body } = await server.ask("GET /-/backup");
    assertEquals([status, error, /srv/.test(body)], [...answer, false]);
  }
});

Deno.test("GET /-/backup is refused to the page of another site, and makes no copy", async () => {
  const { seen, source } = copies(1);
  await using server = serve({}, { backup: source });
  const { status } = await server.ask("GET /-/backup", { origin: "https://evil.example" });
  assertEquals([status, seen.made], [403, 0]);
});

Deno.test("GET /-/ready is ready until the bus can't keep anything, and says why it can't", async () => {
  let refusal: BusError | undefined;
  await using server = serve({}, { refusal: () => refusal });
  assertEquals((await server.ask("GET /-/ready")).body, "ready\n");
  refusal = new BusError("disk_full", "Cannot keep anything: no space is left");
  const { status, error, headers } = await server.ask("GET /-/ready");
  assertEquals([status, error, headers.get("retry-after")], [507, "disk_full", "1"]);
  assertEquals((await server.ask("GET /-/health")).body, "ok\n");
  refusal = undefined;
  assertEquals((await server.ask("GET /-/ready")).status, 200);
});
