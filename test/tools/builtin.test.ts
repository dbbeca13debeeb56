import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Config } from "../../src/contract/config.ts";
import { createCustody } from "../../src/custody/create.ts";
import { WireError } from "../../src/errors.ts";
import type { CurrentTime } from "../../src/tools/builtin/get-time.ts";
import type { DirectoryListing } from "../../src/tools/builtin/list-directory.ts";
import type { FilePart } from "../../src/tools/builtin/read-file.ts";
import { absoluteSegments, isInside } from "../../src/tools/builtin/roots.ts";
import { type BuiltinOptions, builtinTools } from "../../src/tools/builtin.ts";
import { type Tool, ToolFailure } from "../../src/tools/tool.ts";
import { call, refusal as refused } from "./builtin-support.ts";

const CANARY = "canary-7f3a: nobody may read this";

let base: string;
let root: string;
let second: string;
let secret: string;

beforeAll(() => {
  base = realpathSync(mkdtempSync(path.join(tmpdir(), "builtin-")));
  root = path.join(base, "root");
  second = path.join(base, "second");
  secret = path.join(base, "secret");
  for (const folder of [root, second, secret, path.join(base, "root-sibling"), path.join(root, "sub")]) mkdirSync(folder);
  for (const outside of [secret, base, path.join(base, "root-sibling")]) writeFileSync(path.join(outside, "canary.txt"), CANARY);
  writeFileSync(path.join(root, "a.txt"), "first root");
  writeFileSync(path.join(root, "sub", "b.txt"), "in sub");
  writeFileSync(path.join(second, "a.txt"), "second root");
  writeFileSync(path.join(second, "only-second.txt"), "only there");
  const links: [string, string][] = [
    ["a.txt", "link-inside"],
    ["link-inside", "link-chain"],
    [path.join(root, "sub"), "link-absolute-inside"],
    ["../b-up.txt", "sub/link-up"],
    ["nowhere", "link-dangling"],
    ["link-loop", "link-loop"],
    ["../secret/canary.txt", "link-out"],
    [path.join(secret, "canary.txt"), "link-out-absolute"],
    ["../secret/not-there.txt", "link-out-dangling"],
    ["../secret", "link-out-folder"],
    ["link-out", "link-out-chain"],
    ["../root-sibling/canary.txt", "link-sibling"],
    ["../second/only-second.txt", "link-second"],
    ["sub/../../root/a.txt", "link-out-and-back"],
    ["/", "link-top"],
  ];
  for (const [target, name] of links) symlinkSync(target, path.join(root, name));
  writeFileSync(path.join(root, "b-up.txt"), "one up");
});

afterAll(() => rmSync(base, { recursive: true, force: true }));

/** Ends nothing, because nothing here starts a program. */
const custody = createCustody();

function only(name: string, options: Partial<BuiltinOptions> = {}): Tool {
  const [tool] = builtinTools({ enabled: [name], roots: [], now: () => 0, custody, env: {}, fetch: { allowPrivate: false }, ...options });
  if (tool === undefined) throw new Error("no tool");
  return tool;
}

const run = (name: string, args: Record<string, unknown>, roots: readonly string[]): Promise<unknown> => call(only(name, { roots }), args);

const read = (file: string, part: { offset?: number; limit?: number } = {}, roots: readonly string[] = [root, second]) =>
  run("read_file", { path: file, ...part }, roots) as Promise<FilePart>;

const list = (folder: string, roots: readonly string[] = [root, second]) => run("list_directory", { path: folder }, roots) as Promise<DirectoryListing>;

const refusal = async (attempt: Promise<unknown>): Promise<string> => (await refused(attempt)).message;

describe("builtinTools", () => {
  const given = (enabled: string[]) => builtinTools({ enabled, roots: [], now: Date.now, custody, env: {}, fetch: { allowPrivate: false } });

  it("gives the tools that are switched on, each once and in order", () => {
    expect(given(["get_time", "read_file", "get_time"]).map(({ name }) => name)).toEqual(["get_time", "read_file"]);
    expect(given([])).toEqual([]);
  });

  it("has every tool that the configuration may name, each with what it may do", () => {
    const [issue] = Config.safeParse({ tools: { builtin: ["nothing"] } }).error?.issues ?? [];
    const names = issue?.code === "invalid_value" ? issue.values.map(String) : [];
    expect(Object.fromEntries(given(names).map(({ name, mode }) => [name, mode]))).toEqual({
      read_file: "read",
      list_directory: "read",
      get_time: "read",
      search_files: "read",
      write_file: "safe_write",
      edit_file: "safe_write",
      run_command: "other",
      fetch_url: "other",
    });
  });

  it("refuses a name that is not built in", () => {
    expect(() => given(["rm"])).toThrow(WireError);
  });
});

describe("confinement", { timeout: 120_000 }, () => {
  it("says so when no folder is configured, or none can be opened", async () => {
    for (const name of ["read_file", "list_directory"]) {
      expect(await refusal(run(name, { path: "a.txt" }, []))).toContain("No folders are configured");
      expect(await refusal(run(name, { path: "a.txt" }, [path.join(base, "gone")]))).toContain("can be opened");
    }
  });

  it("looks relative paths up in each root in order", async () => {
    expect((await read("a.txt")).content).toBe("first root");
    expect((await read("a.txt", {}, [second, root])).content).toBe("second root");
    expect((await read("only-second.txt")).content).toBe("only there");
    expect((await read("a.txt", {}, [path.join(base, "gone"), second])).content).toBe("second root");
    expect(await refusal(read("neither.txt"))).toBe('No such file or directory: "neither.txt"');
    expect(await refusal(read("a.txt/x"))).toBe('No such file or directory: "a.txt/x"');
  });

  it("takes absolute paths inside a root, by its configured and by its real name", async () => {
    const alias = path.join(base, "alias");
    symlinkSync(root, alias);
    expect((await read(path.join(root, "sub/b.txt"))).content).toBe("in sub");
    expect((await read(path.join(alias, "sub/b.txt"), {}, [alias])).content).toBe("in sub");
    expect((await read(path.join(root, "sub/b.txt"), {}, [alias])).content).toBe("in sub");
    expect((await read("sub//./b.txt", {}, [alias])).content).toBe("in sub");
    expect(await refusal(read(path.join(alias, "sub/b.txt")))).toContain("outside");
  });

  it("follows links that stay inside, also to another root", async () => {
    expect((await read("link-inside")).content).toBe("first root");
    expect((await read("link-chain")).content).toBe("first root");
    expect((await read("link-absolute-inside/b.txt")).content).toBe("in sub");
    expect((await read("sub/link-up")).content).toBe("one up");
    expect((await read("link-out-and-back")).content).toBe("first root");
    expect((await read("link-second")).content).toBe("only there");
    expect(await refusal(read("link-second", {}, [root]))).toContain("outside");
    expect(await refusal(read("link-dangling"))).toBe('No such file or directory: "link-dangling"');
    expect(await refusal(read("link-loop"))).toBe('Too many symbolic links: "link-loop"');
  });

  it("refuses whatever leads out, in the same words whether or not it exists", async () => {
    const leading = ["link-out", "link-out-absolute", "link-out-dangling", "link-out-chain", "link-sibling", "link-top"];
    const beyond = ["link-out-folder/canary.txt", "link-out-folder/not-there", "link-top/etc/passwd", "link-top/not-there"];
    const absolute = [secret, path.join(secret, "canary.txt"), path.join(secret, "not-there"), path.join(base, "root-sibling/canary.txt"), "/", base];
    for (const given of [...leading, ...beyond, ...absolute]) {
      expect(await refusal(read(given))).toBe(`${JSON.stringify(given)} is outside the folders that tools may see`);
      expect(await refusal(list(given))).toBe(`${JSON.stringify(given)} is outside the folders that tools may see`);
    }
  });

  it("refuses dot-dot, NUL and over-long names by name", async () => {
    for (const given of ["../canary.txt", "sub/../../canary.txt", "sub/../a.txt", "..", `${root}/../canary.txt`]) {
      expect(await refusal(read(given))).toBe(`The path must not contain "..": ${JSON.stringify(given)}`);
    }
    expect(await refusal(read("a.txt\0.png"))).toContain("NUL");
    expect(await refusal(read("x".repeat(300)))).toContain("too long");
    const long = await refusal(read("y/".repeat(1_000_000)));
    expect(long.length).toBeLessThan(600);
  });

  it("never shows a resolved path", async () => {
    const alias = path.join(base, "alias-2");
    symlinkSync(root, alias);
    for (const given of ["not-there", "link-out", "link-loop", "sub", "link-dangling"]) {
      expect(await refusal(read(given, {}, [alias]))).not.toContain(base);
    }
  });

  it("finds files in deep folders", async () => {
    const deep = Array.from({ length: 300 }, (_, index) => `d${index}`).join("/");
    mkdirSync(path.join(root, deep), { recursive: true });
    writeFileSync(path.join(root, deep, "leaf.txt"), "deep down");
    expect((await read(`${deep}/leaf.txt`)).content).toBe("deep down");
    expect((await list(deep)).entries).toEqual([{ name: "leaf.txt", type: "file", size: 9 }]);
  });

  it("compares by whole segments, and on Windows regardless of case", () => {
    const windows = [{ named: [], real: absoluteSegments("C:\\Work\\Space", path.win32) }];
    expect(isInside("c:\\work\\SPACE\\a.txt", windows, path.win32)).toBe(true);
    expect(isInside("C:/Work/Space", windows, path.win32)).toBe(true);
    expect(isInside("C:\\Work\\Space2\\a.txt", windows, path.win32)).toBe(false);
    expect(isInside("D:\\Work\\Space\\a.txt", windows, path.win32)).toBe(false);
    expect(isInside("\\\\server\\share\\Work\\Space", windows, path.win32)).toBe(false);
    const posix = [{ named: [], real: ["/", "data", "space"] }];
    expect(isInside("/data/space/a", posix, path.posix)).toBe(true);
    expect(isInside("/data/Space/a", posix, path.posix)).toBe(false);
    expect(isInside("/data/space2/a", posix, path.posix)).toBe(false);
    expect(isInside("/data", posix, path.posix)).toBe(false);
    expect(isInside("/anything", [{ named: [], real: ["/"] }], path.posix)).toBe(true);
  });

  it.runIf(process.platform === "linux")("holds while folders on the way are swapped for links out", async () => {
    const place = path.join(base, "race");
    mkdirSync(path.join(place, "sub"), { recursive: true });
    writeFileSync(path.join(place, "sub", "canary.txt"), "fine");
    symlinkSync(secret, path.join(place, "evil"));
    writeFileSync(path.join(secret, "only-outside"), "");
    const swapping = `process.chdir(process.argv[1]); const { renameSync } = require("node:fs"); console.log("swapping");
      for (;;) for (const [from, to] of [["sub", "real"], ["evil", "sub"], ["sub", "evil"], ["real", "sub"]]) renameSync(from, to);`;
    const swapper = spawn(process.execPath, ["-e", swapping, place], { stdio: ["ignore", "pipe", "inherit"] });
    try {
      await once(swapper.stdout, "data");
      for (let round = 0; round < 1500; round += 1) {
        const part = await read("sub/canary.txt", {}, [place]).catch(() => undefined);
        expect(part?.content ?? "").not.toContain(CANARY);
        const listing = await list("sub", [place]).catch(() => undefined);
        expect(listing?.entries.map(({ name }) => name) ?? []).not.toContain("only-outside");
      }
    } finally {
      swapper.kill("SIGKILL");
      await once(swapper, "exit");
    }
  });

  it("never reads a canary outside the roots, whatever the path", async () => {
    const names = ["..", ".", "", "~", "root", "secret", "second", "root-sibling", "canary.txt", "sub", "a.txt", "link-up", "\0", "..\\", "%2e%2e"];
    const links = ["link-inside", "link-out", "link-out-folder", "link-out-absolute", "link-sibling", "link-top", "link-absolute-inside", "link-chain"];
    const starts = ["", "/", "//", base, root, secret, `${root}/`, `${base}/root-sibling`, `${base}/./root`, "/proc/self/cwd", "file://", "C:\\"];
    const segment = fc.oneof(fc.constantFrom(...names), fc.constantFrom(...links), fc.string({ maxLength: 4, unit: "binary" }), fc.constant(base.slice(1)));
    const paths = fc.tuple(fc.constantFrom(...starts), fc.array(segment, { minLength: 1, maxLength: 5 }), fc.constantFrom("/", "/", "//", "\\"));
    const unlessMeant = (error: unknown) => {
      if (!(error instanceof ToolFailure)) throw error;
      return undefined;
    };
    let successes = 0;
    await fc.assert(
      fc.asyncProperty(paths, async ([start, segments, separator]) => {
        const given = start === "" ? segments.join(separator) : `${start}/${segments.join(separator)}`;
        const part = await read(given).catch(unlessMeant);
        if (part !== undefined) successes += 1;
        expect(part?.content ?? "").not.toContain(CANARY);
        const listing = await list(given).catch(unlessMeant);
        expect(JSON.stringify(listing ?? {})).not.toContain("canary.txt");
      }),
      { numRuns: 1500 },
    );
    // Else the property would hold for a tool that reads nothing.
    expect(successes).toBeGreaterThan(0);
  });
});

describe("read_file", { timeout: 120_000 }, () => {
  const put = (name: string, content: string | Uint8Array) => writeFileSync(path.join(root, name), content);

  it("reads text, empty and with a byte order mark, as it is", async () => {
    put("empty", "");
    put("bom", "\uFEFFx");
    expect(await read("a.txt")).toEqual({ content: "first root", encoding: "utf8", size: 10, offset: 0, truncated: false });
    expect(await read("empty")).toEqual({ content: "", encoding: "utf8", size: 0, offset: 0, truncated: false });
    expect((await read("bom")).content).toBe("\uFEFFx");
  });

  it("gives at most 1 MiB and says where to go on", async () => {
    put("big", "é".repeat(1_000_000));
    const first = await read("big", { limit: 50_000_000 });
    expect(first).toMatchObject({ size: 2_000_000, truncated: true, nextOffset: 1_048_576 });
    const rest = await read("big", { offset: first.nextOffset ?? 0 });
    expect(rest.truncated).toBe(false);
    expect(rest.nextOffset).toBeUndefined();
    expect(first.content + rest.content).toBe("é".repeat(1_000_000));
  });

  it("reads the end of a file that would not fit into memory", async () => {
    put("huge", "");
    truncateSync(path.join(root, "huge"), 2 ** 40);
    expect(await read("huge", { offset: 2 ** 40 - 3 })).toEqual({ content: "\0\0\0", encoding: "utf8", size: 2 ** 40, offset: 2 ** 40 - 3, truncated: false });
    expect(await read("huge", { offset: 2 ** 50 })).toMatchObject({ content: "", truncated: false });
  });

  it("puts parts of any size together to the same text, by nextOffset and by equal steps", async () => {
    let count = 0;
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "binary", maxLength: 40 }), fc.integer({ min: 1, max: 9 }), async (drawn, limit) => {
        // Lone surrogates have no UTF-8.
        const text = Buffer.from(drawn).toString();
        const name = `parts-${count++}`;
        put(name, text);
        let joined = "";
        for (let offset: number | undefined = 0; offset !== undefined; ) {
          const part: FilePart = await read(name, { offset, limit });
          expect(part.encoding).toBe("utf8");
          expect(part.nextOffset === undefined || part.nextOffset > offset).toBe(true);
          joined += part.content;
          offset = part.nextOffset;
        }
        expect(joined).toBe(text);
        // A step smaller than a character gives it more than once.
        if (limit < 4) return;
        let stepped = "";
        for (let offset = 0; offset < Buffer.byteLength(text); offset += limit) stepped += (await read(name, { offset, limit })).content;
        expect(stepped).toBe(text);
      }),
      { numRuns: 150 },
    );
  });

  it("gives bytes that are not UTF-8 as base64, exactly as asked for", async () => {
    const bytes = Buffer.from([0xff, 0xfe, 0x00, 0xe2, 0x82, 0x41, 0xc3]);
    put("binary", bytes);
    expect(await read("binary")).toEqual({ content: bytes.toString("base64"), encoding: "base64", size: 7, offset: 0, truncated: false });
    expect(await read("binary", { offset: 3, limit: 2 })).toEqual({ content: "4oI=", encoding: "base64", size: 7, offset: 3, truncated: true, nextOffset: 5 });
    expect(await read("binary", { offset: 5 })).toMatchObject({ content: Buffer.from([0x41, 0xc3]).toString("base64"), encoding: "base64" });
  });

  it("refuses directories, pipes, sockets and devices at once", async () => {
    execFileSync("mkfifo", [path.join(root, "pipe")]);
    const server = createServer().listen(path.join(root, "socket"));
    await new Promise((resolve) => server.once("listening", resolve));
    expect(await refusal(read("pipe"))).toBe('This is not a regular file: "pipe"');
    expect(await refusal(read("socket"))).toBe('This is not a regular file: "socket"');
    expect(await refusal(read("sub"))).toBe('This is a directory: "sub"');
    expect(await refusal(read("null", {}, ["/dev"]))).toBe('This is not a regular file: "null"');
    expect(await refusal(list("pipe"))).toBe('This is not a directory: "pipe"');
    await new Promise((resolve) => server.close(resolve));
    rmSync(path.join(root, "pipe"));
  });
});

describe("list_directory", { timeout: 120_000 }, () => {
  it("gives name, type and size, sorted, links as links", async () => {
    const folder = path.join(second, "mixed");
    mkdirSync(path.join(folder, "Z"), { recursive: true });
    writeFileSync(path.join(folder, "b"), "12345");
    writeFileSync(path.join(folder, "é"), "");
    symlinkSync(path.join(secret, "canary.txt"), path.join(folder, "a"));
    execFileSync("mkfifo", [path.join(folder, "c")]);
    expect(await list("mixed")).toEqual({
      entries: [
        { name: "Z", type: "directory" },
        { name: "a", type: "symlink" },
        { name: "b", type: "file", size: 5 },
        { name: "c", type: "other" },
        { name: "é", type: "file", size: 0 },
      ],
      truncated: false,
    });
    expect((await list(".", [folder])).entries).toHaveLength(5);
    expect(await refusal(list("a.txt"))).toBe('This is not a directory: "a.txt"');
  });

  it("shows names that are not UTF-8", async () => {
    const folder = path.join(second, "latin1");
    mkdirSync(folder);
    writeFileSync(Buffer.concat([Buffer.from(`${folder}/caf`), Buffer.from([0xe9])]), "x");
    expect(await list("latin1")).toEqual({ entries: [{ name: "caf\uFFFD", type: "file" }], truncated: false });
    expect(await refusal(read("latin1/caf\uFFFD"))).toContain("No such file");
  });

  it("gives the first 10,000 of more by name", async () => {
    const folder = path.join(second, "many");
    mkdirSync(folder);
    const names = Array.from({ length: 20_500 }, (_, index) => `f${String(index).padStart(5, "0")}`);
    for (const name of names.toReversed()) symlinkSync("x", path.join(folder, name));
    const listing = await list("many");
    expect(listing.truncated).toBe(true);
    expect(listing.entries.map(({ name }) => name)).toEqual(names.slice(0, 10_000));
  });

  it("ends when it is cancelled", async () => {
    const cancelled = call(only("list_directory", { roots: [root] }), { path: "." }, AbortSignal.abort(new Error("stop")));
    await expect(cancelled).rejects.toThrow("stop");
  });
});

describe("get_time", () => {
  const at = (iso: string, args: Record<string, unknown>) => call<CurrentTime>(only("get_time", { now: () => Date.parse(iso) }), args);

  it("gives the instant in UTC and on the clocks of a time zone", async () => {
    expect(await at("2026-07-01T22:30:00.007Z", { timeZone: "Asia/Kolkata" })).toEqual({
      iso: "2026-07-01T22:30:00.007Z",
      local: "2026-07-02T04:00:00.007+05:30",
      weekday: "Thursday",
      timeZone: "Asia/Kolkata",
    });
    expect((await at("2026-01-01T00:00:00.000Z", { timeZone: "UTC" })).local).toBe("2026-01-01T00:00:00.000+00:00");
    expect((await at("2026-01-01T00:00:00.000Z", { timeZone: "America/New_York" })).local).toBe("2025-12-31T19:00:00.000-05:00");
  });

  it("takes the time zone of the machine when none is asked for", async () => {
    const time = await at("2026-07-01T22:30:00.007Z", {});
    expect(Date.parse(time.local)).toBe(Date.parse(time.iso));
    expect(time.timeZone).not.toBe("");
  });

  it("refuses an unknown time zone", async () => {
    expect(await refusal(at("2026-01-01T00:00:00Z", { timeZone: "Mars/Olympus" }))).toContain('"Mars/Olympus"');
  });
});
