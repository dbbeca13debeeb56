import { constants } from "node:fs";
import { mkdir, realpath } from "node:fs/promises";
import nodePath from "node:path";
import { outside } from "./failures.ts";
import { lastingPath, openInside, refuseUnlessInside } from "./opened.ts";
import { isInside, type NewPlace, type Root } from "./roots.ts";

/** A folder inside the roots that something is about to be written in. */
export interface OpenFolder {
  /** Its path; on Linux one that stays with the folder, so that swapping a name for a link leads nothing astray. */
  at: string;
  /** Throws a `ToolFailure` when the folder is no longer inside the roots. */
  refuseUnlessInside(): Promise<void>;
  /** Makes renames in it last, where the system can. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** Opens a folder by its real path. The caller closes it. Throws a `ToolFailure`, or the error of the file system. */
export async function openFolder(place: string, given: string, roots: readonly Root[]): Promise<OpenFolder> {
  if (process.platform === "win32") return await named(place, given, roots);
  const handle = await openInside(place, given, roots, constants.O_DIRECTORY);
  return {
    at: (await lastingPath(handle)) ?? place,
    refuseUnlessInside: () => refuseUnlessInside(handle, place, given, roots),
    // Some file systems cannot sync a folder; the file in it is safe all the same.
    sync: () => handle.sync().catch(() => undefined),
    close: () => handle.close(),
  };
}

/** Opens the folder that a new file goes into, after making the folders that are missing. */
export async function makeFolder({ folder, names }: NewPlace, given: string, roots: readonly Root[]): Promise<OpenFolder> {
  let open = await openFolder(folder, given, roots);
  for (const name of names.slice(0, -1)) {
    const parent = open;
    try {
      const place = nodePath.join(parent.at, name);
      await mkdir(place).catch(unlessPresent);
      open = await openFolder(place, given, roots);
      await parent.sync();
    } finally {
      await parent.close();
    }
  }
  return open;
}

/** Windows cannot open folders as files: this one is known by its name only. */
async function named(place: string, given: string, roots: readonly Root[]): Promise<OpenFolder> {
  const check = async (): Promise<void> => {
    if (!isInside(await realpath(place), roots)) throw outside(given);
  };
  await check();
  return { at: place, refuseUnlessInside: check, sync: async () => undefined, close: async () => undefined };
}

/** Another call may have made it just now; whether it is a folder shows when it is opened. */
function unlessPresent(error: unknown): void {
  if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
}
