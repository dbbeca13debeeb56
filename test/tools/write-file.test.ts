import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import * as fc from "fast-check";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { type WrittenFile, writeFile } from "../../src/tools/builtin/write-file.ts";
import { ToolFailure } from "../../src/tools/tool.ts";
import { call, freshFolder, refusal } from "./builtin-support.ts";

const MIB = 1024 * 1024;
const isRoot = process.getuid?.() === 0;

let base: string;
let root: string;
let secret: string;

beforeEach(() => {
  base = freshFolder();
  [root, secret] = [path.join(base, "root"), path.join(base, "secret")];
  for (const folder of [root, secret, path.join(root, "sub")]) mkdirSync(folder);
  writeFileSync(path.join(secret, "canary.txt"), "canary");
});

type Options = { createFolders?: boolean; overwrite?: boolean };
const write = (file: string, content: string, options: Options = {}, roots: readonly string[] = [root]) =>
  call<WrittenFile>(writeFile(roots), { path: file, content, ...options });
const at = (...names: string[]) => path.join(root, ...names);
const text = (...names: string[]) => readFileSync(at(...names), "utf8");
const everything = (folder: string) => readdirSync(folder, { recursive: true, encoding: "utf8" }).toSorted();

describe("write_file", { timeout: 120_000 }, () => {
  it("writes what only changes a file, not what it may destroy", () => {
    expect(writeFile([]).mode).toBe("safe_write");
  });

  it("makes a file and replaces one, and says which", async () => {
    expect(await write("a.txt", "één\r\n")).toEqual({ path: "a.txt", bytes: 7, created: true });
    expect(text("a.txt")).toBe("één\r\n");
    expect(await write("a.txt", "")).toEqual({ path: "a.txt", bytes: 0, created: false });
    expect(text("a.txt")).toBe("");
    expect(await write(at("sub", "b"), "x")).toEqual({ path: at("sub", "b"), bytes: 1, created: true });
    expect(everything(root)).toEqual(["a.txt", "sub", "sub/b"]);
  });

  it("keeps what exists when it is not to be overwritten", async () => {
    await write("new", "1", { overwrite: false });
    expect((await refusal(write("new", "2", { overwrite: false }))).message).toBe('The file exists already: "new"');
    expect(text("new")).toBe("1");
    expect(everything(root)).toEqual(["new", "sub"]);
  });

  it("lets one of two calls that make the same file win, whole", async () => {
    const results = await Promise.allSettled(["a", "b", "c"].map((letter) => write("one", letter.repeat(1000), { overwrite: false })));
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(text("one")).toMatch(/^(a{1000}|b{1000}|c{1000})$/);
  });

  it("keeps the mode of a file, and gives a new one what the umask leaves", async () => {
    await write("script", "1");
    expect(statSync(at("script")).mode & 0o777).toBe(0o666 & ~process.umask());
    for (const mode of [0o755, 0o600, 0o664]) {
      chmodSync(at("script"), mode);
      await write("script", "2");
      expect(statSync(at("script")).mode & 0o777).toBe(mode);
    }
  });

  it.runIf(!isRoot)("does not replace a read-only file", async () => {
    await write("fixed", "1");
    chmodSync(at("fixed"), 0o444);
    expect((await refusal(write("fixed", "2"))).message).toBe('Permission denied: "fixed"');
    expect(text("fixed")).toBe("1");
  });

  it("makes missing folders only when asked to", async () => {
    expect((await refusal(write("x/y/z.txt", "1"))).message).toContain('createFolders makes it: "x/y/z.txt"');
    expect(existsSync(at("x"))).toBe(false);
    expect(await write("x/y/z.txt", "1", { createFolders: true })).toMatchObject({ created: true });
    expect(await write("x/y/w.txt", "2", { createFolders: true })).toMatchObject({ created: true });
    expect(text("x", "y", "z.txt")).toBe("1");
    await Promise.all(["1", "2", "3"].map((name) => write(`p/q/r/${name}`, name, { createFolders: true })));
    expect(readdirSync(at("p/q/r")).toSorted()).toEqual(["1", "2", "3"]);
  });

  it("puts a new file into the first root that has its folder", async () => {
    const second = path.join(base, "second");
    mkdirSync(path.join(second, "only-here"), { recursive: true });
    await write("only-here/f", "1", {}, [root, second]);
    await write("f", "2", {}, [root, second]);
    await write("nowhere/f", "3", { createFolders: true }, [root, second]);
    expect(everything(second)).toEqual(["only-here", "only-here/f"]);
    expect(everything(root)).toEqual(["f", "nowhere", "nowhere/f", "sub"]);
  });

  it("writes through links that stay inside, and leaves the links", async () => {
    writeFileSync(at("target"), "old");
    symlinkSync("target", at("link"));
    symlinkSync("sub", at("folder"));
    symlinkSync("sub/later", at("dangling"));
    expect(await write("link", "new")).toMatchObject({ created: false });
    expect(await write("folder/c", "c")).toMatchObject({ created: true });
    expect(await write("dangling", "d")).toMatchObject({ created: true });
    expect([text("target"), text("sub", "c"), text("sub", "later")]).toEqual(["new", "c", "d"]);
    expect(["link", "folder", "dangling"].every((name) => lstatSync(at(name)).isSymbolicLink())).toBe(true);
  });

  it("refuses whatever leads out, and makes nothing there", async () => {
    const links = { file: "../secret/canary.txt", fresh: "../secret/fresh", folder: "../secret", absolute: path.join(secret, "fresh"), deep: "../secret/x/y" };
    for (const [name, target] of Object.entries(links)) symlinkSync(target, at(name));
    const leading = ["file", "fresh", "folder/fresh", "folder/x/y", "absolute", "deep", path.join(secret, "fresh"), path.join(base, "fresh"), "/fresh"];
    for (const given of leading) {
      const { message } = await refusal(write(given, "evil", { createFolders: true }));
      expect(message).toBe(`${JSON.stringify(given)} is outside the folders that tools may see`);
    }
    for (const given of ["../fresh", "sub/../../secret/fresh", "sub/../fresh"]) {
      expect((await refusal(write(given, "evil", { createFolders: true }))).message).toContain('must not contain ".."');
    }
    expect(everything(secret)).toEqual(["canary.txt"]);
    expect(readFileSync(path.join(secret, "canary.txt"), "utf8")).toBe("canary");
    expect(readdirSync(base).toSorted()).toEqual(["root", "secret"]);
  });

  it("refuses what is not a file, and names that cannot be", async () => {
    execFileSync("mkfifo", [at("pipe")]);
    writeFileSync(at("plain"), "plain");
    symlinkSync("loop", at("loop"));
    symlinkSync("missing/../plain", at("broken"));
    const said = async (given: string, roots = [root]) => (await refusal(write(given, "x", { createFolders: true }, roots))).message;
    expect(await said("sub")).toBe('This is a directory: "sub"');
    expect(await said(".")).toBe('This is a directory: "."');
    expect(await said("pipe")).toBe('This is not a regular file: "pipe"');
    expect(await said("plain/x")).toBe('No such file can be made: "plain/x"');
    expect(await said("broken")).toBe('No such file can be made: "broken"');
    expect(await said("loop")).toBe('Too many symbolic links: "loop"');
    expect(await said("a\0b")).toContain("NUL");
    expect(await said("n".repeat(300))).toContain("too long");
    expect(await said("x", [])).toContain("No folders are configured");
    expect(text("plain")).toBe("plain");
  });

  it("refuses text that is too long or not text, and leaves the file and nothing else", async () => {
    await write("f", "old");
    expect((await refusal(write("f", "x".repeat(16 * MIB + 1)))).message).toContain("16777217 bytes");
    expect((await refusal(write("f", "half \ud83d"))).message).toContain("lone surrogate");
    expect(text("f")).toBe("old");
    expect(everything(root)).toEqual(["f", "sub"]);
    expect(await write("f", "é".repeat(8 * MIB))).toMatchObject({ bytes: 16 * MIB });
  });

  it("leaves the old file and nothing else when the disk is full", async () => {
    // A limit on the size of files fails a write half-way, as a full disk does.
    const script = `import { writeFile } from ${JSON.stringify(path.resolve("src/tools/builtin/write-file.ts"))};
      import { appendFileSync } from "node:fs";
      process.on("SIGXFSZ", () => {});
      const context = { signal: new AbortController().signal, callId: "1", timeoutMs: 1000 };
      await writeFile([${JSON.stringify(root)}]).run({ path: "f", content: "x".repeat(4 * 1024 * 1024) }, context).catch((error) => console.log(error.message));`;
    writeFileSync(at("f"), "old");
    const code = await bundled(script);
    const said = execFileSync("sh", ["-c", 'ulimit -f 1024; exec "$0" --input-type=module', process.execPath], { input: code, encoding: "utf8" });
    expect(said).toBe('Could not be written (EFBIG): "f"\n');
    expect(text("f")).toBe("old");
    expect(everything(root)).toEqual(["f", "sub"]);
  });

  it("ends without a trace when it is cancelled", async () => {
    await expect(call(writeFile([root]), { path: "f", content: "x" }, AbortSignal.abort(new Error("stop")))).rejects.toThrow("stop");
    expect(everything(root)).toEqual(["sub"]);
  });

  it("shows readers the old file or the new one, never a part", async () => {
    const sizes = [1 * MIB, 2 * MIB];
    await write("f", "a".repeat(sizes[0] ?? 0));
    const done = new AbortController();
    const reading = (async () => {
      let reads = 0;
      for (; !done.signal.aborted; reads += 1) {
        const found = readFileSync(at("f"), "utf8");
        expect(sizes).toContain(found.length);
        expect(found[0]).toBe(found.at(-1));
        await new Promise((resolve) => setImmediate(resolve));
      }
      return reads;
    })();
    for (let round = 0; round < 20; round += 1) await write("f", round % 2 === 0 ? "b".repeat(2 * MIB) : "a".repeat(1 * MIB));
    done.abort();
    expect(await reading).toBeGreaterThan(0);
  });

  it.runIf(process.platform === "linux")("writes nothing outside while folders on the way are swapped for links out", async () => {
    const place = path.join(base, "race");
    mkdirSync(path.join(place, "sub"), { recursive: true });
    symlinkSync(secret, path.join(place, "evil"));
    // When a call makes the folder in the moment in which its name is free, everything is put up again.
    const swapping = `const { mkdirSync, renameSync, rmSync, symlinkSync } = require("node:fs");
      const [place, secret] = process.argv.slice(1);
      process.chdir(place);
      console.log("swapping");
      for (;;) try {
        for (const [from, to] of [["sub", "real"], ["evil", "sub"], ["sub", "evil"], ["real", "sub"]]) renameSync(from, to);
      } catch {
        try {
          for (const name of ["sub", "real", "evil"]) rmSync(name, { recursive: true, force: true });
          mkdirSync("sub");
          symlinkSync(secret, "evil");
        } catch {}
      }`;
    const swapper = spawn(process.execPath, ["-e", swapping, place, secret], { stdio: ["ignore", "pipe", "inherit"] });
    onTestFinished(async () => {
      if (swapper.exitCode === null && swapper.kill("SIGKILL")) await once(swapper, "exit");
    });
    await once(swapper.stdout, "data");
    let successes = 0;
    for (let round = 0; round < 400 || (successes === 0 && round < 10_000); round += 1) {
      const given = ["sub/canary.txt", "sub/fresh", "sub/new/fresh"][round % 3] ?? "";
      successes += await write(given, "evil", { createFolders: true }, [place]).then(
        () => 1,
        () => 0,
      );
    }
    expect(everything(secret)).toEqual(["canary.txt"]);
    expect(readFileSync(path.join(secret, "canary.txt"), "utf8")).toBe("canary");
    // Else it would hold for a tool that writes nothing.
    expect(successes).toBeGreaterThan(0);
  });

  it("never touches anything outside, whatever the path", async () => {
    for (const [name, target] of Object.entries({ out: "../secret", up: "..", top: "/", file: "../secret/canary.txt", fresh: "../secret/f" })) {
      symlinkSync(target, at(name));
    }
    const names = ["..", ".", "", "sub", "out", "up", "top", "file", "fresh", "secret", "canary.txt", "f", "root", "..\\", "\0", "%2e%2e"];
    const segment = fc.oneof(fc.constantFrom(...names), fc.string({ maxLength: 3, unit: "binary" }));
    const paths = fc.tuple(fc.constantFrom("", "/", base, root, secret, `${root}/`), fc.array(segment, { minLength: 1, maxLength: 4 }));
    let successes = 0;
    await fc.assert(
      fc.asyncProperty(paths, async ([start, segments]) => {
        const given = start === "" ? segments.join("/") : `${start}/${segments.join("/")}`;
        const written = await write(given, "evil", { createFolders: true }).catch((error: unknown) => {
          if (!(error instanceof ToolFailure)) throw error;
        });
        if (written !== undefined) successes += 1;
        expect(readdirSync(base).toSorted()).toEqual(["root", "secret"]);
        expect(readFileSync(path.join(secret, "canary.txt"), "utf8")).toBe("canary");
        expect(readdirSync(secret)).toEqual(["canary.txt"]);
      }),
      { numRuns: 400 },
    );
    expect(successes).toBeGreaterThan(0);
  });
});

/** The script with all that it imports, as one module: Node 20 runs no TypeScript. */
async function bundled(script: string): Promise<string> {
  const { rolldown } = await import("rolldown");
  const bundle = await rolldown({
    input: "script",
    platform: "node",
    logLevel: "silent",
    plugins: [{ name: "script", resolveId: (id) => (id === "script" ? "\0script.ts" : null), load: (id) => (id === "\0script.ts" ? script : null) }],
  });
  const { output } = await bundle.generate({ format: "esm" });
  await bundle.close();
  return output[0].code;
}
