import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import path from "node:path";
import * as fc from "fast-check";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { type EditedFile, editFile } from "../../src/tools/builtin/edit-file.ts";
import { exclusively } from "../../src/tools/builtin/replace-file.ts";
import { occurrences } from "../../src/tools/builtin/text/occurrences.ts";
import { call, freshFolder, refusal } from "./builtin-support.ts";

const MIB = 1024 * 1024;
let root: string;

beforeEach(() => {
  root = path.join(freshFolder(), "root");
  mkdirSync(root);
});

const at = (name: string) => path.join(root, name);
const put = (name: string, content: string | Uint8Array) => writeFileSync(at(name), content);
const text = (name: string) => readFileSync(at(name), "utf8");
const edit = (oldText: string, newText: string, more: { path?: string; replaceAll?: boolean } = {}) =>
  call<EditedFile>(editFile([root]), { path: "f", oldText, newText, ...more });

describe("edit_file", () => {
  it("writes what only changes a file, not what it may destroy", () => {
    expect(editFile([]).mode).toBe("safe_write");
  });

  it("replaces what occurs once, and with replaceAll everything", async () => {
    put("f", "one two one");
    expect(await edit("two", "$& $1 2")).toEqual({ path: "f", replacements: 1, bytes: 15 });
    expect(text("f")).toBe("one $& $1 2 one");
    expect(await edit("one", "", { replaceAll: true })).toEqual({ path: "f", replacements: 2, bytes: 9 });
    expect(text("f")).toBe(" $& $1 2 ");
    expect(readdirSync(root)).toEqual(["f"]);
  });

  it("keeps everything else as it was: line ends, byte order mark, mode, and the link it went through", async () => {
    put("f", "\uFEFFa\r\nb\r\nc\n\0é");
    chmodSync(at("f"), 0o751);
    symlinkSync("f", at("link"));
    await edit("b\r\n", "B\r\n", { path: "link" });
    expect(text("f")).toBe("\uFEFFa\r\nB\r\nc\n\0é");
    expect(statSync(at("f")).mode & 0o777).toBe(0o751);
    expect(lstatSync(at("link")).isSymbolicLink()).toBe(true);
  });

  it("says where the text is when it occurs more than once", async () => {
    put("f", "x\nx\n\nx");
    expect((await refusal(edit("x", "y"))).message).toBe(
      'oldText occurs 3 times in "f", at lines 1, 2, 4: give more of its surroundings, or set replaceAll to replace all',
    );
    put("f", "x\n".repeat(11));
    expect((await refusal(edit("x", "y"))).message).toContain('11 times in "f", at lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, …:');
  });

  it("says what is nearly the same when the text is not there", async () => {
    const hint = async (content: string, oldText: string) => {
      put("f", content);
      const { message } = await refusal(edit(oldText, "new"));
      expect(text("f")).toBe(content);
      return message.replace('oldText was not found in "f".', "").trim();
    };
    expect(await hint("a\r\nb\r\nc", "b\nc")).toBe("It is there at line 2 but for the line ends: the file has \\r\\n, oldText has \\n.");
    expect(await hint("a\nb\r\nc\n", "a\nb\nc")).toBe("It is there at line 1 but for the line ends: the file has \\r\\n and \\n, oldText has \\n.");
    expect(await hint("if (x) {\n\treturn 1;\n}\n", "if (x) {\n  return 1;\n}")).toBe(
      'It is there but for white space at lines 1 to 3, which read: "if (x) {\\n\\treturn 1;\\n}"',
    );
    expect(await hint("zero\nlet  a =  1;", "let a = 1;")).toBe('It is there but for white space at line 2, which read: "let  a =  1;"');
    expect(await hint("a\nHello", "hello")).toBe("It is there but for upper and lower case at line 2.");
    expect(await hint("0\nfirst line\nsecond\nthird", "first line\nsecond\nfourth")).toBe(
      'Its first line is at line 2 of the file, but line 3 of oldText differs: there the file has "third".',
    );
    expect(await hint("first line", "first line\nsecond")).toBe("Its first line is at line 1 of the file, but line 2 of oldText differs: there the file ends.");
    expect(await hint("nothing like it", "something else")).toBe("");
    expect(await hint("", "x")).toBe("");
    expect((await hint(`${"long ".repeat(1000)}x`, `${"long  ".repeat(1000)}x`)).length).toBeLessThan(600);
  });

  it("refuses an edit that changes nothing, and half characters", async () => {
    put("f", "😀");
    expect((await refusal(edit("😀", "😀"))).kind).toBe("invalid_params");
    expect((await refusal(edit("\ud83d", "x"))).message).toContain("lone surrogate");
    expect((await refusal(edit("😀", "\ude00"))).message).toContain("lone surrogate");
    expect(text("f")).toBe("😀");
  });

  it("refuses what is no text file, and what is too large before or after", async () => {
    put("f", Buffer.from([0x61, 0xff]));
    expect((await refusal(edit("a", "b"))).message).toBe('The file is not UTF-8 text, so it cannot be edited: "f"');
    expect((await refusal(edit("a", "b", { path: "." }))).message).toBe('This is a directory: "."');
    expect((await refusal(edit("a", "b", { path: "none" }))).message).toBe('No such file or directory: "none"');
    put("f", "a".repeat(16 * MIB + 1));
    expect((await refusal(edit("a", "b"))).message).toContain("16777217 bytes");
    put("f", "a".repeat(16 * MIB));
    expect((await refusal(edit("a", "b", { replaceAll: true }))).message).toContain("more than 1000000 times");
    put("f", "a".repeat(MIB / 2));
    expect((await refusal(edit("a", "b".repeat(MIB), { replaceAll: true }))).message).toContain("more than 16777216 bytes");
    expect(readdirSync(root)).toEqual(["f"]);
  });

  it("refuses what leads out of the roots", async () => {
    writeFileSync(path.join(root, "..", "canary"), "canary");
    symlinkSync("../canary", at("out"));
    for (const given of ["out", path.join(root, "..", "canary").replace("/root/..", ""), "/etc/hostname"]) {
      expect((await refusal(edit("canary", "evil", { path: given }))).message).toContain("outside the folders");
    }
    expect(readFileSync(path.join(root, "..", "canary"), "utf8")).toBe("canary");
  });

  it("lets edits of one file that come at once all count", async () => {
    put("f", Array.from({ length: 20 }, (_, index) => `<${index}>`).join(""));
    await Promise.all(Array.from({ length: 20 }, (_, index) => edit(`<${index}>`, `[${index}]`)));
    expect(text("f")).toBe(Array.from({ length: 20 }, (_, index) => `[${index}]`).join(""));
  });

  it("fails when someone else changes the file between reading and writing, and leaves their change", async () => {
    const decode = vi.spyOn(TextDecoder.prototype, "decode");
    try {
      const changes = [
        () => put("f", "theirs, longer"),
        // Of the same length, and set back to the time of before.
        () => {
          const { atime, mtime } = statSync(at("f"));
          put("f", "hers");
          utimesSync(at("f"), atime, mtime);
        },
      ];
      for (const change of changes) {
        put("f", "mine");
        // The content was read when it is decoded.
        decode.mockImplementationOnce(() => {
          change();
          return "mine";
        });
        expect((await refusal(edit("mine", "ours"))).message).toBe('The file was changed by someone else meanwhile; read it again: "f"');
        expect(text("f")).not.toMatch(/mine|ours/);
        expect(readdirSync(root)).toEqual(["f"]);
      }
    } finally {
      decode.mockRestore();
    }
  });

  it("ends without a trace when it is cancelled, also while it waits for another edit", async () => {
    put("f", "a");
    await expect(call(editFile([root]), { path: "f", oldText: "a", newText: "b" }, AbortSignal.abort(new Error("stop")))).rejects.toThrow("stop");
    let release = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    const other = exclusively(at("f"), new AbortController().signal, () => held);
    const stop = new AbortController();
    const waiting = call(editFile([root]), { path: "f", oldText: "a", newText: "b" }, stop.signal);
    const next = edit("a", "c");
    stop.abort(new Error("stop while waiting"));
    await expect(waiting).rejects.toThrow("stop while waiting");
    expect(text("f")).toBe("a");
    release();
    await other;
    expect(await next).toMatchObject({ replacements: 1 });
  });
});

describe("occurrences", { timeout: 120_000 }, () => {
  it("finds what a plain search finds", () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 40 });
    fc.assert(
      fc.property(letters, fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 5 }), (hay, wanted) => {
        const plain: number[] = [];
        for (let found = hay.indexOf(wanted); found !== -1; found = hay.indexOf(wanted, found + wanted.length)) plain.push(found);
        expect([...occurrences(hay, wanted)]).toEqual(plain);
      }),
    );
  });

  it("ends soon on texts that are made to take long", () => {
    // `indexOf` takes hours for this.
    expect([...occurrences("a".repeat(16 * MIB), `ab${"a".repeat(MIB)}`)]).toEqual([]);
  });
});
