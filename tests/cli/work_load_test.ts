import type { GroupStats } from "../../lib/bus/answers.ts";
import { assert, assertEquals } from "../deps.ts";
import { msgbus, type Program, type Server, start, startServer } from "../processes.ts";

const JOBS = 10_000;
const WORKERS = 4;
const PARALLEL = 4;
/** Done by all of them when one is killed. */
const BEFORE_KILL = JOBS / 3;

/** Who did a job, and at which attempt. */
interface Doing {
  readonly worker: number;
  readonly attempt: number;
}

/** The group as the server tells of it. */
async function groupOf(server: Server): Promise<GroupStats> {
  const groups = await (await fetch(`${server.uri}/-/groups?topic=jobs`)).json();
  return groups.find(({ group }: GroupStats) => group === "g");
}

Deno.test("10 000 jobs are each done at least once by 4 msgbus work, of which one is killed in the middle", async () => {
  await using server = await startServer(["--ttl", "0"]);
  const env = { MSGBUS_URI: server.uri };
  const input = Array.from({ length: JOBS }, (_, job) => `${job}\n`).join("");
  assertEquals((await msgbus(["pub", "--lines", "jobs"], { env, input })).code, 0);

  // Nothing but the shell itself: that is what most of the time goes into.
  const command = ["sh", "-c", 'echo "$MSGBUS_ID $MSGBUS_ATTEMPT"'];
  const flags = ["jobs", "--group", "g", "--parallel", `${PARALLEL}`, "--lease", "10s"];
  const workers = Array.from({ length: WORKERS }, () => start("msgbus", ["work", ...flags, "--", ...command], { env }));
  await using _all = new AsyncDisposableStack();
  for (const worker of workers) _all.use(worker);

  const done = new Map<number, Doing[]>();
  const [killed, ...others] = workers as [Program, ...Program[]];
  let isKilled = false;
  const allDone = Promise.withResolvers<void>();
  const read = workers.map(async ({ stdout }, worker) => {
    for (let line = await stdout.next(); line !== undefined; line = await stdout.next()) {
      const [id, attempt] = line.split(" ").map(Number);
      const doings = done.get(id!) ?? [];
      done.set(id!, [...doings, { worker, attempt: attempt! }]);
      if (done.size >= BEFORE_KILL && !isKilled) killed.kill("SIGKILL");
      isKilled ||= done.size >= BEFORE_KILL;
      if (done.size === JOBS) allDone.resolve();
    }
  });
  // Or they end before, which they must not.
  await Promise.race([allDone.promise, Promise.all(read)]);
  // What the killed one has done and not acknowledged comes again, when its leases are over.
  while ((await groupOf(server)).acked < JOBS) await (await fetch(`${server.uri}/nothing?wait=200ms`)).body?.cancel();
  for (const worker of others) worker.kill("SIGTERM");
  assertEquals(await Promise.all(others.map(({ code }) => code)), [0, 0, 0]);
  await Promise.all(read);

  assertEquals(done.size, JOBS);
  const twice = [...done].filter(([, doings]) => doings.length > 1);
  // deno-lint-ignore no-console -- which ones is to be seen, and differs from run to run
  console.log(
    `done twice: ${twice.map(([id, doings]) => `${id} by ${doings.map(({ worker }) => worker)}`).join(", ")}`,
  );
  // Those that the killed one had in its hands, and no others: it ran so many, and as many acks may have been on their way.
  for (const [id, doings] of twice) {
    assertEquals(doings.map(({ worker }) => worker === 0), [true, false], `${id} by ${JSON.stringify(doings)}`);
    assertEquals(doings.map(({ attempt }) => attempt), [1, 2]);
  }
  assert(twice.length <= 2 * PARALLEL + 16, `${twice.length} done twice`);
  const { acked, lag, leased, dead, lost } = await groupOf(server);
  assertEquals([acked, lag, leased, dead, lost], [JOBS, 0, 0, 0, 0]);
});
