import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { root } from "./support/root.ts";

const src = join(root, "src");
const document = readFileSync(join(root, "ARCHITECTURE.md"), "utf8");

/** The table of floors in ARCHITECTURE.md: rows of `| level | place, place | … |`. */
const floors = new Map(
  [...document.matchAll(/^\|\s*(\d)\s*\|([^|]+)\|/gm)].flatMap(([, level, places]) =>
    [...(places ?? "").matchAll(/`([^`]+)`/g)].map(([, place]) => [place as string, Number(level)] as const),
  ),
);

const files = readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.replaceAll("\\", "/"))
  .toSorted();

/** Relative imports of a file, dynamic and type imports included. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(src, file), "utf8");
  const specifiers = [...text.matchAll(/(?:from|import)\s*\(?\s*"(\.{1,2}\/[^"]+)"/g)].map(([, specifier]) => specifier as string);
  return specifiers.map((specifier) => relative(src, resolve(src, dirname(file), specifier)).replaceAll("\\", "/"));
}

/** The place of the table that a file belongs to: the file itself, or its top folder. */
function placeOf(file: string): string {
  const top = file.split("/")[0] as string;
  return top === file ? file : `${top}/`;
}

function floorOf(file: string): number | undefined {
  return floors.get(file) ?? floors.get(placeOf(file));
}

describe("the structure", () => {
  it("has a floor for every file, and no floor for what is not there", () => {
    expect(files.filter((file) => floorOf(file) === undefined)).toEqual([]);
    const places = new Set([...files, ...files.map(placeOf)]);
    expect([...floors.keys()].filter((place) => !places.has(place))).toEqual([]);
  });

  it("has no import that points up", () => {
    const upward = files.flatMap((file) =>
      importsOf(file)
        .filter((target) => (floorOf(target) ?? 99) > (floorOf(file) ?? -1))
        .map((target) => `${file} -> ${target}`),
    );
    expect(upward).toEqual([]);
  });

  it("has no circular import", () => {
    const graph = new Map(files.map((file) => [file, importsOf(file)]));
    const state = new Map<string, "open" | "done">();
    const circles: string[] = [];
    const visit = (file: string, trail: string[]): void => {
      if (state.get(file) === "done") return;
      if (state.get(file) === "open") {
        circles.push([...trail.slice(trail.indexOf(file)), file].join(" -> "));
        return;
      }
      state.set(file, "open");
      for (const target of graph.get(file) ?? []) visit(target, [...trail, file]);
      state.set(file, "done");
    };
    for (const file of files) visit(file, []);
    expect(circles).toEqual([]);
  });

  it("keeps adapters apart: none imports another, and only the registry loads them", () => {
    const adapter = /^(?:providers\/(?:openai|anthropic|echo|scripted)|store\/(?:sqlite|memory)|tools\/(?:builtin|host|process|mcp))\.ts$/;
    const found = files.flatMap((file) =>
      importsOf(file)
        .filter((target) => adapter.test(target) && file !== "registry.ts")
        .map((target) => `${file} -> ${target}`),
    );
    expect(found).toEqual([]);
  });
});
