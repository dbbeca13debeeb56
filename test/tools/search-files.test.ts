import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import * as fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { compileGlob } from "../../src/tools/builtin/search/glob.ts";
import { plainMatcher, regexMatcher } from "../../src/tools/builtin/search/matcher.ts";
import { type SearchResult, searchFiles } from "../../src/tools/builtin/search-files.ts";
import { call, freshFolder, refusal } from "./builtin-support.ts";

const MIB = 1024 * 1024;
const never = new AbortController().signal;
let base: string;
let root: string;

beforeEach(() => {
  base = freshFolder();
  root = path.join(base, "root");
  mkdirSync(root);
});

function put(files: Record<string, string | Uint8Array>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    writeFileSync(path.join(root, name), content);
  }
}

const search = (args: Record<string, unknown>, roots: readonly string[] = [root]) => call<SearchResult>(searchFiles(roots), args);
const places = ({ matches }: SearchResult) => matches.map(({ path: file, line, column }) => `${file}:${line}:${column}`);

describe("search_files", { timeout: 120_000 }, () => {
  it("only reads", () => {
    expect(searchFiles([]).mode).toBe("read");
  });

  it("finds plain text with its path, line and column, in the order of the names", async () => {
    put({ "b.txt": "zero\r\na (x|y)* b\r\n(x|y)*(x|y)*", "a/c.txt": "é😀(x|y)*\n", "a.txt": "nothing", empty: "" });
    expect(await search({ pattern: "(x|y)*" })).toEqual({
      matches: [
        { path: "a/c.txt", line: 1, column: 4, text: "é😀(x|y)*" },
        { path: "b.txt", line: 2, column: 3, text: "a (x|y)* b" },
        { path: "b.txt", line: 3, column: 1, text: "(x|y)*(x|y)*" },
      ],
      truncated: false,
      searchedFiles: 4,
      skippedFiles: 0,
    });
    expect((await search({ pattern: "(X|Y)*" })).matches).toEqual([]);
    expect(places(await search({ pattern: "(X|Y)*", caseSensitive: false }))).toEqual(["a/c.txt:1:4", "b.txt:2:3", "b.txt:3:1"]);
  });

  it("finds by regular expression, line by line", async () => {
    put({ f: "one\ntwo 22\r\n\nΣ-end\n", g: "\uFEFFtwo" });
    expect(places(await search({ pattern: "\\d+$", regex: true }))).toEqual(["f:2:5"]);
    expect(places(await search({ pattern: "^$", regex: true }))).toEqual(["f:3:1"]);
    expect(places(await search({ pattern: "^TWO", regex: true, caseSensitive: false }))).toEqual(["f:2:1", "g:1:1"]);
    expect(places(await search({ pattern: "\\p{Lu}\\-", regex: true }))).toEqual([]);
    expect(places(await search({ pattern: "\\p{Lu}-", regex: true }))).toEqual(["f:4:1"]);
    expect(places(await search({ pattern: "\\-e", regex: true }))).toEqual(["f:4:2"]);
    expect((await refusal(search({ pattern: "(", regex: true }))).message).toContain("not a JavaScript regular expression: ");
    expect((await refusal(search({ pattern: "a\nb" }))).message).toContain("line break");
  });

  it("shows the lines around a match", async () => {
    put({ f: "1\r\n2\n\n4\n5" });
    const around = async (pattern: string, context: number) => (await search({ pattern, context })).matches.map(({ before, after }) => [before, after]);
    expect(await around("4", 2)).toEqual([[["2", ""], ["5"]]]);
    expect(await around("1", 5)).toEqual([[[], ["2", "", "4", "5"]]]);
    expect(await around("5", 1)).toEqual([[["4"], []]]);
    put({ f: "\n\nx\n\n" });
    expect(await around("x", 5)).toEqual([[["", ""], [""]]]);
  });

  it("cuts long lines around the match", async () => {
    put({ f: `${"😀".repeat(1000)}needle${"😀".repeat(1000)}\n${"a".repeat(600)}` });
    const [match] = (await search({ pattern: "needle", context: 1 })).matches;
    expect(match?.column).toBe(2001);
    expect(match?.text).toContain("needle");
    expect(match?.text.length).toBeLessThanOrEqual(500);
    expect(match?.text).toMatch(/^….*…$/u);
    expect(match?.text).not.toMatch(/\p{Surrogate}/u);
    expect(match?.after).toEqual([`${"a".repeat(499)}…`]);
  });

  it("lists files by glob when there is no pattern", async () => {
    put({ "a.ts": "", "sub/b.ts": "", "sub/c.js": "", ".hidden.ts": "", "sub/deep/d.ts": "" });
    expect(await search({ glob: "*.ts" })).toEqual({
      matches: [],
      files: [".hidden.ts", "a.ts", "sub/b.ts", "sub/deep/d.ts"],
      truncated: false,
      searchedFiles: 4,
      skippedFiles: 0,
    });
    expect((await search({ pattern: "", glob: "sub/*.{ts,js}" })).files).toEqual(["sub/b.ts", "sub/c.js"]);
    expect((await search({ path: "sub", glob: "*" })).files).toEqual(["sub/b.ts", "sub/c.js", "sub/deep/d.ts"]);
    expect((await search({ path: path.join(root, "sub"), glob: "deep/*" })).files).toEqual([path.join(root, "sub/deep/d.ts")]);
    expect((await search({ path: "sub/b.ts" })).files).toEqual(["sub/b.ts"]);
    expect(await search({ maxResults: 2 })).toMatchObject({ files: [".hidden.ts", "a.ts"], truncated: true });
    expect(await search({ maxResults: 5 })).toMatchObject({ truncated: false });
    expect((await refusal(search({ glob: "{a,b}".repeat(20) }))).message).toContain("more than 256 alternatives");
  });

  it("leaves out what is no text, too large, or not to be read, and counts it", async () => {
    put({ "a.txt": "needle", "b.bin": "needle\0", "late-nul": `${"x".repeat(9000)}\0\nneedle`, big: "needle", latin: Buffer.from("needle \xff", "latin1") });
    truncateSync(path.join(root, "big"), 8 * MIB + 1);
    execFileSync("mkfifo", [path.join(root, "pipe")]);
    const result = await search({ pattern: "needle" });
    expect(places(result)).toEqual(["a.txt:1:1", "late-nul:2:1", "latin:1:1"]);
    expect(result).toMatchObject({ searchedFiles: 3, skippedFiles: 2 });
    expect((await refusal(search({ pattern: "x", path: "pipe" }))).message).toBe('This is not a regular file: "pipe"');
    expect((await refusal(search({ pattern: "x", path: "none" }))).message).toBe('No such file or directory: "none"');
  });

  it.runIf(process.getuid?.() !== 0)("counts folders that it may not read", async () => {
    put({ "closed/f": "needle", "open/f": "needle" });
    chmodSync(path.join(root, "closed"), 0o000);
    expect(await search({ pattern: "needle" })).toMatchObject({ matches: [{ path: "open/f" }], skippedFiles: 1 });
    chmodSync(path.join(root, "closed"), 0o700);
  });

  it("leaves out .git and node_modules unless the path names them", async () => {
    put({ ".git/f": "needle", "node_modules/p/f": "needle", "node_modules/p/node_modules/q/f": "needle", "src/node_modules/f": "needle", "src/f": "needle" });
    expect(places(await search({ pattern: "needle" }))).toEqual(["src/f:1:1"]);
    expect(places(await search({ pattern: "needle", path: ".git" }))).toEqual([".git/f:1:1"]);
    expect(places(await search({ pattern: "needle", path: "node_modules/p" }))).toEqual(["node_modules/p/f:1:1", "node_modules/p/node_modules/q/f:1:1"]);
  });

  it("does not follow links, and refuses to begin outside", async () => {
    mkdirSync(path.join(base, "secret"));
    writeFileSync(path.join(base, "secret", "canary"), "needle");
    put({ "real/f": "needle" });
    for (const [name, target] of Object.entries({ out: "../secret", file: "../secret/canary", in: "real", loop: "." })) {
      symlinkSync(target, path.join(root, name));
    }
    expect(places(await search({ pattern: "needle" }))).toEqual(["real/f:1:1"]);
    expect(places(await search({ pattern: "needle", path: "in" }))).toEqual(["in/f:1:1"]);
    for (const given of ["out", "file", path.join(base, "secret"), "/"]) {
      expect((await refusal(search({ pattern: "needle", path: given }))).message).toContain("outside the folders");
    }
    expect((await refusal(search({ path: "../secret" }))).message).toContain('must not contain ".."');
    expect((await refusal(search({}, []))).message).toContain("No folders are configured");
  });

  it("stops at maxResults, and says whether there is more", async () => {
    put({ a: "x\nx\nx\n", b: "x\n" });
    for (const regex of [false, true]) {
      expect(await search({ pattern: "x", regex, maxResults: 3 })).toMatchObject({ matches: [{ line: 1 }, { line: 2 }, { line: 3 }], truncated: true });
      expect(await search({ pattern: "x", regex, maxResults: 4 })).toMatchObject({ truncated: false });
      expect((await search({ pattern: "x", regex, maxResults: 2, path: "a" })).matches).toHaveLength(2);
    }
  });

  it("keeps the result small", async () => {
    put({ f: `${"é".repeat(490)}\n`.repeat(2000) });
    const result = await search({ pattern: "é", maxResults: 1000, context: 5 });
    expect(result.truncated).toBe(true);
    expect(result.matches.length).toBeGreaterThan(10);
    expect(Buffer.byteLength(JSON.stringify(result))).toBeLessThan(256 * 1024);
  });

  it("searches deep and wide folders", async () => {
    const deep = Array.from({ length: 250 }, (_, index) => `d${index}`).join("/");
    put({ [`${deep}/leaf`]: "needle" });
    put(Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`wide/${String(index).padStart(3, "0")}`, index % 100 === 0 ? "needle" : ""])));
    const result = await search({ pattern: "needle" });
    expect(places(result)).toEqual([`${deep}/leaf:1:1`, ...["000", "100", "200", "300", "400"].map((name) => `wide/${name}:1:1`)]);
    expect(result.searchedFiles).toBe(501);
  });

  it("ends in the middle of a hopeless regular expression when it is cancelled", async () => {
    put({ f: `${"a".repeat(60)}b\n` });
    const stop = new AbortController();
    const hopeless = call(searchFiles([root]), { pattern: "^(a+)+$", regex: true }, stop.signal);
    // Fires only if the event loop is free.
    setTimeout(() => stop.abort(new Error("stop")), 300);
    await expect(hopeless).rejects.toThrow("stop");
    await expect(call(searchFiles([root]), { pattern: "a" }, AbortSignal.abort(new Error("at once")))).rejects.toThrow("at once");
  });
});

describe("the matchers", { timeout: 120_000 }, () => {
  it("give up on a regular expression that takes too long, or too much memory", async () => {
    const long = regexMatcher("^(a+)+$", true, never, 200);
    const failure = await refusal(long.hits(`${"a".repeat(60)}b`, 1, "f"));
    expect([failure.kind, failure.message]).toEqual(["timeout", 'The regular expression takes too long on "f"; make it simpler']);
    const large = regexMatcher("(?:a|b|ab)*c", true, never, 60_000);
    expect((await refusal(large.hits("a".repeat(8 * MIB), 1, "f"))).message).toBe('The regular expression takes too much memory on "f"; make it simpler');
  });

  it("agree with each other on plain text", async () => {
    const texts = fc.string({ unit: fc.constantFrom("a", "b", "\n", "\r\n", "."), maxLength: 60 });
    const wanted = fc.string({ unit: fc.constantFrom("a", "b", "."), minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(wanted, fc.array(texts, { minLength: 1, maxLength: 20 }), async (pattern, samples) => {
        const byRegex = regexMatcher(pattern.replaceAll(".", "\\."), true, never, 60_000);
        try {
          for (const text of samples) expect(await plainMatcher(pattern).hits(text, 5, "")).toEqual(await byRegex.hits(text, 5, ""));
        } finally {
          await byRegex.close();
        }
      }),
      { numRuns: 20 },
    );
  });
});

describe("globs", { timeout: 120_000 }, () => {
  const table: [glob: string, fits: string[], not: string[]][] = [
    ["*.ts", ["a.ts", "x/y/a.ts", ".ts"], ["a.tsx", "a.ts/b"]],
    ["/*.ts", ["a.ts"], ["x/a.ts"]],
    ["./src/*", ["src/a"], ["src/a/b", "a"]],
    ["src/", ["src/a", "src/a/b"], ["x/src/a"]],
    ["src/**/*.ts", ["src/a.ts", "src/x/y/a.ts"], ["a.ts", "src/a.js"]],
    ["**/test/**", ["test/a", "x/test/y/a"], ["tests/a"]],
    ["a/**/b/**/c", ["a/b/c", "a/x/b/y/z/c", "a/b/b/c"], ["a/c", "a/b"]],
    ["?.t[sx]", ["a.ts", "é.tx", "😀.ts"], ["ab.ts", "a.tt"]],
    ["[!a-c]*", ["d", "x/dd"], ["a", "x/bb"]],
    ["[^a]", ["b"], ["a"]],
    ["[]a]", ["]", "a"], ["b"]],
    ["[a-]", ["a", "-"], ["b"]],
    ["[a", ["[a"], ["a"]],
    ["*.{ts,js,json}", ["a.ts", "x/a.json"], ["a.jsx"]],
    ["{src,test}/{a,b{c,d}}", ["src/a", "test/bd"], ["src/b", "src/bcd"]],
    ["{a,}b", ["ab", "b"], ["aab"]],
    ["{a}", ["{a}"], ["a"]],
    ["{a,b", ["{a,b"], ["a"]],
    ["{{a,b} {c,d}", ["{a c", "{b d"], ["a c"]],
    ["\\*\\{a,b\\}", ["*{a,b}"], ["xa"]],
    ["a**b", ["ab", "axxb"], ["a/b"]],
    ["**", ["a", "a/b"], []],
  ];

  it.each(table)("%s", (glob, fits, not) => {
    const match = compileGlob(glob);
    expect(fits.filter((file) => !match(file))).toEqual([]);
    expect(not.filter(match)).toEqual([]);
  });

  it("end soon, whatever they are", () => {
    expect(compileGlob(`${"*a".repeat(400)}b`)("a".repeat(2000))).toBe(false);
    expect(compileGlob(`${"**/a/".repeat(150)}b`)("a/".repeat(2000))).toBe(false);
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(..."{},*?[]!-\\/ab"), maxLength: 40 }),
        fc.string({ unit: fc.constantFrom(..."ab/"), maxLength: 10 }),
        (glob, file) => {
          try {
            expect(compileGlob(glob)(file)).toBeTypeOf("boolean");
          } catch (error) {
            expect(String(error)).toContain("alternatives");
          }
        },
      ),
    );
  });
});
