import { SqliteStore } from "../../lib/store/sqlite.ts";
import { testStore } from "../store_suite.ts";

const directories: string[] = [];

testStore("SqliteStore", () => {
  const directory = Deno.makeTempDirSync({ prefix: "msgbus-journal-" });
  directories.push(directory);
  return SqliteStore.create({ directory });
});

Deno.test.afterAll(() => {
  for (const directory of directories) Deno.removeSync(directory, { recursive: true });
});
