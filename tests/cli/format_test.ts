import { formatMessage } from "../../lib/cli/format.ts";
import { Message } from "../../lib/message.ts";
import { assertEquals } from "../deps.ts";

Deno.test("formatMessage shows in the format log when the message was published, however late it comes", () => {
  const topic = { name: "foo", ttlMs: 0, createdMs: 0, epoch: "0" };
  const createdMs = new Date(2017, 7, 7, 1, 11, 22).getTime(); // local time
  const message = new Message(topic, { id: 0, payload: new TextEncoder().encode("hi"), createdMs });
  assertEquals(
    new TextDecoder().decode(formatMessage(message, "log")),
    "2017/08/07 01:11:22 [msgbus] received message: id=0 topic=foo payload=hi\n",
  );
});
