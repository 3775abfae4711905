/**
 * What a program does with the library, in any runtime: it says what came on standard output, or in a page's title.
 *
 * @module
 */

// deno-lint-ignore-file no-console

import { MessageBus } from "../../lib/mod.ts";

const bus = new MessageBus();
const subscription = bus.subscribe("foo");
bus.put("foo", "Hello World!");
const pulled = bus.get("foo")!;
for await (const pushed of subscription) {
  const said = `${pulled.id} ${pulled.topic.name} ${pulled.text()}, pushed ${pushed.text()}`;
  const { document } = globalThis as { document?: { title: string } };
  if (document) document.title = said;
  else console.log(said);
  break;
}
