import { lstat, readlink, realpath } from "node:fs/promises";
import nodePath from "node:path";
import { ToolFailure } from "../tool.ts";
import { failureOf, isMissing, missing, outside, quoted } from "./failures.ts";

/** A configured folder: the name it was configured by and the place that this name stands for. */
export interface Root {
  named: readonly string[];
  real: readonly string[];
}

/**
 * The roots that can be opened right now. Looked up for each call, because folders come and go.
 * Throws a `ToolFailure` when none is configured or none can be opened.
 */
export async function openRoots(roots: readonly string[]): Promise<Root[]> {
  if (roots.length === 0) throw new ToolFailure("No folders are configured for file tools (tools.roots is empty)");
  const found = await Promise.all(
    roots.map(async (root) => {
      const named = nodePath.resolve(root);
      const real = await realpath(named).catch(() => undefined);
      return real === undefined ? [] : [{ named: absoluteSegments(named), real: absoluteSegments(real) }];
    }),
  );
  const open = found.flat();
  if (open.length === 0) throw new ToolFailure("None of the folders configured for file tools (tools.roots) can be opened");
  return open;
}

/**
 * The absolute path, free of symbolic links, of what a caller's path stands for. Relative paths are
 * looked up in each root in order; the first that has something of that name decides.
 *
 * Links are followed one by one, and nothing outside the roots is ever looked at: whatever leads
 * there is refused with the same message, existing or not. Throws a `ToolFailure` that shows the
 * path only as it was given.
 */
export async function locate(given: string, roots: readonly Root[]): Promise<string> {
  const found = await lookUp(given, roots);
  if (typeof found !== "string") throw missing(given);
  return found;
}

/** A file that is not there yet. */
export interface NewPlace {
  /** The deepest folder on the way that exists: absolute, free of symbolic links. */
  folder: string;
  /** What is missing in it: the name of the file, after those of folders that are missing too. */
  names: readonly [string, ...string[]];
}

/**
 * The same for a file that is to be written: its path if it exists, else where it is to be. Of several
 * roots the first is taken in which only the file is missing, else the first. A link to nothing stands
 * for the file that it names.
 */
export async function locateForWriting(given: string, roots: readonly Root[]): Promise<string | NewPlace> {
  const found = await lookUp(given, roots);
  if (typeof found === "string") return found;
  const place = found.find(({ names }) => names.length === 1) ?? found[0];
  if (place === undefined) throw new ToolFailure(`No such file can be made: ${quoted(given)}`);
  return place;
}

/** What exists, or else the places where it could be made. */
async function lookUp(given: string, roots: readonly Root[]): Promise<string | NewPlace[]> {
  if (given.includes("\0")) throw new ToolFailure(`The path must not contain a NUL character: ${quoted(given)}`);
  const absolute = nodePath.isAbsolute(given);
  const segments = absolute ? absoluteSegments(given) : relativeSegments(given);
  if (segments.includes("..")) throw new ToolFailure(`The path must not contain "..": ${quoted(given)}`);
  const starts = absolute ? [{ from: [], ahead: renamed(segments, roots) }] : roots.map(({ real }) => ({ from: real, ahead: segments }));
  const places: NewPlace[] = [];
  try {
    for (const { from, ahead } of starts) {
      const found = await walk(from, ahead, roots);
      if (found === "outside") throw outside(given);
      if (typeof found === "string" && found !== "missing") return found;
      if (typeof found !== "string") places.push(found);
    }
  } catch (error) {
    throw failureOf(error, given);
  }
  return places;
}

/** Whether an absolute path without links is one of the roots or beneath one, by whole segments. */
export function isInside(path: string, roots: readonly Root[], flavour: nodePath.PlatformPath = nodePath): boolean {
  const segments = absoluteSegments(path, flavour);
  return roots.some(({ real }) => startsWith(segments, real, flavour));
}

/** `/a/b` as `["/", "a", "b"]`, `C:\a` as `["C:\\", "a"]`. */
export function absoluteSegments(path: string, flavour: nodePath.PlatformPath = nodePath): string[] {
  const { root } = flavour.parse(path);
  // Windows takes both slashes; one spelling is enough to compare.
  return [flavour.sep === "\\" ? root.replaceAll("/", "\\") : root, ...relativeSegments(path.slice(root.length), flavour)];
}

/** As many links as Linux follows before it calls them a loop. */
const MOST_LINKS = 40;

/** "missing" is what is not there and cannot be made. */
type Found = string | NewPlace | "missing" | "outside";

/** Goes from a real folder along the segments. Absolute starts have their root as first segment. */
async function walk(from: readonly string[], segments: readonly string[], roots: readonly Root[]): Promise<Found> {
  let at = [...from];
  const ahead = segments.toReversed();
  let links = 0;
  for (let segment = ahead.pop(); segment !== undefined; segment = ahead.pop()) {
    if (segment === "..") {
      // Exact, because no part of `at` is a link. The parent of the top folder is the top folder.
      if (at.length > 1) at.pop();
      continue;
    }
    const next = [...at, segment];
    // Roots and the folders above them are real: they are passed through without being looked at.
    if (roots.some(({ real }) => startsWith(real, next))) {
      at = next;
      continue;
    }
    if (!roots.some(({ real }) => startsWith(next, real))) return "outside";
    if (!isUsable(segment)) return "missing";
    const path = nodePath.join(...next);
    const stats = await lstat(path).catch(absentAsUndefined);
    if (stats === undefined) return absent(at, segment, ahead.toReversed());
    if (stats.isSymbolicLink()) {
      links += 1;
      if (links > MOST_LINKS) throw Object.assign(new Error("too many links"), { code: "ELOOP" });
      const target = await readlink(path);
      const absolute = nodePath.isAbsolute(target);
      if (absolute) at = [];
      ahead.push(...(absolute ? renamed(absoluteSegments(target), roots) : relativeSegments(target)).toReversed());
    } else if (ahead.length > 0 && !stats.isDirectory()) {
      return "missing";
    } else {
      at = next;
    }
  }
  return roots.some(({ real }) => startsWith(at, real)) ? nodePath.join(...at) : "outside";
}

/** What is not there, and what would follow below it. */
function absent(at: readonly string[], name: string, below: readonly string[]): Found {
  return below.every((segment) => segment !== ".." && isUsable(segment)) ? { folder: nodePath.join(...at), names: [name, ...below] } : "missing";
}

/** A path under the configured name of a root (itself perhaps a link), put under its real name. */
function renamed(segments: readonly string[], roots: readonly Root[]): string[] {
  const root = roots.find(({ named }) => startsWith(segments, named));
  return root === undefined ? [...segments] : [...root.real, ...segments.slice(root.named.length)];
}

function relativeSegments(path: string, flavour: nodePath.PlatformPath = nodePath): string[] {
  return path.split(flavour.sep === "\\" ? /[\\/]/ : "/").filter((segment) => segment !== "" && segment !== ".");
}

function startsWith(segments: readonly string[], start: readonly string[], flavour: nodePath.PlatformPath = nodePath): boolean {
  // Windows tells names apart regardless of case.
  const fold = (segment: string | undefined) => (flavour.sep === "\\" ? segment?.toLowerCase() : segment);
  return start.every((segment, index) => fold(segment) === fold(segments[index]));
}

/** On Windows, names that open a device or another stream of a file rather than a file. */
function isUsable(segment: string): boolean {
  return nodePath.sep === "/" || !(/[<>:"|?*]|[. ]$/.test(segment) || /^(con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$)(\.|$)/i.test(segment));
}

function absentAsUndefined(error: unknown): undefined {
  if (!isMissing(error)) throw error;
}
