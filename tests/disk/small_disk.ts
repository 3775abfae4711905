/**
 * A disk that is soon full: a file system in memory of a few mebibytes, for which one has to be root.
 *
 * @module
 */

import { installed } from "../installed.ts";

/** A file system of its own. */
export interface SmallDisk extends AsyncDisposable {
  /** Where it is. */
  readonly path: string;
}

async function mount(path: string, mebibytes: number): Promise<boolean> {
  const args = ["-t", "tmpfs", "-o", `size=${mebibytes}m,mode=0700`, "msgbus-test", path];
  return (await new Deno.Command("mount", { args, stdout: "null", stderr: "null" }).output()).success;
}

/** Makes one. */
export async function smallDisk({ mebibytes }: { readonly mebibytes: number }): Promise<SmallDisk> {
  const path = await Deno.makeTempDir({ prefix: "msgbus-small-" });
  if (!await mount(path, mebibytes)) {
    await Deno.remove(path);
    throw new Error("Cannot mount a small disk");
  }
  return {
    path,
    async [Symbol.asyncDispose]() {
      const { success, stderr } = await new Deno.Command("umount", { args: [path] }).output();
      if (!success) throw new Error(`Cannot unmount ${path}: ${new TextDecoder().decode(stderr)}`);
      await Deno.remove(path);
    },
  };
}

async function canMount(): Promise<boolean> {
  if (Deno.build.os !== "linux" || !await installed("mount")) return false;
  try {
    await using _disk = await smallDisk({ mebibytes: 1 });
    return true;
  } catch {
    return false;
  }
}

/** Whether this process may make one. */
export const CAN_MOUNT = await canMount();

/** What the name of a test says where it may not. */
export const WITHOUT_MOUNT = CAN_MOUNT ? "" : ": not tested, no file system can be mounted here";
