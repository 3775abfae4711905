/**
 * Disks of a test's own, in memory: for a file system one has to be root.
 *
 * @module
 */

import { installed } from "../installed.ts";
import { scratch } from "./strace.ts";

/** A directory that is gone when it is disposed. */
export interface OwnDirectory extends AsyncDisposable {
  /** Where it is. */
  readonly path: string;
}

async function mount(path: string, mebibytes: number): Promise<boolean> {
  const args = ["-t", "tmpfs", "-o", `size=${mebibytes}m,mode=0700`, "msgbus-test", path];
  return (await new Deno.Command("mount", { args, stdout: "null", stderr: "null" }).output()).success;
}

/** Makes a file system that is soon full. */
export async function smallDisk({ mebibytes }: { readonly mebibytes: number }): Promise<OwnDirectory> {
  const path = await Deno.realPath(await Deno.makeTempDir({ prefix: "msgbus-small-" }));
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

/** A directory in memory if there can be one, where a sync takes no time; else on the disk. */
export async function quickDirectory(): Promise<OwnDirectory> {
  if (CAN_MOUNT) return await smallDisk({ mebibytes: 512 });
  const directory = scratch();
  return {
    path: directory.path,
    [Symbol.asyncDispose]: () => Promise.resolve(directory[Symbol.dispose]()),
  };
}
