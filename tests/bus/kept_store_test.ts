import { testStore } from "../store_suite.ts";
import { KeptStore } from "./kept_store.ts";

testStore("KeptStore", () => new KeptStore(), (store) => new KeptStore((store as KeptStore).log));
