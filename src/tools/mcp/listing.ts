import type { Client } from "@modelcontextprotocol/client";
import * as z from "zod";
import { until } from "../waiting.ts";

const MOST_TOOLS = 1000;
const MOST_PAGES = 100;
/** Characters that all tools of a server may take, as JSON: they are sent to a model with every turn. */
const MOST_CHARACTERS = 4 * 1024 * 1024;

/** What is read of a tool. Hints that are no booleans are no hints. */
const ListedTool = z.object({
  name: z.string().min(1).max(1024),
  title: z.string().optional().catch(undefined),
  description: z.string().optional().catch(undefined),
  inputSchema: z.record(z.string(), z.unknown()),
  annotations: z
    .object({ readOnlyHint: z.boolean().optional().catch(undefined), destructiveHint: z.boolean().optional().catch(undefined) })
    .optional()
    .catch(undefined),
});
export type ListedTool = z.output<typeof ListedTool>;

const Page = z.object({ tools: z.array(z.unknown()), nextCursor: z.string().optional() });

/**
 * The tools of a server, all pages of them. One that cannot be read is left out, as is what goes beyond
 * the bounds; `ignored` is told. Rejects when the server fails or `signal` is aborted.
 */
export async function listTools(client: Client, signal: AbortSignal, timeoutMs: number, ignored: (what: string) => void): Promise<ListedTool[]> {
  if (client.getServerCapabilities()?.tools === undefined) return [];
  const tools = new Map<string, ListedTool>();
  let characters = 0;
  let cursor: string | undefined;
  for (let page = 0; page < MOST_PAGES; page++) {
    const params = cursor === undefined ? {} : { cursor };
    // Not `client.listTools`: it refuses the whole list for one bad tool, and holds pages without a bound.
    const asked = client.request({ method: "tools/list", params }, Page, { signal, timeout: timeoutMs, maxTotalTimeout: timeoutMs });
    const { tools: listed, nextCursor } = await until(asked, signal);
    for (const each of listed) {
      const tool = ListedTool.safeParse(each);
      if (!tool.success) {
        ignored(`a tool in the list: ${tool.error.issues[0]?.path.join(".")} ${tool.error.issues[0]?.message}`);
        continue;
      }
      if (tools.has(tool.data.name)) continue;
      characters += JSON.stringify(tool.data).length;
      if (tools.size >= MOST_TOOLS || characters > MOST_CHARACTERS) {
        ignored(`all tools after the first ${tools.size}: a server may have ${MOST_TOOLS}, of ${MOST_CHARACTERS} characters in all`);
        return [...tools.values()];
      }
      tools.set(tool.data.name, tool.data);
    }
    if (nextCursor === undefined || nextCursor === cursor) return [...tools.values()];
    cursor = nextCursor;
  }
  ignored(`the list of tools after ${MOST_PAGES} pages`);
  return [...tools.values()];
}
