import { testStore } from "../store_suite.ts";
import { RemoteLog, RemoteStore } from "./remote_store.ts";

const logs = new WeakMap<object, RemoteLog>();

function nodeOf(log: RemoteLog): RemoteStore {
  const node = new RemoteStore(log, { prompt: true });
  logs.set(node, log);
  return node;
}

testStore("RemoteStore", () => nodeOf(new RemoteLog(0)), (store) => {
  store.close();
  return nodeOf(logs.get(store)!);
});
