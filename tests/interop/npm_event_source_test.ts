import { NpmEventSource } from "../deps_eventsource.ts";
import { listening, testEventSource } from "./event_source_suite.ts";

testEventSource({
  name: "EventSource of npm",
  listen: (url) => listening(new NpmEventSource(url)),
});

