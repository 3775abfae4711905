import { assertEquals, assertThrows } from "../deps.ts";
import { eventsOf } from "./trace.ts";

function hex(text: string): string {
  return [...new TextEncoder().encode(text)].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("");
}

const FD = `9<${hex("/d/a")}>`;

/** The events of a trace, written bytes as text. */
function read(...lines: string[]) {
  return eventsOf(new TextEncoder().encode(lines.join("\n") + "\n"), "/d")
    .map((event) => event.do === "write" ? { ...event, data: new TextDecoder().decode(event.data) } : event);
}

Deno.test("eventsOf reads what was done to the files of the directory and to no others", () => {
  assertEquals(
    read(
      `1 openat(AT_FDCWD<${hex("/")}>, "${hex("/d/a")}", O_RDWR|O_CREAT|O_TRUNC, 0600) = ${FD}`,
      `1 pwrite64(${FD}, "${hex("foo")}", 3, 8) = 3`,
      `1 pwrite64(8<${hex("/dd/a")}>, "${hex("foo")}", 3, 8) = 3`,
      `1 pwrite64(8<${hex("/d/a-shm")}>, "${hex("foo")}", 3, 8) = 3`,
      `1 ftruncate(${FD}, 5)           = 0`,
      `1 fdatasync(${FD}) = 0`,
      `1 fsync(7<${hex("/d")}>) = 0`,
      `1 rename("${hex("/d/a")}", "${hex("/d/b")}") = 0`,
      `1 unlink("${hex("/d/b")}") = 0`,
      `1 +++ exited with 0 +++`,
    ),
    [
      { do: "create", path: "a" },
      { do: "truncate", path: "a", size: 0 },
      { do: "write", path: "a", offset: 8, data: "foo" },
      { do: "truncate", path: "a", size: 5 },
      { do: "sync", path: "a", upTo: 4 },
      { do: "sync", path: "", upTo: 5 },
      { do: "rename", path: "a", to: "b" },
      { do: "unlink", path: "b" },
    ],
  );
});

Deno.test("eventsOf knows where a write without an offset goes", () => {
  assertEquals(
    read(
      `1 openat(AT_FDCWD<${hex("/")}>, "${hex("/d/a")}", O_RDWR) = ${FD}`,
      `1 write(${FD}, "${hex("foo")}", 3) = 3`,
      `1 write(${FD}, "${hex("bar")}", 3) = 3`,
      `1 lseek(${FD}, 1, SEEK_SET) = 1`,
      `1 write(${FD}, "${hex("baz")}", 3) = 3`,
      `1 openat(AT_FDCWD<${hex("/")}>, "${hex("/d/a")}", O_WRONLY|O_APPEND) = ${FD}`,
      `1 write(${FD}, "${hex("end")}", 3) = 3`,
    ),
    ([[0, "foo"], [3, "bar"], [1, "baz"], [6, "end"]] as const)
      .map(([offset, data]) => ({ do: "write" as const, path: "a", offset, data })),
  );
});

Deno.test("eventsOf takes of a short write what was written, and of a failed call nothing", () => {
  assertEquals(
    read(
      `1 pwrite64(${FD}, "${hex("foo")}", 3, 0) = 2`,
      `1 pwrite64(${FD}, "${hex("foo")}", 3, 0) = -1 ENOSPC (No space left on device) (INJECTED)`,
      `1 fsync(${FD}) = -1 EIO (Input/output error) (INJECTED)`,
      `1 fsync(${FD}) = ?`,
    ),
    [{ do: "write", path: "a", offset: 0, data: "fo" }],
  );
});

Deno.test("eventsOf joins the halves of a call, and a sync covers what had ended when it began", () => {
  assertEquals(
    read(
      `1 pwrite64(${FD}, "${hex("foo")}", 3, 0) = 3`,
      `1 fsync(${FD} <unfinished ...>`,
      `2 pwrite64(${FD}, "${hex("bar")}", 3, 3 <unfinished ...>`,
      `3 write(1<pipe:[7]>, "${hex("ACK ")}", 4) = 4`,
      `2 <... pwrite64 resumed>)           = 3`,
      `1 <... fsync resumed>)              = 0`,
      `3 write(1<pipe:[7]>, "${hex("1\nACK 2\nA")}", 9) = 9`,
    ),
    [
      { do: "write", path: "a", offset: 0, data: "foo" },
      { do: "write", path: "a", offset: 3, data: "bar" },
      { do: "sync", path: "a", upTo: 1 },
      { do: "line", text: "ACK 1" },
      { do: "line", text: "ACK 2" },
    ],
  );
});

Deno.test("eventsOf refuses a trace of which it can't make the files again", () => {
  assertThrows(() => read(`1 fallocate(${FD}, 0, 0, 4096) = 0`), Error, "fallocate is not known");
  assertThrows(() => read(`1 pwrite64(${FD}, "${hex("foo")}"..., 300, 0) = 300`), Error, "cut argument");
});
