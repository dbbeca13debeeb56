import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { rawRoutes, routes } from "../../../src/contract/http/index.ts";
import { openApiDocument } from "../../../src/generate/openapi.ts";
import type { RouteFacts } from "../../../src/generate/openapi/facts.ts";
import { docsPage, docsPolicy } from "../../../src/listeners/http/docs/page.ts";

const parts = { routes, rawRoutes: Object.values(rawRoutes), version: "1.2.3" };
const page = docsPage(openApiDocument(parts));

describe("the docs page", () => {
  it("shows every operation with its verb, its path and what it does", () => {
    for (const [path, verbs] of Object.entries(openApiDocument(parts).paths)) {
      for (const [verb, { operationId, summary }] of Object.entries(verbs)) {
        const section = sectionOf(page, operationId);
        expect(section.slice(0, section.indexOf("</summary>"))).toContain(verb.toUpperCase());
        const text = textOf(section);
        expect(text).toContain(path);
        expect(text).toContain(summary.replaceAll("`", ""));
      }
    }
  });

  it("shows the scope, the fields, the events, the errors and an example of an operation", () => {
    const text = textOf(sectionOf(page, "postV1SessionsByIdCompletions"));
    for (const expected of [
      "write",
      "agent.chat.complete",
      "prompt required",
      "files[].path",
      "usage.input_tokens",
      "assistant_delta",
      "session_not_found",
      "event: finished",
    ]) {
      expect(text).toContain(expected);
    }
    expect(textOf(sectionOf(page, "getHealth"))).toContain("no key");
  });

  it("needs nothing from elsewhere, and nothing that its policy does not allow", () => {
    expect(page).not.toMatch(/\s(?:src|srcset|action|poster)=/);
    expect(page).not.toMatch(/<(?:iframe|object|embed|base|form|img|meta http-equiv)\b/);
    expect(page).not.toMatch(/\s(?:style|on\w+)="/);
    expect(
      [...page.matchAll(/\shref="([^"]*)"/g)].map(([, target]) => target!).filter((target) => !/^(?:#|data:image\/svg|openapi\.json$)/.test(target)),
    ).toEqual([]);
    expect(docsPolicy).toContain("default-src 'none'");
    expect(docsPolicy).not.toContain("unsafe");
    for (const element of ["style", "script"]) {
      const found = [...page.matchAll(new RegExp(`<${element}>(.*?)</${element}>`, "gs"))];
      expect(found).toHaveLength(1);
      expect(docsPolicy).toContain(`${element}-src 'sha256-${createHash("sha256").update(found[0]![1]!).digest("base64")}'`);
    }
  });

  it("has each anchor once, and a target for each link into itself", () => {
    const ids = [...page.matchAll(/\sid="([^"]*)"/g)].map(([, id]) => id!);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [, target] of page.matchAll(/\shref="#([^"]*)"/g)) expect(ids).toContain(target);
  });

  it("closes every element that it opens, in order", () => {
    const open: string[] = [];
    const body = page.replace(/<(script|style)>.*?<\/\1>/gs, "");
    for (const [, slash, name] of body.matchAll(/<(\/?)([a-z][a-z0-9]*)\b[^>]*>/g)) {
      if (["meta", "link", "input", "wbr"].includes(name!)) continue;
      if (slash === "") open.push(name!);
      else expect(open.pop()).toBe(name);
    }
    expect(open).toEqual([]);
  });

  it("knows the address of its server only where it is told one", () => {
    const commandOf = (html: string) => /<pre[^>]*><code>(curl .*?)<\/code>/s.exec(sectionOf(html, "getV1Info"))![1];
    expect(commandOf(page)).toContain('<span class="base">http://127.0.0.1:8900</span>/v1/info');
    expect(page).toContain("data-here");
    const told = docsPage(openApiDocument({ ...parts, serverUrl: "https://sidecar.example/" }));
    expect(commandOf(told)).toContain('<span class="base">https://sidecar.example</span>/v1/info');
    expect(told).not.toMatch(/<html[^>]*data-here/);
  });
});

describe("texts of the contract on the docs page", () => {
  const evil = `<img src=x onerror="alert(1)"> & 'quoted' </script></style>`;
  const hostile: RouteFacts = {
    surface: "own",
    verb: "POST",
    path: "/v1/<b>/{id}",
    summary: `${evil}.`,
    method: "agent.chat.complete",
    request: { path: z.object({ id: z.string().describe(evil) }), body: z.object({ [evil]: z.enum([evil]).default(evil).describe(evil) }) },
    status: 200,
    response: z.object({ text: z.string() }),
    example: { request: { [evil]: evil }, response: { text: evil } },
  };

  it("are text, whatever is in them", () => {
    const html = docsPage(openApiDocument({ routes: [hostile], rawRoutes: [], version: evil, serverUrl: `https://x/${evil}` }));
    expect(html).not.toContain("<img");
    expect(html).not.toContain("<b>/");
    expect(html.match(/<\/script>/g)).toHaveLength(1);
    expect(html.match(/<\/style>/g)).toHaveLength(1);
    expect(textOf(html)).toContain(evil);
  });
});

describe.skipIf(process.platform === "win32")("the commands on the docs page", () => {
  const body = { prompt: `It's $HOME, "\`date\`" \\ and\na line` };
  const document = openApiDocument({
    ...parts,
    routes: parts.routes.map((entry) => (entry.path === "/v1/sessions/{id}/completions" ? { ...entry, example: { ...entry.example, request: body } } : entry)),
  });
  const commands = [...sectionOf(docsPage(document), "postV1SessionsByIdCompletions").matchAll(/<pre[^>]*><code>(curl .*?)<\/code>/gs)].map(([, command]) =>
    textOf(command!),
  );

  it("say the same in a shell", () => {
    expect(commands).toHaveLength(2);
    const [once, streamed] = commands.map(wordsOf);
    expect(once).toEqual([
      "http://127.0.0.1:8900/v1/sessions/s-1/completions",
      "-H",
      "Authorization: Bearer k 1",
      "-H",
      "Content-Type: application/json",
      "-d",
      JSON.stringify(body),
    ]);
    expect(streamed).toContain("-N");
    expect(streamed).toContain("Accept: text/event-stream");
    expect(JSON.parse(streamed!.at(-1)!)).toEqual({ ...body, stream: true });
  });
});

/** What a shell gives to curl. */
function wordsOf(command: string): string[] {
  const script = `curl() { for word in "$@"; do printf '%s\\0' "$word"; done; }\nKEY='k 1'\nID=s-1\n${command}`;
  return execFileSync("/bin/sh", ["-c", script], { encoding: "utf8" }).split("\0").slice(0, -1);
}

/** The part of the page about one operation. */
function sectionOf(html: string, id: string): string {
  const start = html.indexOf(`id="${id}"`);
  if (start === -1) throw new Error(`the page has no ${id}`);
  return html.slice(start, html.indexOf("</details>", start));
}

/** What a reader sees. */
function textOf(html: string): string {
  const entities: Record<string, string> = { "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&amp;": "&" };
  return html.replace(/<[^>]*>/g, "").replace(/&[a-z#0-9]+;/g, (entity) => entities[entity] ?? entity);
}
