import { homedir } from "node:os";
import path from "node:path";
import { fail } from "../../errors.ts";
import type { ConfigSource } from "./source.ts";

/**
 * The database when nobody names one: `steerable-sidecar/sidecar.db` in the per-user data directory
 * (XDG Base Directory on Linux, Application Support on macOS, local application data on Windows).
 * Throws `storage` where the user has no home.
 */
export function defaultStoragePath({ env, platform = process.platform, home = homedir }: Pick<ConfigSource, "env" | "platform" | "home">): string {
  const { join, isAbsolute } = platform === "win32" ? path.win32 : path.posix;
  // The XDG specification has relative values ignored; elsewhere they would depend on where the host was started.
  const named = platform === "win32" ? env.LOCALAPPDATA : platform === "darwin" ? undefined : env.XDG_DATA_HOME;
  if (named !== undefined && isAbsolute(named)) return join(named, "steerable-sidecar", "sidecar.db");
  const folder = homeOf(home);
  if (!isAbsolute(folder))
    throw fail("storage", { reason: "no_home" }, "The user has no home directory to keep sessions in: name a file with --storage-path, or :memory:");
  const data = platform === "win32" ? ["AppData", "Local"] : platform === "darwin" ? ["Library", "Application Support"] : [".local", "share"];
  return join(folder, ...data, "steerable-sidecar", "sidecar.db");
}

function homeOf(home: () => string): string {
  try {
    return home();
  } catch {
    return "";
  }
}
